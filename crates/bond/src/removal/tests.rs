use std::convert::Infallible;

use podbond_cni::{Args, NetConf};
use podbond_kernel::{VlanProtocol, VlanTag};
use serde_json::{Value, json};

use super::*;
use crate::config::Config;
use crate::findings::Surroundings;
use crate::plan::plan;

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

/// What the ADD of `net3` notes.
fn made(changes: &Value, view: &View) -> Made {
    let config = config(changes);
    Made::of(&plan(&config, &name("net3"), view, &Surroundings::default()).unwrap(), &config, view)
}

/// DEL laid over a view, `meanwhile` standing for what the driver does when the bond goes; gives
/// what was done.
fn remove_with(
    are: LinksAre,
    view: &mut View,
    made: &Made,
    meanwhile: impl Fn(&mut View),
) -> Vec<String> {
    let (before, ifname) = (view.clone(), name("net3"));
    let mut steps = dissolution(&ifname, &before, made);
    view.apply(&steps);
    meanwhile(view);
    let back = giving_back(&links(are), &ifname, &before, view, made);
    view.apply(&back);
    view.host.sort_by_key(|link| link.index);
    steps.extend(back);
    steps.iter().map(ToString::to_string).collect()
}

fn remove(are: LinksAre, view: &mut View, made: &Made) -> Vec<String> {
    remove_with(are, view, made, |_| {})
}

fn from_host() -> (View, Made) {
    let before = on_host();
    let made = made(&json!({"linksInContainer": false}), &before);
    (before, made)
}

#[test]
fn removal_leaves_nothing_of_the_bond_and_gives_links_of_the_node_back_as_they_were() {
    let (before, made) = from_host();
    let mut view = before.clone();
    view.apply(&made.steps);
    remove(LinksAre::OnHost, &mut view, &made);
    assert_eq!(view, before);
    let again = remove(LinksAre::OnHost, &mut view, &made);
    assert!(again.is_empty(), "a second removal has nothing to do: {again:?}");
}

#[test]
fn removal_gives_back_what_another_plugin_moved_or_a_killed_add_left() {
    let (before, made) = from_host();
    // The incumbent keeps no record: that it is the bond's port tells enough.
    let mut view = before.clone();
    view.apply(&made.steps);
    remove(LinksAre::OnHost, &mut view, &Made::default());
    assert_eq!((view.host.len(), view.pod.len()), (2, 0));
    // After each step that an ADD may have come to.
    for reached in 0..made.steps.len() {
        let mut view = before.clone();
        view.apply(&made.steps[..reached]);
        remove(LinksAre::OnHost, &mut view, &made);
        assert_eq!(view, before, "after {reached} steps");
    }
}

#[test]
fn a_link_of_the_node_that_came_back_with_a_dead_namespace_is_up_again_if_it_was() {
    let (mut view, made) = from_host();
    view.host[0].state = LinkState::Down;
    assert_eq!(remove(LinksAre::OnHost, &mut view, &made), ["bring net1 (host) up"]);
}

#[test]
fn a_port_whose_name_is_taken_on_the_node_comes_home_under_another_and_the_taker_is_let_be() {
    let altname = Link { altnames: vec!["net1".to_owned()], ..link(9, "eth9") };
    for mut stranger in [link(9, "net1"), altname] {
        stranger.state = LinkState::Down;
        let (mut before, made) = from_host();
        let mut view = before.clone();
        view.apply(&made.steps);
        view.host.push(stranger.clone());
        let said = remove(LinksAre::OnHost, &mut view, &made);
        assert!(said.contains(&"move net1 (pod) to dev2 (host)".to_owned()), "{said:?}");
        before.host[0].name = name("dev2");
        before.host.push(stranger);
        assert_eq!(view, before);
    }
}

#[test]
fn a_port_gets_a_name_on_the_node_that_is_free() {
    let (before, made) = from_host();
    let mut view = before;
    view.apply(&made.steps);
    view.host.extend([link(8, "dev2"), link(9, "net1")]);
    let said = remove(LinksAre::OnHost, &mut view, &made);
    assert!(said.contains(&"move net1 (pod) to dev3 (host)".to_owned()), "{said:?}");
}

#[test]
fn a_port_that_came_back_under_another_name_is_found_by_its_function() {
    let function = Some("0000:03:10.0".parse().unwrap());
    let mut before = on_host();
    before.host[0].parent = function;
    let made = made(&json!({"linksInContainer": false}), &before);
    let came_back = Link { parent: function, state: LinkState::Down, ..link(7, "dev2") };
    let stranger = Link { state: LinkState::Down, ..link(9, "net1") };
    let mut view = before.clone();
    view.host[0] = came_back.clone();
    view.host.push(stranger.clone());
    assert_eq!(remove(LinksAre::OnHost, &mut view, &made), ["bring dev2 (host) up"]);
    // Once the name is free, it is the port's again.
    view.host = vec![came_back];
    let said = ["rename dev2 (host) to net1", "bring net1 (host) up"];
    assert_eq!(remove(LinksAre::OnHost, &mut view, &made), said);
    // Somebody works with it.
    view.host = vec![Link { parent: function, ..link(7, "dev2") }];
    assert!(remove(LinksAre::OnHost, &mut view, &made).is_empty());
    // It is not there, and another link has its name.
    view.host = vec![stranger];
    assert!(remove(LinksAre::OnHost, &mut view, &made).is_empty());
}

#[test]
fn of_several_links_of_a_function_the_one_with_the_ports_address_is_the_port() {
    let function = Some("0000:03:00.0".parse().unwrap());
    let mut before = on_host();
    before.host[0].parent = function;
    let made = made(&json!({"linksInContainer": false}), &before);
    let of_pf =
        |index, text| Link { parent: function, state: LinkState::Down, ..link(index, text) };
    let mut view = View { host: vec![of_pf(7, "pf0vf0"), of_pf(8, "pf0vf1")], ..View::default() };
    assert!(remove(LinksAre::OnHost, &mut view, &made).is_empty());
    view.host.push(Link { mac: Some(mac(2)), ..of_pf(9, "dev2") });
    let said = ["rename dev2 (host) to net1", "bring net1 (host) up"];
    assert_eq!(remove(LinksAre::OnHost, &mut view, &made), said);
}

#[test]
fn another_link_of_the_function_is_told_from_the_port_by_the_address_of_its_hardware() {
    let function = Some("0000:03:00.0".parse().unwrap());
    let mut before = on_host();
    before.host[0].parent = function;
    before.host[0].permanent_mac = Some(mac(2));
    let mut made = made(&json!({"linksInContainer": false}), &before);
    // Alone of its function, it is the port whatever its driver calls permanent by now.
    let closed = Link { permanent_mac: Some(mac(7)), ..before.host[0].clone() };
    assert!(made.ports[0].may_be(&closed));
    made.tell_apart(&before, |_| Ok::<_, Infallible>(true)).unwrap();
    assert!(!made.ports[0].may_be(&closed));
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
        assert!(remove(LinksAre::OnHost, &mut view, &made).is_empty(), "{name}");
    }
    // A representor beside it, which has none.
    let its = of_card(8, "dev2", Some(mac(2)));
    let mut view = View { host: vec![of_card(7, "pf0vf0", None), its], ..View::default() };
    let said = ["rename dev2 (host) to net1", "bring net1 (host) up"];
    assert_eq!(remove(LinksAre::OnHost, &mut view, &made), said);
}

#[test]
fn a_port_that_the_pod_has_renamed_comes_home_under_its_name() {
    let mut before = on_host();
    before.host[0].parent = Some("0000:03:10.0".parse().unwrap());
    before.host[1].parent = Some("0000:03:10.1".parse().unwrap());
    let made = made(&json!({"linksInContainer": false, "mtu": 1400}), &before);
    for names in [["other", "net2"], ["net2", "net1"]] {
        let mut view = before.clone();
        view.apply(&made.steps);
        let ports = view.pod.iter_mut().filter(|link| link.parent.is_some());
        for (port, new) in ports.zip(names) {
            port.name = name(new);
        }
        remove(LinksAre::OnHost, &mut view, &made);
        assert_eq!(view, before, "{names:?}");
    }
}

#[test]
fn removal_touches_no_link_that_is_not_a_bond_or_its_port() {
    for are in [LinksAre::InPod, LinksAre::OnHost] {
        let mut view = in_pod();
        view.pod.push(link(4, "net3"));
        // Another attachment's bond.
        let bond = Some(config(&json!({})).options);
        view.pod.push(Link { bond, ..link(5, "net3-bond") });
        let said = remove(are, &mut view, &Made::default());
        assert!(said.is_empty(), "{said:?}");
    }
}

#[test]
fn ports_that_stay_in_the_pod_are_up_without_the_bond() {
    let before = in_pod();
    for recorded in [made(&json!({}), &before), Made::default()] {
        let mut view = before.clone();
        view.apply(&made(&json!({}), &before).steps);
        remove(LinksAre::InPod, &mut view, &recorded);
        assert_eq!(view, before);
    }
}

#[test]
fn ports_that_were_down_are_down_without_the_bond() {
    let mut before = in_pod();
    before.pod[1].state = LinkState::Down;
    let made = made(&json!({}), &before);
    let mut view = before.clone();
    view.apply(&made.steps);
    remove(LinksAre::InPod, &mut view, &made);
    assert_eq!(view, before);
}

#[test]
fn ports_are_given_back_also_when_somebody_has_removed_the_bond() {
    let before = in_pod();
    let made = made(&json!({}), &before);
    let mut view = before.clone();
    view.apply(&made.steps);
    view.apply(&dissolution(&name("net3"), &view, &made));
    view.pod[0].mac = Some(mac(9));
    assert_eq!(
        remove(LinksAre::InPod, &mut view, &made),
        [
            "set mac of net1 (pod) to 02:00:00:00:00:02 (was 02:00:00:00:00:09)",
            "bring net1 (pod) up",
            "bring net2 (pod) up",
        ]
    );
    assert_eq!(view, before);
}

#[test]
fn each_port_has_its_mtu_and_address_back_where_the_driver_did_not_give_them() {
    for (are, before) in [(LinksAre::InPod, in_pod()), (LinksAre::OnHost, on_host())] {
        let in_container = are == LinksAre::InPod;
        let changes = json!({"linksInContainer": in_container, "mtu": 1400});
        let made = made(&changes, &before);
        let mut view = before.clone();
        view.apply(&made.steps);
        let ill = |view: &mut View| view.pod[1].mac = Some(mac(2));
        remove_with(are, &mut view, &made, ill);
        assert_eq!(view, before);
    }
}

#[test]
fn two_ports_are_never_left_with_one_address() {
    let mut before = in_pod();
    before.pod[1].mac = before.pod[0].mac;
    for mode in ["balance-xor", "balance-alb"] {
        let made = made(&json!({"mode": mode, "failOverMac": 0}), &before);
        let mut view = before.clone();
        view.apply(&made.steps);
        remove(LinksAre::InPod, &mut view, &made);
        let given = view.pod[1].mac.unwrap();
        assert_eq!(view.pod[0].mac, before.pod[0].mac);
        assert_eq!(given.bytes()[0] & 3, 2, "{given}");
        // The same as in the bond, where the mode wanted another one.
        let in_bond = made.steps.iter().find_map(|step| match step {
            Step::SetMac { to, .. } => Some(*to),
            _ => None,
        });
        assert!(in_bond.is_none_or(|mac| mac == given), "{in_bond:?} {given}");

        let mut of_hardware = before.clone();
        of_hardware.pod[1].permanent_mac = Some(mac(7));
        let mut view = of_hardware.clone();
        view.apply(&made.steps);
        remove(LinksAre::InPod, &mut view, &made);
        assert_eq!(view.pod[1].mac, Some(mac(7)));
    }
}

#[test]
fn a_port_that_is_another_bonds_by_now_is_left_alone() {
    let (before, made) = from_host();
    let mut view = before;
    view.apply(&made.steps);
    view.pod.push(link(9, "other"));
    let taken = |view: &mut View| {
        for port in view.pod.iter_mut().filter(|link| link.name.as_str() == "net1") {
            port.master = Some(9);
        }
    };
    let said = remove_with(LinksAre::OnHost, &mut view, &made, taken);
    assert_eq!(said, ["remove bond net3 (pod)", "move net2 (pod) to net2 (host)"]);
}

#[test]
fn a_vlan_interface_goes_with_the_bond_beneath_it() {
    let changes = json!({"vlan": 100, "vlanProto": "802.1ad"});
    let before = in_pod();
    let made = made(&changes, &before);
    // After each step that an ADD may have come to.
    for reached in 0..=made.steps.len() {
        let mut view = before.clone();
        view.apply(&made.steps[..reached]);
        remove(LinksAre::InPod, &mut view, &made);
        assert_eq!(view, before, "after {reached} steps");
    }
    // Without a record.
    let mut view = before.clone();
    view.apply(&made.steps);
    let said = remove(LinksAre::InPod, &mut view, &Made::default());
    let gone = ["remove vlan 100 proto 802.1ad net3 (pod)", "remove bond net3-bond (pod)"];
    assert_eq!(said[..2], gone);
    assert_eq!(view, before);
    // Somebody has removed the VLAN interface.
    let mut view = before.clone();
    view.apply(&made.steps);
    view.pod.retain(|link| link.vlan.is_none());
    remove(LinksAre::InPod, &mut view, &made);
    assert_eq!(view, before);
}

#[test]
fn a_vlan_interface_on_something_else_is_left_alone() {
    let mut view = in_pod();
    let tag = VlanTag { id: 100, protocol: VlanProtocol::Dot1Q };
    let vlan = Some(podbond_kernel::Vlan { tag, lower: 2 });
    view.pod.push(Link { vlan, ..link(4, "net3") });
    assert!(remove(LinksAre::InPod, &mut view, &Made::default()).is_empty());
}
