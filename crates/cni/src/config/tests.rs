use serde_json::json;

use super::*;

fn parse(value: &Value) -> Result<NetConf, Failure> {
    NetConf::parse(value.to_string().as_bytes())
}

fn refusal(value: &Value) -> (u32, String) {
    let failure = parse(value).unwrap_err();
    (failure.code.number(), failure.msg)
}

#[test]
fn documented_configuration_is_read() {
    let json = json!({
        "type": "bond", "cniVersion": "0.3.1", "name": "bond-net1", "miimon": "100",
        "links": [{"name": "net1"}, {"name": "net2"}],
        "ipam": {"type": "host-local", "subnet": "10.56.217.0/24"},
    });
    let config = parse(&json).unwrap();
    assert_eq!(config.version, Version::V0_3_1);
    assert_eq!((config.name.as_str(), config.plugin.as_str()), ("bond-net1", "bond"));
    assert_eq!(config.ipam.as_deref(), Some("host-local"));
    assert_eq!(config.prev_result, None);
    assert_eq!(Value::Object(config.raw), json);
}

#[test]
fn optional_keys_may_be_absent_null_or_empty() {
    let bare = parse(&json!({"name": "n", "type": "bond"})).unwrap();
    assert_eq!((bare.version, &bare.ipam), (Version::V0_1_0, &None));
    let empty = json!({
        "name": "n", "type": "bond", "cniVersion": "", "ipam": {}, "prevResult": null,
        "runtimeConfig": null, "args": {"cni": null},
    });
    let empty = parse(&empty).unwrap();
    assert_eq!(NetConf { raw: bare.raw.clone(), ..empty }, bare);
    let empty = json!({
        "name": "n", "type": "bond", "ipam": {"type": ""}, "runtimeConfig": {"mac": ""},
    });
    assert_eq!(parse(&empty).unwrap().ipam, None);
}

#[test]
fn requested_addresses_are_read() {
    let config = parse(&json!({
        "name": "n", "type": "bond",
        "runtimeConfig": {"ips": ["10.1.2.3/24", "fd00::5"], "mac": "02:00:00:00:00:01"},
        "args": {"cni": {"ips": ["10.1.2.4", "fd00::6/64"]}},
    }));
    let runtime = config.unwrap().runtime;
    let wanted = ["10.1.2.4", "fd00::6", "10.1.2.3", "fd00::5"].map(|ip| ip.parse().unwrap());
    assert_eq!(runtime.ips, wanted as [IpAddr; 4]);
    assert_eq!(runtime.mac, Some(Mac::new([2, 0, 0, 0, 0, 1])));
}

#[test]
fn syntax_error_has_line_and_column() {
    let failure = NetConf::parse(b"{\n  \"name\": \"n\",\n  \"type\" \"bond\"\n}").unwrap_err();
    assert_eq!(failure.code, Code::DECODE);
    assert!(failure.msg.ends_with("expected `:` at line 3 column 10"), "{}", failure.msg);
}

/// Promise: input-limits
#[test]
fn oversized_or_malformed_configuration_is_refused() {
    let deep = format!("{{\"name\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    let long = " ".repeat(MAX_BYTES + 1);
    for (json, part) in [
        ("[]", "is no JSON object: write {…}"),
        ("\"what it is\"", "is no JSON object: write {…}"),
        (" \n", "standard input is empty"),
        (deep.as_str(), "recursion limit exceeded"),
        (long.as_str(), "longer than 1048576 bytes"),
    ] {
        let failure = NetConf::parse(json.as_bytes()).unwrap_err();
        assert_eq!(failure.code, Code::DECODE);
        assert!(failure.msg.contains(part), "{}", failure.msg);
    }
}

#[test]
fn deepest_configuration_fits_into_a_record() {
    // The object itself is the first level.
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        format!(r#"{{"name": "n", "type": "bond", "x": {open}{close}}}"#)
    };
    let failure = NetConf::parse(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err();
    assert!(failure.msg.contains("field x nests more than 64 levels deep"), "{}", failure.msg);
    let deepest = nested(MAX_DEPTH);
    assert!(NetConf::parse(deepest.as_bytes()).is_ok());
    let (open, close) = ("[".repeat(32), "]".repeat(32));
    assert!(serde_json::from_str::<Value>(&format!("{open}{deepest}{close}")).is_ok());
}

#[test]
fn numbers_are_passed_on_exactly() {
    for number in [format!("5226{}", "2".repeat(121)), "9007199254740993.1".to_owned()] {
        let json = format!(r#"{{"name": "n", "type": "bond", "x": {number}}}"#);
        let config = NetConf::parse(json.as_bytes()).unwrap();
        assert_eq!(parse(&Value::Object(config.raw.clone())), Ok(config), "{number}");
    }
}

#[test]
fn unknown_version_is_code_1() {
    let (code, msg) = refusal(&json!({"cniVersion": "9.9.9", "name": "n", "type": "bond"}));
    assert_eq!(code, 1);
    assert!(msg.contains("\"9.9.9\"") && msg.contains("0.1.0, 0.2.0, 0.3.0"), "{msg}");
    assert!(msg.ends_with("1.1.0"), "{msg}");
}

#[test]
fn names_with_path_are_refused() {
    for name in ["", ".", "..", "a/b", "../x", "-a", "a b", "\u{e9}", "a\0"] {
        let (code, msg) = refusal(&json!({"name": name, "type": "bond"}));
        assert!(code == 7 && msg.contains("field name"), "{name:?}: {msg}");
    }
    for plugin in ["", "..", "../bond", "/bin/sh", "a\0"] {
        let (code, msg) = refusal(&json!({"name": "n", "type": plugin}));
        assert!(code == 7 && msg.contains("field type"), "{plugin:?}: {msg}");
    }
    let (_, msg) = refusal(&json!({"name": "n", "type": "bond", "ipam": {"type": "a/b"}}));
    assert_eq!(msg, "network \"n\": field ipam.type is \"a/b\": it must be a file name");
}

#[test]
fn error_names_the_path_of_the_field() {
    for (extra, start) in [
        (json!({"ipam": []}), "the network configuration: field ipam: invalid"),
        (
            json!({"runtimeConfig": {"ips": ["10.0.0.1", "x"]}}),
            "the network configuration: field runtimeConfig.ips[1]: \"x\" is no address",
        ),
        (
            json!({"runtimeConfig": {"mac": "x"}}),
            "the network configuration: field runtimeConfig.mac: MAC address \"x\"",
        ),
        (
            json!({"prevResult": {"ips": [{"address": "10.0.0.1"}]}, "cniVersion": "1.0.0"}),
            "network \"n\": field prevResult does not parse: the result: field ips[0].address: \
             \"10.0.0.1\" has no prefix length",
        ),
    ] {
        let mut config = json!({"name": "n", "type": "bond"});
        config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let (_, msg) = refusal(&config);
        assert!(msg.starts_with(start), "{msg}");
    }
}

#[test]
fn error_in_own_keys_names_network_and_path() {
    #[derive(Debug, Deserialize)]
    struct Link {
        #[expect(dead_code, reason = "only its absence matters here")]
        name: String,
    }
    #[derive(Debug, Deserialize)]
    struct Keys {
        links: Vec<Link>,
    }
    let config = |links: Value| {
        parse(&json!({"name": "bond-net1", "type": "bond", "links": links})).unwrap()
    };
    let keys: Keys = config(json!([{"name": "net1"}, {"name": "net2"}])).keys().unwrap();
    assert_eq!(keys.links.len(), 2);
    let failure = config(json!([{"name": "net1"}, {"name": 5}])).keys::<Keys>().unwrap_err();
    assert_eq!(failure.code, Code::INVALID_CONFIG);
    assert_eq!(
        failure.msg,
        "network \"bond-net1\": field links[1].name: invalid type: integer `5`, expected a \
         string"
    );
    let failure = config(json!([{}])).keys::<Keys>().unwrap_err();
    assert_eq!(failure.msg, "network \"bond-net1\": field links[0]: missing field `name`");
}

#[test]
fn prev_result_is_set_in_raw_too() {
    let mut config = parse(&json!({"cniVersion": "1.0.0", "name": "n", "type": "bond"})).unwrap();
    let before = config.clone();
    config.set_prev_result(Some(CniResult::default()));
    assert_eq!(NetConf::from_map(config.raw.clone()).unwrap(), config);
    config.set_prev_result(None);
    assert_eq!(config, before);
}
