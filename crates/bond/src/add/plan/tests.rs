use podbond_cni::{Args, NetConf};
use podbond_kernel::{LinkAttributes, Vf, VfSettings};
use podbond_names::PciAddress;
use serde_json::{Value, json};

use super::*;
use crate::finding::Severity;

/// Nothing is known beside the view but that the PFs are igb's and have set the addresses of their VFs.
fn plan(config: &Config, ifname: &LinkName, view: &View) -> Result<Plan, Error> {
    let mut view = view.clone();
    for (vf, link) in view.vfs.iter_mut().zip(&view.pod) {
        vf.settings.mac = link.mac;
    }
    let pf_drivers = view.vfs.iter().map(|vf| (vf.pf, "igb".to_owned())).collect();
    let around = Surroundings { pf_drivers, ..Surroundings::default() };
    super::plan(config, ifname, &view, &around)
}

pub(crate) fn name(text: &str) -> LinkName {
    text.parse().unwrap()
}

pub(crate) fn pci(index: u8) -> PciAddress {
    format!("0000:0{index}:10.0").parse().unwrap()
}

pub(crate) fn config(changes: &Value) -> Config {
    let mut conf = json!({
        "type": "bond", "cniVersion": "0.3.1", "name": "bond-net1", "mode": "active-backup",
        "failOverMac": 1, "linksInContainer": true, "mtu": 1500,
        "links": [{"name": "net1"}, {"name": "net2"}]
    });
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            conf.as_object_mut().unwrap().remove(key);
        } else {
            conf[key] = value.clone();
        }
    }
    Config::parse(&NetConf::parse(conf.to_string().as_bytes()).unwrap(), &Args::default()).unwrap()
}

pub(crate) fn link(index: u32, text: &str) -> Link {
    Link {
        index,
        name: name(text),
        altnames: Vec::new(),
        kind: None,
        mac: Some(format!("02:00:00:00:00:{index:02x}").parse().unwrap()),
        permanent_mac: None,
        mtu: 1500,
        max_mtu: 0,
        state: LinkState::Up,
        carrier: true,
        master: None,
        lower: None,
        lower_elsewhere: None,
        attributes: LinkAttributes::default(),
        parent: u8::try_from(index).ok().map(pci),
        vlan: None,
        bond: None,
        aggregator: None,
        port: None,
    }
}

/// Two links of the pod that are VFs, trusted or not.
pub(crate) fn two_vfs(trust: bool) -> View {
    let vf = |index: u8| Vf {
        pci: pci(index),
        pf: format!("0000:0{index}:00.0").parse().unwrap(),
        pf_link: name(&format!("pf{index}")),
        index: 0,
        driver: Some("igbvf".to_owned()),
        settings: VfSettings { trust: Some(trust), ..VfSettings::default() },
    };
    View { pod: vec![link(2, "net1"), link(3, "net2")], vfs: vec![vf(2), vf(3)], ..View::default() }
}

fn words(steps: &[Step]) -> Vec<String> {
    steps.iter().map(ToString::to_string).collect()
}

#[test]
fn documented_bond_takes_six_steps() {
    let plan = plan(&config(&json!({})), &name("net3"), &two_vfs(false)).unwrap();
    assert_eq!(
        words(&plan.steps),
        [
            "create bond net3 (pod) mode active-backup fail_over_mac active miimon 100 mtu 1500",
            "bring net1 (pod) down",
            "make net1 (pod) a port of net3",
            "bring net2 (pod) down",
            "make net2 (pod) a port of net3",
            "bring net3 (pod) up",
        ]
    );
    assert!(plan.findings.is_empty());
}

#[test]
fn host_links_are_moved_before_they_are_enslaved() {
    let mut view = two_vfs(false);
    std::mem::swap(&mut view.host, &mut view.pod);
    view.host[1].state = LinkState::Down;
    let plan = plan(&config(&json!({"linksInContainer": false})), &name("net3"), &view).unwrap();
    assert_eq!(
        words(&plan.steps)[1..6],
        [
            "bring net1 (host) down",
            "move net1 (host) to net1 (pod)",
            "make net1 (pod) a port of net3",
            "move net2 (host) to net2 (pod)",
            "make net2 (pod) a port of net3",
        ]
    );
}

#[test]
fn undoing_the_plan_restores_the_view() {
    for in_pod in [true, false] {
        let mut before = two_vfs(true);
        if !in_pod {
            std::mem::swap(&mut before.host, &mut before.pod);
        }
        let config = config(&json!({"linksInContainer": in_pod, "mode": "balance-xor"}));
        let plan = plan(&config, &name("net3"), &before).unwrap();
        let mut view = before.clone();
        view.apply(&plan.steps);
        assert_ne!(view, before);
        let inverse: Vec<Step> = plan.steps.iter().rev().map(Step::inverse).collect();
        view.apply(&inverse);
        view.host.sort_by_key(|link| link.index);
        assert_eq!(view, before);
    }
}

#[test]
fn absent_mtu_is_1500_or_the_smallest_ports() {
    for (mtus, wanted, found) in [
        ([1500, 1400], 1400, 0),
        ([1500, 1500], 1500, 0),
        ([9000, 1500], 1500, 0),
        ([9000, 4000], 1500, 1),
    ] {
        let mut view = two_vfs(false);
        for (port, mtu) in view.pod.iter_mut().zip(mtus) {
            port.mtu = mtu;
        }
        let config = config(&json!({"mtu": 0}));
        let plan = plan(&config, &name("net3"), &view).unwrap();
        assert!(matches!(&plan.steps[0], Step::AddBond(bond) if bond.mtu == wanted), "{mtus:?}");
        assert_eq!(plan.findings.len(), found, "{mtus:?}");
    }
}

#[test]
fn trust_is_needed_where_a_mac_changes() {
    let refused = |changes: Value, view: &View| match plan(&config(&changes), &name("net3"), view) {
        Ok(plan) => {
            assert!(plan.findings.is_empty());
            None
        }
        Err(error) => Some(error.to_string()),
    };
    for mode in ["balance-rr", "balance-xor"] {
        let message =
            refused(json!({ "mode": mode, "failOverMac": null }), &two_vfs(false)).unwrap();
        // The first port keeps its address, since the bond takes it.
        assert!(message.contains("port net2: mode"), "{message}");
        assert_eq!(refused(json!({ "mode": mode, "failOverMac": null }), &two_vfs(true)), None);
        let mut same = two_vfs(false);
        same.pod[1].mac = same.pod[0].mac;
        assert_eq!(refused(json!({ "mode": mode, "failOverMac": null }), &same), None);
    }
    for fail_over_mac in [0, 2] {
        let changes = json!({ "failOverMac": fail_over_mac });
        let message = refused(changes.clone(), &two_vfs(false)).unwrap();
        assert!(message.contains("set failOverMac to 1"), "{message}");
        assert_eq!(refused(changes, &two_vfs(true)), None);
    }
}

#[test]
fn allow_untrusted_warns_instead() {
    let config =
        config(&json!({"mode": "balance-rr", "failOverMac": null, "allowUntrusted": true}));
    let plan = plan(&config, &name("net3"), &two_vfs(false)).unwrap();
    assert!(matches!(&plan.findings[..], [Finding {
        kind,
        severity: Severity::Warning,
        object: Object::Ports(ports),
        ..
    }] if **kind == kind::SHARED_MAC_OVER_UNTRUSTED && *ports == [name("net2")]));
}

#[test]
fn links_without_vf_need_no_trust() {
    let mut view = two_vfs(false);
    view.vfs.clear();
    assert!(plan(&config(&json!({"mode": "balance-rr"})), &name("net3"), &view).is_ok());
}

#[test]
fn obstacles_are_named() {
    let config_default = config(&json!({}));
    let message = |view: &View| plan(&config_default, &name("net3"), view).unwrap_err().to_string();
    let mut missing = two_vfs(false);
    missing.pod.remove(1);
    assert!(message(&missing).contains("there is no net2 in the pod: list the network"));

    let mut taken = two_vfs(false);
    taken.pod.push(link(9, "bond7"));
    taken.pod[0].master = Some(9);
    assert!(message(&taken).contains("net1 is already a port of bond7"));

    let mut name_taken = two_vfs(false);
    name_taken.pod.push(link(9, "net3"));
    assert!(message(&name_taken).contains("the pod has a link net3 already"));

    let own = plan(&config_default, &name("net1"), &two_vfs(false)).unwrap_err().to_string();
    assert!(own.contains("net1 is the name of the bond itself: list"), "{own}");

    let mut small = two_vfs(false);
    small.pod[1].mtu = 1400;
    assert!(message(&small).contains("mtu: 1500 is larger than the 1400 of port net2"));

    let mut on_host = two_vfs(false);
    on_host.host = on_host.pod.clone();
    let moving = config(&json!({"linksInContainer": false}));
    let error = plan(&moving, &name("net3"), &on_host).unwrap_err();
    assert!(matches!(error, Error::NameTaken { name } if name.as_str() == "net1"));
}

#[test]
fn ports_get_options_and_roles() {
    let links = json!([{"name": "net1", "queueId": 2}, {"name": "net2", "queueId": "3"}]);
    let config = config(&json!({"links": links, "primary": "net2", "activeSlave": "net1"}));
    let steps = plan(&config, &name("net3"), &two_vfs(false)).unwrap().steps;
    assert_eq!(
        words(&steps)[2..],
        [
            "make net1 (pod) a port of net3",
            "set port net1 (pod) to queue_id 2 (was queue_id 0)",
            "bring net2 (pod) down",
            "make net2 (pod) a port of net3",
            "set port net2 (pod) to queue_id 3 (was queue_id 0)",
            "set primary of net3 (pod) to net2",
            "bring net3 (pod) up",
            "set active_slave of net3 (pod) to net1",
        ]
    );
}

#[test]
fn keys_without_effect_are_warnings() {
    let config = config(&json!({"failOverMak": 1, "xmitHashPolicy": "layer2"}));
    let plan = plan(&config, &name("net3"), &two_vfs(false)).unwrap();
    let texts: Vec<String> = plan.findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "failOverMak: an unknown key, without effect (did you mean failOverMac?): correct \
             the key, or leave it out (unknown-key)",
            "xmitHashPolicy: it has no effect in mode active-backup, only in balance-xor, 802.3ad, \
             balance-tlb, balance-alb: leave it out, or change the mode (option-without-effect)",
        ]
    );
}

#[test]
fn vlan_interface_is_on_a_bond_named_after_it() {
    let config = config(&json!({"vlan": 100, "mtu": null, "mac": "02:00:00:00:00:77",
                                "failOverMac": 0, "linksInContainer": true}));
    let mut view = two_vfs(true);
    view.pod[1].mtu = 1400;
    let steps = words(&plan(&config, &name("net3"), &view).unwrap().steps);
    assert_eq!(
        [&steps[..1], &steps[steps.len() - 3..]].concat(),
        [
            "create bond net3-bond (pod) mode active-backup fail_over_mac none miimon 100 mtu 1400 \
             address 02:00:00:00:00:77",
            "bring net3-bond (pod) up",
            "create vlan 100 net3 (pod) on net3-bond mtu 1400",
            "bring net3 (pod) up",
        ]
    );
    let refused =
        |view: &View, ifname: &str| plan(&config, &name(ifname), view).unwrap_err().to_string();
    view.pod.push(link(9, "net3-bond"));
    let message = refused(&view, "net3");
    assert!(message.contains("below net3 would be called net3-bond, and the pod has"), "{message}");
    view.pod[2].name = name("net3");
    assert!(refused(&view, "net3").contains("the pod has a link net3 already"));
    view.pod[2].name = name("net3-bond");
    let links = json!([{"name": "net1"}, {"name": "net3-bond"}]);
    let config = self::config(&json!({"vlan": 100, "links": links}));
    let message = plan(&config, &name("net3"), &view).unwrap_err().to_string();
    assert!(message.contains("would be called net3-bond, and one of the links"), "{message}");
}

#[test]
fn equal_mac_is_replaced_where_the_mode_needs_it() {
    let mut view = two_vfs(true);
    view.pod[1].mac = view.pod[0].mac;
    let planned = |mode: &str, view: &View| {
        plan(&config(&json!({"mode": mode, "failOverMac": null})), &name("net3"), view).unwrap()
    };
    for mode in ["balance-tlb", "balance-alb"] {
        let plan = planned(mode, &view);
        let [finding] = &plan.findings[..] else { panic!("{:?}", plan.findings) };
        assert_eq!(
            (finding.kind, &finding.object.names()[..]),
            (&kind::EQUAL_MACS, &["net2".to_owned()][..])
        );
        let replaced = plan.steps.iter().find_map(|step| match step {
            Step::SetMac { from, to, .. } => Some((*from, *to)),
            _ => None,
        });
        let (mac, replacement) = replaced.unwrap();
        assert_eq!(Some(mac), view.pod[0].mac);
        let set = format!("set mac of net2 (pod) to {replacement} (was {mac})");
        assert_eq!(
            words(&plan.steps)[3..6],
            ["bring net2 (pod) down".to_owned(), set, "make net2 (pod) a port of net3".to_owned()]
        );
        let said = finding.to_string();
        assert!(said.contains(&format!("net2: it has the MAC address of net1, {mac}")), "{said}");
        assert!(said.contains(&format!("it gets {replacement} ")), "{said}");
    }
    for mode in ["balance-rr", "802.3ad"] {
        let plan = planned(mode, &view);
        assert!(plan.findings.is_empty(), "{:?}", plan.findings);
        assert!(!plan.steps.iter().any(|step| matches!(step, Step::SetMac { .. })));
    }
}

#[test]
fn own_mac_needs_trust_of_all_ports() {
    let wanted = json!({"mode": "balance-xor", "failOverMac": null, "mac": "02:00:00:00:00:77"});
    let message = plan(&config(&wanted), &name("net3"), &two_vfs(false)).unwrap_err().to_string();
    assert!(message.contains("their VFs are not trusted"), "{message}");
    assert!(plan(&config(&wanted), &name("net3"), &two_vfs(true)).is_ok());
    for mode in ["balance-tlb", "balance-alb"] {
        let changes = json!({"mode": mode, "failOverMac": null});
        let error = plan(&config(&changes), &name("net3"), &two_vfs(false)).unwrap_err();
        assert!(error.to_string().contains("their VFs are not trusted"), "{error}");
    }
}
