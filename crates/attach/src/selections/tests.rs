use serde_json::json;

use super::*;
use crate::error::NetworksError;

fn short(text: &str) -> Vec<String> {
    let show = |s: Selection| {
        let namespace = s.namespace.map_or(String::new(), |namespace| format!("{namespace}/"));
        let interface = s.interface.map_or(String::new(), |name| format!("@{name}"));
        format!("{namespace}{}{interface}", s.name)
    };
    parse_networks(text).unwrap().into_iter().map(show).collect()
}

#[test]
fn comma_form_allows_white_space() {
    for (text, elements) in [
        ("", vec![]),
        (" \n", vec![]),
        ("a", vec!["a"]),
        ("demo/a", vec!["demo/a"]),
        ("a@bond0", vec!["a@bond0"]),
        ("a,a", vec!["a", "a"]),
        (
            "demo/sriovnet1, demo/sriovnet2,\n demo/bond-net1@bond0",
            vec!["demo/sriovnet1", "demo/sriovnet2", "demo/bond-net1@bond0"],
        ),
        (" demo / a @ net.7 ", vec!["demo/a@net.7"]),
        ("0/1-2@exactly15bytes_", vec!["0/1-2@exactly15bytes_"]),
        ("a.b@x", vec!["a.b@x"]),
    ] {
        assert_eq!(short(text), elements, "{text:?}");
    }
}

#[test]
fn json_form_has_every_field() {
    let text = json!([
        {"name": "a"},
        {
            "name": "b", "namespace": "demo", "interface": "bond0",
            "ips": ["10.1.2.3", "fd00::5/64"], "mac": "02:00:00:00:00:0A",
            "infiniband-guid": "24:8A:07:03:00:8d:ae:2f", "deviceID": "0000:03:10.1",
            "portMappings": [
                {"hostPort": 8080, "containerPort": 80},
                {"hostPort": 53, "containerPort": 5353, "protocol": "UDP", "hostIP": "192.0.2.1"},
            ],
            "bandwidth": {"ingressRate": 2048, "ingressBurst": 300, "egressRate": 0},
            "cni-args": {"spoofchk": "on"}, "default-route": ["10.1.2.1"], "com.example.x": 1,
        },
    ]);
    let [plain, full] = parse_networks(&text.to_string()).unwrap().try_into().unwrap();
    assert_eq!(plain, Selection::of("a".parse().unwrap()));
    let expected = Selection {
        name: "b".parse().unwrap(),
        namespace: Some("demo".parse().unwrap()),
        interface: Some("bond0".parse().unwrap()),
        ips: vec!["10.1.2.3".to_owned(), "fd00::5/64".to_owned()],
        mac: Some("02:00:00:00:00:0a".parse().unwrap()),
        infiniband_guid: Some("24:8A:07:03:00:8d:ae:2f".to_owned()),
        port_mappings: text[1]["portMappings"].as_array().unwrap().clone(),
        bandwidth: text[1]["bandwidth"].as_object().cloned(),
        device: Some("0000:03:10.1".parse().unwrap()),
        cni_args: json!({"spoofchk": "on"}).as_object().unwrap().clone(),
        default_route: DefaultRoute::Gateways(vec!["10.1.2.1".parse().unwrap()]),
        ipam_claim: None,
        unknown: Vec::new(),
    };
    assert_eq!(full, expected);
}

#[test]
fn empty_values_count_as_absent() {
    let text = r#"[{"name": "a", "namespace": "", "interface": "", "ips": null, "mac": "", "default-route": null,
        "portMappings": [], "bandwidth": null, "cni-args": null}]"#;
    assert_eq!(parse_networks(text).unwrap(), [Selection::of("a".parse().unwrap())]);
    assert_eq!(parse_networks("[]").unwrap(), []);
    let old = parse_networks(r#"[{"name": "a", "interfaceRequest": "x"}]"#).unwrap();
    assert_eq!(old[0].interface, Some("x".parse().unwrap()));
}

#[test]
fn malformed_short_element_is_named() {
    for (text, start) in [
        ("a,,b", "element 2 (\"\"): it is empty: write"),
        ("a,", "element 2 (\"\"): it is empty"),
        (",", "element 1 (\"\"): it is empty"),
        ("a/b/c", "element 1 (\"a/b/c\"): it has more than one `/`"),
        ("a@b@c", "element 1 (\"a@b@c\"): it has more than one `@`"),
        ("/a", "element 1 (\"/a\"): field namespace is wrong: namespace \"\" is malformed"),
        ("a, demo/", "element 2 (\"demo/\"): field name is wrong: object name \"\" is malformed"),
        (
            "Demo/a",
            "element 1 (\"Demo/a\"): field namespace is wrong: namespace \"Demo\" is malformed",
        ),
        ("a b", "element 1 (\"a b\"): field name is wrong: object name \"a b\" is malformed"),
        ("../a", "element 1 (\"../a\"): field namespace is wrong: namespace \"..\" is malformed"),
        ("a@", "element 1 (\"a@\"): field interface is wrong: the interface name is empty"),
        (
            "a@sixteen_bytes_xx",
            "element 1 (\"a@sixteen_bytes_xx\"): field interface is wrong: interface name \
             \"sixteen_bytes_xx\" has 16 bytes",
        ),
        (
            "a@x y",
            "element 1 (\"a@x y\"): field interface is wrong: interface name \"x y\" holds ' '",
        ),
        (
            "a@x/y",
            "element 1 (\"a@x/y\"): field interface is wrong: interface name \"x/y\" holds '/'",
        ),
    ] {
        let message = parse_networks(text).unwrap_err().to_string();
        assert!(message.starts_with(start), "{text:?}: {message}");
    }
}

#[test]
fn malformed_json_field_is_named_with_its_path() {
    for (element, reason) in [
        (json!("a"), "it is not an object"),
        (json!({}), "field name is missing: write the name of a NetworkAttachmentDefinition"),
        (json!({"name": ""}), "field name is missing"),
        (
            json!({"name": "c17b/other"}),
            "field name is \"c17b/other\": in JSON write \"namespace\": \"c17b\", \"name\": \"other\"",
        ),
        (json!({"name": 1}), "field name is 1: write it in quotes"),
        (json!({"name": "A"}), "field name is wrong: object name \"A\" is malformed"),
        (
            json!({"name": "a", "interface": "a:b"}),
            "field interface is wrong: interface name \"a:b\"",
        ),
        (json!({"name": "a", "ips": "10.0.0.1"}), "field ips is \"10.0.0.1\": write a list"),
        (json!({"name": "a", "ips": ["10.0.0.1", "x"]}), "field ips[1] is \"x\": write an addr"),
        (
            json!({"name": "a", "mac": "02:00"}),
            "field mac is wrong: MAC address \"02:00\" is malformed",
        ),
        (json!({"name": "a", "infiniband-guid": 24}), "field infiniband-guid is 24: write it in"),
        (
            json!({"name": "a", "deviceID": "03:10.1"}),
            "field deviceID is wrong: PCI address \"03:10.1\"",
        ),
        (json!({"name": "a", "cni-args": []}), "field cni-args is []: write a map of fields"),
        (json!({"name": "a", "default-route": ["x"]}), "field default-route[0] is \"x\""),
        (
            json!({"name": "a", "default-route": ["10.0.0.1", "fd00::1", "10.0.0.2"]}),
            "field default-route has two gateways of one family",
        ),
        (json!({"name": "a", "portMappings": [1]}), "field portMappings[0] is 1"),
        (json!({"name": "a", "bandwidth": 1}), "field bandwidth is 1: write a map"),
    ] {
        let text = json!([{"name": "good"}, element]).to_string();
        let error = parse_networks(&text).unwrap_err();
        let NetworksError::Element { number, reason: actual, .. } = &error else {
            panic!("{text}: {error}");
        };
        assert_eq!(*number, 2, "{text}");
        assert!(actual.to_string().starts_with(reason), "{text}: {actual}");
    }
}

#[test]
fn second_default_route_is_refused() {
    let text = json!([
        {"name": "a", "default-route": ["10.0.0.1", "fd00::1"]},
        {"name": "b", "default-route": []},
        {"name": "c", "default-route": ["10.0.0.1"]},
    ]);
    let error = parse_networks(&text.to_string()).unwrap_err();
    assert_eq!(error, NetworksError::TwoDefaultRoutes { first: 1, second: 2 });
}

#[test]
fn empty_default_route_asks_for_that_of_the_network() {
    let asked = |value: serde_json::Value| {
        let text = json!([{"name": "a", "default-route": value}]).to_string();
        parse_networks(&text).unwrap().remove(0).default_route
    };
    assert_eq!(asked(json!([])), DefaultRoute::Own);
    assert_eq!(asked(json!(null)), DefaultRoute::NotAsked);
}

#[test]
fn keys_are_found_as_go_finds_them_and_unknown_ones_named() {
    let text = r#"[{"Name": "a", "NAMESPACE": "x", "namespace": "demo", "IPs": ["10.0.0.1"],
        "macAddress": "02:00:00:00:00:01", "vlan": 200, "com.example.vlan": 200}]"#;
    let [selection] = parse_networks(text).unwrap().try_into().unwrap();
    assert_eq!(selection.namespace, Some("demo".parse().unwrap()));
    assert_eq!((selection.ips, selection.mac), (vec!["10.0.0.1".to_owned()], None));
    assert_eq!(selection.unknown, ["macAddress", "vlan"]);
}

#[test]
fn ipam_claim_excludes_addresses() {
    let parse = |element| parse_networks(&json!([element]).to_string());
    let [selection] =
        parse(json!({"name": "a", "ipam-claim-reference": "vm-a.tenantred", "ips": []}))
            .unwrap()
            .try_into()
            .unwrap();
    assert_eq!(selection.ipam_claim, Some("vm-a.tenantred".parse().unwrap()));
    let both = json!({"name": "a", "ipam-claim-reference": "vm-a", "ips": ["10.0.0.1"]});
    let message = parse(both).unwrap_err().to_string();
    assert!(message.ends_with("it has both ips and ipam-claim-reference: leave one of them out"));
}

#[test]
fn json_error_has_line_and_column() {
    let message = parse_networks("[\n {\"name\" \"a\"}]").unwrap_err().to_string();
    assert_eq!(message, "is not JSON: expected `:` at line 2 column 10; correct it there");
    assert_eq!(parse_networks(r#"{"name": "a"}"#).unwrap_err(), NetworksError::NoList);
}

#[test]
fn long_element_is_cut_in_the_message() {
    let text = json!([{"name": "A".repeat(300)}]).to_string();
    let Err(NetworksError::Element { text, .. }) = parse_networks(&text) else { panic!() };
    assert_eq!(text.chars().count(), 61);
}

/// Promise: new-names
#[test]
fn name_that_the_kernel_would_expand_is_refused() {
    for name in ["net%d", "all", "default"] {
        for text in [format!("a@{name}"), json!([{"name": "a", "interface": name}]).to_string()] {
            let error = parse_networks(&text).unwrap_err().to_string();
            assert!(error.contains(&format!("interface name {name:?}")), "{error}");
        }
    }
}
