use super::*;
use crate::{BondMode, Link, LinkFlag, Vf, View, VlanProtocol};

fn name(text: &str) -> LinkName {
    text.parse().unwrap()
}

fn link(index: u32, text: &str) -> Link {
    let mac = Some(Mac::new([2, 0, 0, 0, 0, 1]));
    Link { mac, mtu: 1500, max_mtu: 9216, ..Link::new(index, name(text)) }
}

/// A node with one VF, with the altname net1, and a pod with a bond of one port, a link
/// that is free, and a bond without ports.
fn view() -> View {
    let bond = Link {
        kind: Some("bond".to_owned()),
        bond: Some(BondOptions::new(BondMode::ActiveBackup)),
        ..link(5, "bond0")
    };
    let port = Link { master: Some(5), state: LinkState::Up, ..link(6, "port") };
    let spare = Link { name: name("bond1"), index: 8, mac: None, max_mtu: 0, ..bond.clone() };
    View {
        host_netns_id: Some(3),
        host: vec![Link { altnames: vec!["net1".to_owned()], lower: Some(9), ..link(3, "vf0") }],
        pod: vec![bond, port, link(7, "free"), spare],
        vfs: vec![Vf {
            pci: "0000:01:10.0".parse().unwrap(),
            pf: "0000:01:00.0".parse().unwrap(),
            pf_link: name("pf0"),
            index: 0,
            driver: None,
            settings: VfSettings { vlan: Some(0), ..VfSettings::default() },
        }],
    }
}

/// One step of each kind, as the view above allows it.
pub(crate) fn one_of_each() -> Vec<Step> {
    let (host, pod) = (LinkRef::host(name("vf0")), LinkRef::pod(name("free")));
    let options = BondOptions::new(BondMode::ActiveBackup);
    let pci = "0000:01:00.0".parse().unwrap();
    let address = "10.56.217.7/24".parse().unwrap();
    let route: Route = serde_json::from_str(r#"{"destination":"0.0.0.0/0"}"#).unwrap();
    let vlan = |vlan| VfSettings { vlan: Some(vlan), ..VfSettings::default() };
    vec![
        Step::AddBond(NewBond {
            at: LinkRef::pod(name("bond2")),
            options: options.clone(),
            mtu: 1500,
            mac: None,
        }),
        Step::RemoveBond(NewBond {
            at: LinkRef::pod(name("bond1")),
            options,
            mtu: 1500,
            mac: None,
        }),
        Step::AddVlan(NewVlan {
            at: LinkRef::pod(name("net3")),
            lower: name("bond0"),
            tag: VlanTag { id: 100, protocol: VlanProtocol::Dot1Ad },
            mtu: 1500,
        }),
        Step::AddStacked(NewStacked {
            at: LinkRef::pod(name("mac0")),
            lower: name("free"),
            kind: "macvlan".to_owned(),
        }),
        Step::AddAltname { at: pod.clone(), altname: "further".to_owned() },
        Step::SetAttributes {
            at: pod.clone(),
            from: LinkAttributes::default(),
            to: LinkAttributes {
                flags: LinkFlag::ALL.into(),
                queue_length: 7,
                alias: "of\na pod".to_owned(),
                ..LinkAttributes::default()
            },
        },
        Step::Enslave { port: pod.clone(), bond: name("bond0") },
        Step::Release { port: LinkRef::pod(name("port")), bond: name("bond0") },
        Step::SetPort {
            port: LinkRef::pod(name("port")),
            from: PortOptions::default(),
            to: serde_json::from_str(r#"{"prio": -3, "queue_id": 2}"#).unwrap(),
        },
        Step::SetPortRole {
            bond: LinkRef::pod(name("bond0")),
            role: PortRole::Primary,
            from: None,
            to: Some(name("port")),
        },
        Step::Move { from: host.clone(), to: LinkRef::pod(name("net1")) },
        Step::Move { from: host.clone(), to: LinkRef::host(name("other")) },
        Step::SetMtu { at: host.clone(), from: 1500, to: 9000 },
        Step::SetMac { at: host.clone(), from: Mac::new([2, 0, 0, 0, 0, 1]), to: Mac::ZERO },
        Step::SetState { at: host.clone(), to: LinkState::Up },
        Step::SetSysctls { at: pod.clone(), sysctls: vec![LinkSysctl::ArpNotify], on: true },
        Step::SetVf { pf: name("pf0"), vf: 0, from: vlan(0), to: vlan(9) },
        Step::SetNumVfs { pf: pci, from: 0, to: 4 },
        Step::BindDriver { pci, from: None, to: Some("vfio-pci".to_owned()) },
        Step::AddAddress { at: pod.clone(), address, dad: Dad::Off },
        Step::RemoveAddress { at: pod.clone(), address, dad: Dad::On },
        Step::AddRoute { at: pod.clone(), route: route.clone() },
        Step::RemoveRoute { at: pod, route },
    ]
}

#[test]
fn inverse_of_inverse_is_the_step() {
    for step in one_of_each() {
        assert_ne!(step.inverse(), step);
        assert_eq!(step.inverse().inverse(), step);
    }
}

#[test]
fn inverse_undoes_the_step_in_a_view() {
    for step in one_of_each() {
        let mut view = view();
        view.apply(&[step.clone(), step.inverse()]);
        assert_eq!(view, self::view(), "{step}");
    }
}

#[test]
fn steps_are_read_as_written() {
    for step in one_of_each() {
        let text = serde_json::to_string(&step).unwrap();
        assert_eq!(serde_json::from_str::<Step>(&text).unwrap(), step, "{text}");
    }
}

#[test]
fn step_is_shown_in_words() {
    let lines: Vec<String> = one_of_each().iter().map(ToString::to_string).collect();
    assert_eq!(lines[0], "create bond bond2 (pod) mode active-backup mtu 1500");
    assert_eq!(lines[2], "create vlan 100 proto 802.1ad net3 (pod) on bond0 mtu 1500");
    let undone = one_of_each()[2].inverse().to_string();
    assert_eq!(undone, "remove vlan 100 proto 802.1ad net3 (pod)");
    assert_eq!(lines[3], "create macvlan mac0 (pod) on free");
    assert_eq!(lines[4], "give free (pod) the altname further");
    let changed = "promisc on, allmulticast on, txqueuelen 7, alias \"of\\na pod\" (was promisc off, allmulticast off, txqueuelen 1000, alias \"\")";
    assert_eq!(lines[5], format!("set free (pod) {changed}"));
    assert_eq!(lines[6], "make free (pod) a port of bond0");
    assert_eq!(lines[9], "set primary of bond0 (pod) to port");
    assert_eq!(lines[10], "move vf0 (host) to net1 (pod)");
    assert_eq!(lines[11], "rename vf0 (host) to other");
    assert_eq!(lines[16], "set VF 0 of pf0 to vlan 9 (was vlan 0)");
}

#[test]
fn kind_is_what_is_serialized() {
    for step in one_of_each() {
        assert_eq!(serde_json::to_value(&step).unwrap()["step"], step.kind());
    }
}
