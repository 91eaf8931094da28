use podbond_cni::Args;
use podbond_kernel::VlanProtocol;
use podbond_kernel::bond::table::{self, Kind, Scope};
use serde_json::json;

use super::draft::DEFAULT_MIIMON;
use super::*;
use crate::error::Error;

/// The documented configuration with keys replaced, or taken away by null.
fn parse(changes: Value) -> Result<Config, Error> {
    let mut conf = json!({
        "type": "bond", "cniVersion": "0.3.1", "name": "bond-net1", "mode": "active-backup",
        "failOverMac": 1, "linksInContainer": true, "miimon": "100", "mtu": 1500,
        "links": [{"name": "net1"}, {"name": "net2"}],
        "ipam": {"type": "host-local", "subnet": "10.56.217.0/24",
                 "routes": [{"dst": "0.0.0.0/0"}], "gateway": "10.56.217.1"}
    });
    let Value::Object(changes) = changes else { unreachable!("changes are an object") };
    for (key, value) in changes {
        if value.is_null() {
            conf.as_object_mut().unwrap().remove(&key);
        } else {
            conf[key] = value;
        }
    }
    Config::parse(&NetConf::parse(conf.to_string().as_bytes()).unwrap(), &Args::default())
}

#[test]
fn documented_configuration_is_read() {
    let config = parse(json!({})).unwrap();
    assert_eq!(config.options.mode, BondMode::ActiveBackup);
    assert_eq!(config.options.number(&table::MIIMON), Some(100));
    assert_eq!(config.fail_over_mac(), FailOverMac::Active);
    assert_eq!(config.mtu, Some(1500));
    assert_eq!(config.links_are, LinksAre::InPod);
    assert_eq!(config.ports.iter().map(LinkName::as_str).collect::<Vec<_>>(), ["net1", "net2"]);
}

#[test]
fn modes_are_read_by_name_and_number() {
    for mode in BondMode::ALL {
        for given in [json!(mode.name()), json!(mode.number()), json!(mode.number().to_string())] {
            let config = parse(json!({ "mode": given })).unwrap();
            assert_eq!(config.options.mode, *mode);
        }
    }
}

#[test]
fn absent_keys_have_defaults() {
    let config =
        parse(json!({"miimon": null, "mtu": null, "failOverMac": null, "linksInContainer": null}))
            .unwrap();
    assert_eq!(config.options.number(&table::MIIMON), Some(DEFAULT_MIIMON));
    assert_eq!(config.mtu, None);
    assert_eq!(config.options.fail_over_mac(), None);
    assert_eq!(config.links_are, LinksAre::OnHost);
}

#[test]
fn spellings_of_bond_cni_are_read() {
    let config = parse(json!({
        "mode": "balance-tlb", "miimon": 50, "mtu": 0, "failOverMac": "follow",
        "allSlavesActive": 1, "tlbDynamicLb": 0, "xmitHashPolicy": "layer3+4"
    }))
    .unwrap();
    assert_eq!(config.options.number(&table::MIIMON), Some(50));
    assert_eq!(config.mtu, None);
    assert_eq!(config.options.fail_over_mac(), Some(FailOverMac::Follow));
    assert_eq!(config.options.number(&table::ALL_SLAVES_ACTIVE), Some(1));
    assert_eq!(config.options.number(&table::TLB_DYNAMIC_LB), Some(0));
    assert_eq!(config.options.number(&table::XMIT_HASH_POLICY), Some(1));
}

#[test]
fn wrong_value_is_refused_with_its_field() {
    let cases = [
        (json!({"mode": null}), "mode is missing"),
        (json!({"mode": "active_backup"}), "mode: \"active_backup\""),
        (json!({"mode": 7}), "mode: 7"),
        (json!({"mode": true}), "mode: true"),
        (json!({"miimon": -1}), "miimon: -1"),
        (json!({"miimon": "-100"}), "miimon: \"-100\""),
        (json!({"miimon": "fast"}), "miimon: \"fast\""),
        (json!({"miimon": 3_000_000_000_u32}), "miimon: 3000000000"),
        (json!({"miimon": 99.5}), "miimon: 99.5 is no whole number"),
        (json!({"mode": ["balance-rr"]}), "mode: [\"balance-rr\"] is no bonding mode"),
        (json!({"mtu": 67}), "mtu: 67"),
        (json!({"mtu": 70000}), "mtu: 70000"),
        (json!({"mtu": "big"}), "mtu: \"big\""),
        (json!({"failOverMac": 3}), "failOverMac: 3"),
        (json!({"xmitHashPolicy": "layer4"}), "xmitHashPolicy: \"layer4\""),
        (json!({"allSlavesActive": 2}), "allSlavesActive: 2"),
        (json!({"tlbDynamicLb": 1}), "tlbDynamicLb"),
        (json!({"links": [{"name": "net1"}]}), "links: 1 given"),
        (json!({"links": []}), "links: 0 given"),
        (json!({"links": [{"name": "net1"}, {"name": "net1"}]}), "net1 is given twice"),
        (json!({"links": [{"name": "net1"}, {"name": "a/b"}]}), "links[1].name"),
        (json!({"links": [{"name": "net1"}, {"nam": "net2"}]}), "links[1]"),
        (
            json!({"links": ["net1", "net2"]}),
            "links[0]: \"net1\" is no object with a name: write it like {\"name\": \"net1\"}",
        ),
        (json!({"ipam": {"type": "bond"}}), "ipam.type"),
        (json!({"mac": "nonsense"}), "mac: MAC address \"nonsense\" is malformed"),
        (json!({"mac": 7}), "mac: 7 is no text: put it in quotes"),
        (json!({"mac": "01:00:5e:00:00:01"}), "mac: 01:00:5e:00:00:01 is not a unicast address"),
        (json!({"vlan": 4095}), "vlan: 4095 is no VLAN ID: give a whole number from 1 to 4094"),
        (json!({"vlan": -1}), "vlan: -1 is no VLAN ID"),
        (json!({"vlan": "ten"}), "vlan: \"ten\" is no VLAN ID"),
        (json!({"vlan": 7, "vlanProto": "qinq"}), "vlanProto: \"qinq\" is unknown: give 802.1q or"),
        (json!({"vlanProto": "802.1q"}), "vlanProto has no effect without vlan"),
        (json!({"vlan": 0, "vlanProto": "802.1ad"}), "vlanProto has no effect without vlan"),
    ];
    for (changes, expected) in cases {
        let message = parse(changes.clone()).unwrap_err().to_string();
        assert!(message.contains(expected), "{changes}: {message}");
    }
}

#[test]
fn links_are_read_from_a_refused_configuration() {
    let conf = |links: Value| {
        let conf = json!({"type": "bond", "name": "n", "mode": "none", "miimon": [],
                          "linksInContainer": true, "links": links});
        Links::of(&NetConf::parse(conf.to_string().as_bytes()).unwrap())
    };
    let names = vec!["net1".parse().unwrap()];
    let links = conf(json!([{"name": "net1"}, {"name": "a/b"}, "net2"]));
    assert_eq!(links, Links { names, are: LinksAre::InPod });
    assert_eq!(conf(json!("net1")).names, []);
}

/// The errors of a configuration with these changes, one by one.
fn errors(changes: Value) -> Vec<String> {
    match parse(changes) {
        Ok(_) => Vec::new(),
        Err(Error::Several(errors)) => errors.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    }
}

#[test]
fn all_violations_are_reported_at_once() {
    let errors = errors(json!({
        "mode": "802.3ad", "failOverMac": null, "arpInterval": 100, "primary": "net9",
        "updelay": 250, "minLinks": 3, "lacpRate": "medium",
        "links": [{"name": "net1", "queueId": 1, "prio": 1}, {"name": "net2", "queueId": 1}]
    }));
    assert_eq!(
        errors,
        [
            "lacpRate: \"medium\" is unknown: give slow (0) or fast (1)",
            "arpInterval belongs to balance-rr, active-backup, balance-xor, broadcast, not to \
             802.3ad: leave it out, or change the mode",
            "primary belongs to active-backup, balance-tlb, balance-alb, not to 802.3ad: leave it \
             out, or change the mode",
            "links[0].prio belongs to active-backup, balance-tlb, balance-alb, not to 802.3ad: \
             leave it out, or change the mode",
            "updelay: 250 ms is no multiple of miimon, 100 ms: give 200 or 300",
            "primary: net9 is not one of the links: name one of them",
            "links[1].queueId: 1 is another link's already: give each link a queue of its own",
            "minLinks: 3 ports are never up, there are 2 links: give 2 or less",
        ]
    );
}

#[test]
fn rules_between_options() {
    let cases = [
        (json!({"arpInterval": 100, "arpIpTarget": "10.0.0.1"}), "exclude each other"),
        (json!({"miimon": null, "arpInterval": 100}), "needs an address to ask for"),
        (json!({"arpIpTarget": ["10.0.0.1"]}), "arpIpTarget has no effect without arpInterval"),
        (json!({"missedMax": 3}), "missedMax has no effect without arpInterval"),
        (json!({"miimon": 0, "downdelay": 100}), "downdelay has no effect without miimon"),
        (
            json!({"miimon": null, "arpInterval": 100, "arpIpTarget": "10.0.0.1", "updelay": 100}),
            "updelay has no effect without miimon",
        ),
        (json!({"numGratArp": 2, "numUnsolNa": 3}), "numGratArp and numUnsolNa are one option"),
        (json!({"activeSlave": "net3"}), "activeSlave: net3 is not one of the links"),
        (json!({"mode": "balance-rr", "lacpRate": 1}), "lacpRate belongs to 802.3ad"),
        (
            json!({"mode": 4, "failOverMac": null, "lacpStrict": true}),
            "lacpStrict has no effect without minLinks",
        ),
        (json!({"linksInContainer": 1}), "linksInContainer: 1 is neither true nor false"),
    ];
    for (changes, expected) in cases {
        let errors = errors(changes.clone());
        assert!(errors.len() == 1 && errors[0].contains(expected), "{changes}: {errors:?}");
    }
    for changes in [
        json!({"mode": 4, "failOverMac": null, "lacpStrict": true, "minLinks": 1}),
        json!({"mode": 4, "failOverMac": null, "lacpStrict": false}),
        // The priorities rule while the primary is down.
        json!({"primary": "net1", "links": [{"name": "net1"}, {"name": "net2", "prio": 2}]}),
    ] {
        assert_eq!(errors(changes.clone()), [""; 0], "{changes}");
    }
}

#[test]
fn vlan_tag_is_read_in_both_spellings() {
    let tag = |changes| parse(changes).unwrap().vlan.map(|tag| (tag.id, tag.protocol));
    let (dot1q, dot1ad) = (VlanProtocol::Dot1Q, VlanProtocol::Dot1Ad);
    assert_eq!(tag(json!({})), None);
    assert_eq!(tag(json!({"vlan": 0})), None);
    assert_eq!(tag(json!({"vlan": 4094})), Some((4094, dot1q)));
    assert_eq!(tag(json!({"vlan": "100", "vlanProto": "802.1Q"})), Some((100, dot1q)));
    assert_eq!(tag(json!({"vlan": 1, "vlanProto": "802.1ad"})), Some((1, dot1ad)));
}

#[test]
fn mac_is_refused_with_fail_over_mac_active() {
    let wish = json!({"mac": "02:00:00:00:00:03"});
    let message = parse(wish.clone()).unwrap_err().to_string();
    assert!(message.starts_with("mac: with failOverMac 1 (active)"), "{message}");
    let runtime = parse(json!({"runtimeConfig": wish})).unwrap_err().to_string();
    assert!(runtime.contains("leave runtimeConfig.mac out"), "{runtime}");
    for changes in [
        json!({"failOverMac": 0}),
        json!({"failOverMac": null}),
        json!({"failOverMac": "follow"}),
        json!({"mode": "balance-xor"}),
    ] {
        let mut changes = changes;
        changes["mac"] = wish["mac"].clone();
        let mac = parse(changes.clone()).unwrap().mac.unwrap().to_string();
        assert_eq!(mac, "02:00:00:00:00:03", "{changes}");
    }
}

#[test]
fn arp_monitoring_replaces_miimon() {
    let config = parse(json!({"miimon": null, "arpInterval": 100, "arpIpTarget": "10.0.0.1"}));
    assert_eq!(config.unwrap().options.number(&table::MIIMON), Some(0));
}

#[test]
fn strict_refuses_keys_without_effect() {
    let changes = json!({"strict": true, "failOverMak": 1, "cni.dev/x": 1, "lpInterval": 2});
    assert_eq!(
        errors(changes),
        [
            "failOverMak: an unknown key, without effect (did you mean failOverMac?): correct the \
             key, or leave it out (unknown-key), which strict forbids",
            "lpInterval: it has no effect in mode active-backup, only in balance-tlb, balance-alb: \
             leave it out, or change the mode (option-without-effect), which strict forbids",
        ]
    );
}

#[test]
fn every_option_is_read_by_its_key() {
    for option in table::all().filter(|option| option.kind != Kind::Port) {
        let value: Value = serde_json::from_str(option.example).unwrap();
        let mut changes = json!({
            "mode": option.modes[0].name(), "failOverMac": null, "miimon": null,
        });
        match option.scope {
            Scope::Bond => {
                for (name, value) in option.needs {
                    let needed = table::find(name).unwrap();
                    changes[needed.key] = serde_json::from_str(value).unwrap();
                }
                changes[option.key] = value;
                let config = parse(changes).unwrap();
                assert!(config.options.get(option).is_some(), "{}", option.key);
            }
            Scope::Port => {
                changes["links"] = json!([{"name": "net1"}, {"name": "net2"}]);
                changes["links"][1][option.key] = value;
                let config = parse(changes).unwrap();
                let name: LinkName = "net2".parse().unwrap();
                assert!(config.port_options[&name].number(option).is_some(), "{}", option.key);
            }
        }
    }
}
