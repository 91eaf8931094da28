use std::convert::Infallible;

use podbond_cni::{Args, ContainerId, NetConf};
use podbond_kernel::{
    Link, LinkAttributes, LinkFlag, LinkState, NetnsIdentity, VlanProtocol, VlanTag,
};
use podbond_names::{LinkName, Mac};
use serde_json::{Value, json};

use super::*;
use crate::add::plan::plan;
use crate::config::Config;
use crate::inspect::Surroundings;
use crate::record::Function;

fn name(text: &str) -> LinkName {
    text.parse().unwrap()
}

fn mac(last: u8) -> Mac {
    Mac::new([2, 0, 0, 0, 0, last])
}

fn config(changes: &Value) -> Config {
    let mut conf = json!({
        "type": "bond", "name": "bond-net1", "mode": "active-backup", "failOverMac": 1,
        "linksInContainer": true, "links": [{"name": "net1"}, {"name": "net2"}]
    });
    for (key, value) in changes.as_object().unwrap() {
        conf[key] = value.clone();
    }
    let conf = NetConf::parse(conf.to_string().as_bytes()).unwrap();
    Config::parse(&conf, &Args::default()).unwrap()
}

fn link(index: u32, text: &str) -> Link {
    Link {
        index,
        name: name(text),
        altnames: Vec::new(),
        kind: None,
        mac: Some(mac(u8::try_from(index).unwrap())),
        permanent_mac: None,
        mtu: 1500,
        max_mtu: 0,
        state: LinkState::Up,
        carrier: true,
        master: None,
        lower: None,
        lower_elsewhere: None,
        attributes: LinkAttributes::default(),
        parent: None,
        vlan: None,
        bond: None,
        aggregator: None,
        port: None,
    }
}

fn in_pod() -> View {
    View { pod: vec![link(2, "net1"), link(3, "net2")], ..View::default() }
}

fn on_host() -> View {
    let mut view = in_pod();
    std::mem::swap(&mut view.host, &mut view.pod);
    view.host[1].state = LinkState::Down;
    view
}

fn links(are: LinksAre) -> Links {
    Links { names: vec![name("net1"), name("net2")], are }
}

/// What the ADD of `net3` records.
fn recorded(changes: &Value, view: &View) -> BondRecord {
    recorded_where(changes, view, false)
}

fn recorded_where(changes: &Value, view: &View, may_have_several_links: bool) -> BondRecord {
    let config = config(changes);
    let plan = plan(&config, &name("net3"), view, &Surroundings::default()).unwrap();
    let function = Function { may_have_several_links, ..Function::default() };
    BondRecord::of(plan.steps, &config, view, |_| Ok::<_, Infallible>(function.clone())).unwrap()
}

/// DEL laid over a view, `meanwhile` standing for what the driver does when the bond goes; gives
/// what was done.
fn remove_with(
    are: LinksAre,
    view: &mut View,
    bond: &BondRecord,
    meanwhile: impl Fn(&mut View),
) -> Vec<String> {
    let (before, ifname) = (view.clone(), name("net3"));
    let mut steps = remove_bond(&ifname, &before, bond);
    view.apply(&steps);
    meanwhile(view);
    let reclaimed = match are {
        LinksAre::OnHost => reclaim_ports(view, bond),
        LinksAre::InPod => Vec::new(),
    };
    view.apply(&reclaimed);
    steps.extend(reclaimed);
    let back = restore_ports(&links(are), &ifname, &before, view, bond);
    view.apply(&back);
    view.host.sort_by_key(|link| link.index);
    steps.extend(back);
    steps.iter().map(ToString::to_string).collect()
}

fn remove(are: LinksAre, view: &mut View, bond: &BondRecord) -> Vec<String> {
    remove_with(are, view, bond, |_| {})
}

fn from_host() -> (View, BondRecord) {
    let before = on_host();
    let bond = recorded(&json!({"linksInContainer": false}), &before);
    (before, bond)
}

#[test]
fn host_links_return_as_they_were() {
    let (before, bond) = from_host();
    let mut view = before.clone();
    view.apply(&bond.steps);
    remove(LinksAre::OnHost, &mut view, &bond);
    assert_eq!(view, before);
    let again = remove(LinksAre::OnHost, &mut view, &bond);
    assert!(again.is_empty(), "a second removal has nothing to do: {again:?}");
}

#[test]
fn killed_add_and_bond_of_another_plugin_are_undone() {
    let (before, bond) = from_host();
    // bond-cni keeps no record: that it is the bond's port is enough.
    let mut view = before.clone();
    view.apply(&bond.steps);
    remove(LinksAre::OnHost, &mut view, &BondRecord::default());
    assert_eq!((view.host.len(), view.pod.len()), (2, 0));
    // After each step that an ADD may have come to.
    for reached in 0..bond.steps.len() {
        let mut view = before.clone();
        view.apply(&bond.steps[..reached]);
        remove(LinksAre::OnHost, &mut view, &bond);
        assert_eq!(view, before, "after {reached} steps");
    }
}

#[test]
fn port_returned_by_the_kernel_is_brought_up() {
    let (mut view, bond) = from_host();
    view.host[0].state = LinkState::Down;
    assert_eq!(remove(LinksAre::OnHost, &mut view, &bond), ["bring net1 (host) up"]);
}

/// Promise: del-name-taken
#[test]
fn port_is_renamed_when_its_host_name_is_taken() {
    let altname = Link { altnames: vec!["net1".to_owned()], ..link(9, "eth9") };
    for mut stranger in [link(9, "net1"), altname] {
        stranger.state = LinkState::Down;
        let (mut before, bond) = from_host();
        let mut view = before.clone();
        view.apply(&bond.steps);
        view.host.push(stranger.clone());
        let said = remove(LinksAre::OnHost, &mut view, &bond);
        assert!(said.contains(&"move net1 (pod) to dev2 (host)".to_owned()), "{said:?}");
        before.host[0].name = name("dev2");
        before.host.push(stranger);
        assert_eq!(view, before);
    }
}

#[test]
fn port_gets_a_free_host_name() {
    let (before, bond) = from_host();
    let mut view = before;
    view.apply(&bond.steps);
    view.host.extend([link(8, "dev2"), link(9, "net1")]);
    let said = remove(LinksAre::OnHost, &mut view, &bond);
    assert!(said.contains(&"move net1 (pod) to dev3 (host)".to_owned()), "{said:?}");
}

/// Promise: del-name-taken
#[test]
fn port_returned_under_another_name_is_found_by_function() {
    let function = Some("0000:03:10.0".parse().unwrap());
    let mut before = on_host();
    before.host[0].parent = function;
    let bond = recorded(&json!({"linksInContainer": false}), &before);
    let came_back = Link { parent: function, state: LinkState::Down, mtu: 1400, ..link(7, "dev2") };
    let stranger = Link { state: LinkState::Down, ..link(9, "net1") };
    let mut view = before.clone();
    view.host[0] = came_back.clone();
    view.host.push(stranger.clone());
    let mac = "(host) to 02:00:00:00:00:02 (was 02:00:00:00:00:07)";
    let said = [
        "set mtu of dev2 (host) to 1500 (was 1400)".to_owned(),
        format!("set mac of dev2 {mac}"),
        "bring dev2 (host) up".to_owned(),
    ];
    assert_eq!(remove(LinksAre::OnHost, &mut view, &bond), said);
    // Once the name is free, it is the port's again.
    view.host = vec![came_back];
    let said = [
        "rename dev2 (host) to net1".to_owned(),
        "set mtu of net1 (host) to 1500 (was 1400)".to_owned(),
        format!("set mac of net1 {mac}"),
        "bring net1 (host) up".to_owned(),
    ];
    assert_eq!(remove(LinksAre::OnHost, &mut view, &bond), said);
    // Somebody works with it.
    view.host = vec![Link { parent: function, ..link(7, "dev2") }];
    assert!(remove(LinksAre::OnHost, &mut view, &bond).is_empty());
    // It is not there, and another link has its name.
    view.host = vec![stranger];
    assert!(remove(LinksAre::OnHost, &mut view, &bond).is_empty());
}

#[test]
fn port_among_links_of_a_function_is_found_by_mac() {
    let function = Some("0000:03:00.0".parse().unwrap());
    let mut before = on_host();
    before.host[0].parent = function;
    let bond = recorded(&json!({"linksInContainer": false}), &before);
    let of_pf =
        |index, text| Link { parent: function, state: LinkState::Down, ..link(index, text) };
    let mut view = View { host: vec![of_pf(7, "pf0vf0"), of_pf(8, "pf0vf1")], ..View::default() };
    assert!(remove(LinksAre::OnHost, &mut view, &bond).is_empty());
    view.host.push(Link { mac: Some(mac(2)), ..of_pf(9, "dev2") });
    let said = ["rename dev2 (host) to net1", "bring net1 (host) up"];
    assert_eq!(remove(LinksAre::OnHost, &mut view, &bond), said);
}

/// Promise: del-name-taken
#[test]
fn port_among_links_of_a_function_is_found_by_permanent_mac() {
    let function = Some("0000:03:00.0".parse().unwrap());
    let mut before = on_host();
    before.host[0].parent = function;
    before.host[0].permanent_mac = Some(mac(2));
    let changes = json!({"linksInContainer": false});
    // Alone of its function, it is the port whatever its driver calls permanent.
    let closed = Link { permanent_mac: Some(mac(7)), ..before.host[0].clone() };
    assert!(recorded(&changes, &before).ports[0].may_be(&closed));
    let bond = recorded_where(&changes, &before, true);
    assert!(!bond.ports[0].may_be(&closed));
    let of_card = |index, text, permanent_mac| Link {
        parent: function,
        permanent_mac,
        state: LinkState::Down,
        ..link(index, text)
    };
    // The second port of a card with one function for both, alone and by the first one's name.
    for name in ["eth2", "net1"] {
        let sibling = of_card(7, name, Some(mac(7)));
        let mut view = View { host: vec![sibling], ..View::default() };
        assert!(remove(LinksAre::OnHost, &mut view, &bond).is_empty(), "{name}");
    }
    // A representor beside it, which has none.
    let port = Link { mac: Some(mac(2)), ..of_card(8, "dev2", Some(mac(2))) };
    let mut view = View { host: vec![of_card(7, "pf0vf0", None), port], ..View::default() };
    let said = ["rename dev2 (host) to net1", "bring net1 (host) up"];
    assert_eq!(remove(LinksAre::OnHost, &mut view, &bond), said);
}

#[test]
fn port_renamed_in_the_pod_returns_under_its_name() {
    let mut before = on_host();
    before.host[0].parent = Some("0000:03:10.0".parse().unwrap());
    before.host[1].parent = Some("0000:03:10.1".parse().unwrap());
    let bond = recorded(&json!({"linksInContainer": false, "mtu": 1400}), &before);
    for names in [["other", "net2"], ["net2", "net1"]] {
        let mut view = before.clone();
        view.apply(&bond.steps);
        let ports = view.pod.iter_mut().filter(|link| link.parent.is_some());
        for (port, new) in ports.zip(names) {
            port.name = name(new);
        }
        remove(LinksAre::OnHost, &mut view, &bond);
        assert_eq!(view, before, "{names:?}");
    }
}

#[test]
fn other_links_are_left_unchanged() {
    for are in [LinksAre::InPod, LinksAre::OnHost] {
        let mut view = in_pod();
        view.pod.push(link(4, "net3"));
        // Another attachment's bond.
        let bond = Some(config(&json!({})).options);
        view.pod.push(Link { bond, ..link(5, "net3-bond") });
        let said = remove(are, &mut view, &BondRecord::default());
        assert!(said.is_empty(), "{said:?}");
    }
}

#[test]
fn ports_in_the_pod_are_up_again() {
    let before = in_pod();
    for known in [recorded(&json!({}), &before), BondRecord::default()] {
        let mut view = before.clone();
        view.apply(&recorded(&json!({}), &before).steps);
        remove(LinksAre::InPod, &mut view, &known);
        assert_eq!(view, before);
    }
}

#[test]
fn ports_that_were_down_stay_down() {
    let mut before = in_pod();
    before.pod[1].state = LinkState::Down;
    let bond = recorded(&json!({}), &before);
    let mut view = before.clone();
    view.apply(&bond.steps);
    remove(LinksAre::InPod, &mut view, &bond);
    assert_eq!(view, before);
}

#[test]
fn ports_are_restored_when_the_bond_is_gone() {
    let before = in_pod();
    let bond = recorded(&json!({}), &before);
    let mut view = before.clone();
    view.apply(&bond.steps);
    view.apply(&remove_bond(&name("net3"), &view, &bond));
    view.pod[0].mac = Some(mac(9));
    assert_eq!(
        remove(LinksAre::InPod, &mut view, &bond),
        [
            "set mac of net1 (pod) to 02:00:00:00:00:02 (was 02:00:00:00:00:09)",
            "bring net1 (pod) up",
            "bring net2 (pod) up",
        ]
    );
    assert_eq!(view, before);
}

#[test]
fn mtu_and_mac_are_restored() {
    for (are, before) in [(LinksAre::InPod, in_pod()), (LinksAre::OnHost, on_host())] {
        let in_container = are == LinksAre::InPod;
        let changes = json!({"linksInContainer": in_container, "mtu": 1400});
        let bond = recorded(&changes, &before);
        let mut view = before.clone();
        view.apply(&bond.steps);
        let ill = |view: &mut View| view.pod[1].mac = Some(mac(2));
        remove_with(are, &mut view, &bond, ill);
        assert_eq!(view, before);
    }
}

#[test]
fn ports_never_keep_equal_macs() {
    let mut before = in_pod();
    before.pod[1].mac = before.pod[0].mac;
    for mode in ["balance-xor", "balance-alb"] {
        let bond = recorded(&json!({"mode": mode, "failOverMac": 0}), &before);
        let mut view = before.clone();
        view.apply(&bond.steps);
        remove(LinksAre::InPod, &mut view, &bond);
        let given = view.pod[1].mac.unwrap();
        assert_eq!(view.pod[0].mac, before.pod[0].mac);
        assert_eq!(given.bytes()[0] & 3, 2, "{given}");
        // The same as in the bond, where the mode wanted another one.
        let in_bond = bond.steps.iter().find_map(|step| match step {
            Step::SetMac { to, .. } => Some(*to),
            _ => None,
        });
        assert!(in_bond.is_none_or(|mac| mac == given), "{in_bond:?} {given}");

        let mut of_hardware = before.clone();
        of_hardware.pod[1].permanent_mac = Some(mac(7));
        let mut view = of_hardware.clone();
        view.apply(&bond.steps);
        remove(LinksAre::InPod, &mut view, &bond);
        assert_eq!(view.pod[1].mac, Some(mac(7)));
    }
}

/// Promise: port-found-in-pod
#[test]
fn port_in_a_bond_of_the_pods_own_returns() {
    let (before, bond) = from_host();
    let mut view = before.clone();
    view.apply(&bond.steps);
    view.pod.push(link(9, "other"));
    let taken = |view: &mut View| {
        for port in view.pod.iter_mut().filter(|link| link.name.as_str() == "net1") {
            port.master = Some(9);
        }
    };
    let said = remove_with(LinksAre::OnHost, &mut view, &bond, taken);
    let expected = [
        "remove bond net3 (pod)",
        "take port net1 (pod) out of other",
        "move net1 (pod) to net1 (host)",
        "bring net1 (host) up",
        "move net2 (pod) to net2 (host)",
    ];
    assert_eq!((said, view.host), (expected.map(str::to_owned).to_vec(), before.host));
    // A link that an earlier attachment has put into the pod is the pod's.
    let before = in_pod();
    let bond = recorded(&json!({}), &before);
    let mut view = before;
    view.apply(&bond.steps);
    view.pod.push(link(9, "other"));
    let said = remove_with(LinksAre::InPod, &mut view, &bond, taken);
    assert_eq!(said, ["remove bond net3 (pod)", "bring net2 (pod) up"]);
}

/// Promise: port-found-in-pod
#[test]
fn link_of_the_node_returns_without_what_the_pod_did_to_it() {
    let mut before = on_host();
    before.host[0].altnames = vec!["own".to_owned(), "taken".to_owned()];
    let bond = recorded(&json!({"linksInContainer": false}), &before);
    let mut view = before.clone();
    view.apply(&bond.steps);
    let stranger = Link { altnames: vec!["taken".to_owned()], ..link(90, "eth9") };
    view.host.push(stranger.clone());
    let of_pod = |view: &mut View| {
        let port = view.pod.iter_mut().find(|link| link.name.as_str() == "net1").unwrap();
        port.name = name("renamed");
        port.altnames.push("net1".to_owned());
        port.attributes = LinkAttributes {
            flags: LinkFlag::ALL.into(),
            alias: "mine".to_owned(),
            ..LinkAttributes::default()
        };
        let lower = Some(port.index);
        let kind = |kind: &str| Some(kind.to_owned());
        view.pod.push(Link { kind: kind("macvlan"), lower, ..link(20, "mac0") });
        // It has an end in the pod, and does not stand on it.
        view.pod.push(Link { kind: kind("veth"), lower, ..link(21, "veth0") });
        // Other links, one with the port's name, one with its address.
        view.pod.push(Link { kind: kind("bridge"), ..link(22, "net1") });
        view.pod.push(Link { kind: kind("vlan"), mac: Some(mac(2)), ..link(23, "vlan0") });
    };
    let said = remove_with(LinksAre::OnHost, &mut view, &bond, of_pod);
    let expected = [
        "remove bond net3 (pod)",
        "remove macvlan mac0 (pod)",
        "take the altname taken from renamed (pod)",
        "take the altname net1 from renamed (pod)",
        "set renamed (pod) promisc off, allmulticast off, alias \"\" (was promisc on, allmulticast on, alias \"mine\")",
        "move renamed (pod) to net1 (host)",
        "bring net1 (host) up",
        "move net2 (pod) to net2 (host)",
    ];
    assert_eq!(said, expected);
    before.host[0].altnames.pop();
    before.host.push(stranger);
    assert_eq!(view.host, before.host);
    let names: Vec<&str> = view.pod.iter().map(|link| link.name.as_str()).collect();
    assert_eq!(names, ["veth0", "net1", "vlan0"]);
}

/// Promise: port-found-in-pod
#[test]
fn port_whose_address_two_links_have_is_left_unchanged() {
    let (before, bond) = from_host();
    let mut view = before;
    view.apply(&bond.steps);
    let twice = |view: &mut View| {
        let port = view.pod.iter_mut().find(|link| link.name.as_str() == "net1").unwrap();
        port.name = name("renamed");
        let other = Link { index: 20, name: name("other"), ..port.clone() };
        view.pod.push(other);
    };
    let said = remove_with(LinksAre::OnHost, &mut view, &bond, twice);
    assert_eq!(said, ["remove bond net3 (pod)", "move net2 (pod) to net2 (host)"]);
}

/// Promise: port-found-in-pod
#[test]
fn renamed_bond_is_removed() {
    for (are, before) in [(LinksAre::InPod, in_pod()), (LinksAre::OnHost, on_host())] {
        let bond = recorded(&json!({"linksInContainer": are == LinksAre::InPod}), &before);
        let mut view = before.clone();
        view.apply(&bond.steps);
        view.pod.iter_mut().find(|link| link.bond.is_some()).unwrap().name = name("other");
        assert_eq!(remove(are, &mut view, &bond)[0], "remove bond other (pod)");
        assert_eq!(view, before);
        // Without a record nobody knows whose it is.
        let mut view = before.clone();
        view.apply(&bond.steps);
        view.pod.iter_mut().find(|link| link.bond.is_some()).unwrap().name = name("other");
        assert!(remove(are, &mut view, &BondRecord::default()).is_empty());
    }
}

#[test]
fn altnames_of_a_vf_are_given_to_its_new_link() {
    let function = Some("0000:03:10.0".parse().unwrap());
    let mut before = on_host();
    (before.host[0].parent, before.host[0].altnames) =
        (function, vec!["own".to_owned(), "taken".to_owned(), "kept".to_owned()]);
    let bond = recorded(&json!({"linksInContainer": false}), &before);
    let altnames = vec!["kept".to_owned()];
    let renewed = Link { parent: function, state: LinkState::Down, altnames, ..link(2, "eth0") };
    let stranger = Link { altnames: vec!["taken".to_owned()], ..link(9, "eth9") };
    let mut view = View { host: vec![renewed, stranger], ..View::default() };
    let said =
        ["rename eth0 (host) to net1", "give net1 (host) the altname own", "bring net1 (host) up"];
    assert_eq!(remove(LinksAre::OnHost, &mut view, &bond), said);
}

#[test]
fn vlan_interface_is_removed_with_its_bond() {
    let changes = json!({"vlan": 100, "vlanProto": "802.1ad"});
    let before = in_pod();
    let bond = recorded(&changes, &before);
    // After each step that an ADD may have come to.
    for reached in 0..=bond.steps.len() {
        let mut view = before.clone();
        view.apply(&bond.steps[..reached]);
        remove(LinksAre::InPod, &mut view, &bond);
        assert_eq!(view, before, "after {reached} steps");
    }
    // Without a record.
    let mut view = before.clone();
    view.apply(&bond.steps);
    let said = remove(LinksAre::InPod, &mut view, &BondRecord::default());
    let gone = ["remove vlan 100 proto 802.1ad net3 (pod)", "remove bond net3-bond (pod)"];
    assert_eq!(said[..2], gone);
    assert_eq!(view, before);
    // Somebody has removed the VLAN interface.
    let mut view = before.clone();
    view.apply(&bond.steps);
    view.pod.retain(|link| link.vlan.is_none());
    remove(LinksAre::InPod, &mut view, &bond);
    assert_eq!(view, before);
}

#[test]
fn vlan_interface_on_another_link_is_left_unchanged() {
    let mut view = in_pod();
    let tag = VlanTag { id: 100, protocol: VlanProtocol::Dot1Q };
    let vlan = Some(podbond_kernel::Vlan { tag, lower: 2 });
    view.pod.push(Link { vlan, ..link(4, "net3") });
    assert!(remove(LinksAre::InPod, &mut view, &BondRecord::default()).is_empty());
}

/// Promise: del-spares-others
#[test]
fn unrecorded_del_looks_into_no_namespace_where_another_container_has_the_interface() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::new(&dir.path().join("lib"), &dir.path().join("run"));
    let path = dir.path().join("netns");
    std::os::unix::fs::symlink("/proc/self/ns/net", &path).unwrap();
    let config = json!({"cniVersion": "1.0.0", "name": "n", "type": "bond", "ipam": {"type": "i"}});
    let request = |container: &str| Request {
        container_id: ContainerId::try_from(container.to_owned()).unwrap(),
        netns: Some(path.clone()),
        ifname: name("net3"),
        args: Args::default(),
        path: Vec::new(),
        config: NetConf::parse(config.to_string().as_bytes()).unwrap(),
    };
    let looked_into = || unrecorded_request(&request("c1"), &records).netns;
    assert_eq!(looked_into(), Some(path.clone()));
    let mut other = Record::of_add(&request("c2"), NetnsIdentity::of(&path).unwrap());
    records.write(&other).unwrap();
    assert_eq!(looked_into(), None);
    // Of a pending lease alone nothing is in the namespace any more.
    other.set_ipam_pending("down");
    assert_eq!(other.state, State::IpamPending);
    records.write(&other).unwrap();
    assert_eq!(looked_into(), Some(path.clone()));
}

/// The node with links that have no function, of which the first is a veth with its other end, link 50, on the node,
/// and what an ADD that has ended records of it.
fn taken_veth() -> (View, BondRecord) {
    let mut before = on_host();
    before.host_netns_id = Some(3);
    before.host[0].lower = Some(50);
    for link in &mut before.host {
        link.kind = Some("veth".to_owned());
    }
    let bond = recorded(&json!({"linksInContainer": false}), &before);
    let mut view = before.clone();
    view.apply(&bond.steps);
    (before, bond.with_indices(&view))
}

/// Promise: port-not-replaced
#[test]
fn link_in_the_place_of_a_port_is_not_taken() {
    let (before, bond) = taken_veth();
    let mut view = before.clone();
    view.apply(&bond.steps);
    let forged = Link { kind: Some("veth".to_owned()), ..link(2, "net1") };
    let replaced = |view: &mut View| {
        let port = view.pod.iter_mut().find(|link| link.name.as_str() == "net1").unwrap();
        (port.name, port.index) = (name("mine"), 30);
        view.pod.push(forged.clone());
    };
    let said = remove_with(LinksAre::OnHost, &mut view, &bond, replaced);
    assert!(said.contains(&"move mine (pod) to net1 (host)".to_owned()), "{said:?}");
    assert_eq!(view.pod, std::slice::from_ref(&forged));
    // It is not in the pod any more.
    let mut view = before;
    view.apply(&bond.steps);
    let deleted = |view: &mut View| {
        view.pod.retain(|link| link.name.as_str() != "net1");
        view.pod.push(forged.clone());
    };
    remove_with(LinksAre::OnHost, &mut view, &bond, deleted);
    assert_eq!(view.pod, std::slice::from_ref(&forged));
    let lost = lost_ports(&links(LinksAre::OnHost).names, &view, &bond);
    let namesake = UncertainPort::Lost {
        name: name("net1"),
        kind: Some("veth".to_owned()),
        has_namesake: true,
    };
    assert_eq!(lost, [namesake]);
}

/// Promise: port-not-replaced
#[test]
fn only_what_leads_to_no_pod_is_brought_up() {
    let (before, bond) = taken_veth();
    let is_certain = |link: &Link| bond.is_certain_on_host(link);
    assert!(is_certain(&before.host[0]));
    assert!(!is_certain(&Link { lower: None, ..before.host[0].clone() }));
    // Its other end is in another namespace.
    assert!(!is_certain(&before.host[1]));
    // An ADD that was killed has given the pod nothing.
    let killed = recorded(&json!({"linksInContainer": false}), &before);
    assert!(killed.is_certain_on_host(&before.host[1]));
}
