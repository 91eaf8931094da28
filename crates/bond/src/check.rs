use std::iter::once;

use podbond_cni::CniResult;
use podbond_ipam::Found;
use podbond_kernel::bond::OptionMismatch;
use podbond_kernel::{BondMode, BondOptions, FailOverMac, Link, LinkState, Netns, View, VlanTag};
use podbond_names::LinkName;

use crate::config::Config;

/// Every difference between the bond that the configuration and the result of its ADD describe,
/// and what is there. Empty means that all is well. Pure.
///
/// Carrier is not looked at: a bond that is waiting for its links is as it was asked to be.
pub(crate) fn differences(
    config: &Config,
    ifname: &LinkName,
    view: &View,
    expected: &CniResult,
    found: &Found,
) -> Vec<String> {
    let bond = config.bond_name(ifname);
    let Some(link) = view.link(Netns::Pod, &bond) else {
        return once(format!("{bond} is gone")).chain(ports_gone(config, view)).collect();
    };
    let Some(options) = &link.bond else {
        return once(format!("{bond} is no bond")).chain(ports_gone(config, view)).collect();
    };
    let mut differences = option_differences(&config.options, options);
    differences.extend(primary_difference(config, options, view));
    differences.extend(link_differences(config, link, expected));
    differences.extend(mac_difference(config, ifname, view, link, expected));
    if let Some(tag) = config.vlan {
        differences.extend(vlan_differences(config, ifname, tag, link, view, expected));
    }
    for name in &config.ports {
        differences.extend(port_differences(config, name, link, view));
    }
    let others = view.pod.iter().filter(|other| other.master == Some(link.index));
    let others = others.filter(|other| !config.ports.contains(&other.name));
    differences
        .extend(others.map(|other| format!("{} is a port of {bond}, not asked for", other.name)));
    differences.extend(found.differences(ifname, expected));
    differences
}

fn ports_gone(config: &Config, view: &View) -> impl Iterator<Item = String> {
    let gone = config.ports.iter().filter(|name| view.link(Netns::Pod, name).is_none());
    gone.map(|name| format!("port {name} is gone"))
}

fn port_differences(config: &Config, name: &LinkName, bond: &Link, view: &View) -> Vec<String> {
    let Some(port) = view.link(Netns::Pod, name) else {
        return vec![format!("port {name} is gone")];
    };
    if port.master != Some(bond.index) {
        return vec![format!("{name} is no port of {}", bond.name)];
    }
    let down = (port.state == LinkState::Down).then(|| format!("port {name} is down"));
    // The driver gives its ports the bond's, and does not look when somebody changes one of them.
    let mtu = (port.mtu != bond.mtu)
        .then(|| format!("mtu of port {name} is {}, not {} as the bond's", port.mtu, bond.mtu));
    let shown = port.port.as_ref().map(|port| port.options.clone()).unwrap_or_default();
    let wanted = config.port_options.get(name);
    let unlike = wanted.map(|wanted| wanted.mismatches(&shown)).unwrap_or_default();
    down.into_iter().chain(mtu).chain(told(&format!("{name} "), unlike)).collect()
}

/// The address that was asked for, or else the one that ADD answered with. A bond with
/// `fail_over_mac` active has its active port's, which changes.
fn mac_difference(
    config: &Config,
    ifname: &LinkName,
    view: &View,
    bond: &Link,
    expected: &CniResult,
) -> Option<String> {
    let link = view.link(Netns::Pod, ifname).unwrap_or(bond);
    let answered = || expected.interfaces.iter().find(|it| it.name == *ifname)?.mac;
    let changes = config.options.mode == BondMode::ActiveBackup
        && config.fail_over_mac() == FailOverMac::Active;
    let (object, wanted, shown) = match config.mac {
        Some(wanted) => (&bond.name, wanted, bond.mac),
        None if changes => return None,
        None => (&link.name, answered()?, link.mac),
    };
    let shown = shown.filter(|shown| *shown != wanted)?;
    Some(format!("mac of {object} is {shown}, not {wanted}"))
}

/// What the bond and the VLAN interface on it have in common.
fn link_differences(
    config: &Config,
    link: &Link,
    expected: &CniResult,
) -> impl Iterator<Item = String> {
    let (name, is) = (&link.name, link.mtu);
    let down = (link.state == LinkState::Down).then(|| format!("{name} is down"));
    // A plugin that follows in the chain may have changed it, and told so in its result.
    let told = expected.interfaces.iter().find(|it| it.name == *name).and_then(|it| it.mtu);
    let mtu = told.or(config.mtu).filter(|mtu| *mtu != is);
    down.into_iter().chain(mtu.map(|mtu| format!("mtu of {name} is {is}, not {mtu}")))
}

fn vlan_differences(
    config: &Config,
    ifname: &LinkName,
    tag: VlanTag,
    bond: &Link,
    view: &View,
    expected: &CniResult,
) -> Vec<String> {
    let Some(link) = view.link(Netns::Pod, ifname) else {
        return vec![format!("{ifname} is gone")];
    };
    let Some(vlan) = link.vlan else {
        return vec![format!("{ifname} is no VLAN interface")];
    };
    let tag = (vlan.tag != tag).then(|| format!("{ifname} is {}, not {tag}", vlan.tag));
    let moved = (vlan.lower != bond.index).then(|| format!("{ifname} is not on {}", bond.name));
    tag.into_iter().chain(moved).chain(link_differences(config, link, expected)).collect()
}

fn option_differences(wanted: &BondOptions, shown: &BondOptions) -> Vec<String> {
    let mode =
        (wanted.mode != shown.mode).then(|| format!("mode is {}, not {}", shown.mode, wanted.mode));
    mode.into_iter().chain(told("", wanted.mismatches(shown))).collect()
}

/// A sentence for each option that is not as wanted, `whose` being the port's name and a space.
fn told(whose: &str, unlike: Vec<OptionMismatch>) -> impl Iterator<Item = String> {
    unlike.into_iter().map(move |OptionMismatch { option, wanted, shown }| {
        let shown = shown.unwrap_or_else(|| "not known to this kernel".to_owned());
        format!("{whose}{} is {shown}, not {wanted}", option.key)
    })
}

/// The primary port is compared; the active one is the driver's to choose after each fail-over.
fn primary_difference(config: &Config, shown: &BondOptions, view: &View) -> Option<String> {
    let wanted = config.primary.as_ref()?;
    let primary = view.pod.iter().find(|link| Some(link.index) == shown.primary_port);
    let primary = primary.map_or("none", |link| link.name.as_str());
    (primary != wanted.as_str()).then(|| format!("primary is {primary}, not {wanted}"))
}

#[cfg(test)]
mod tests {
    use podbond_cni::{Args, Interface, NetConf};
    use podbond_kernel::bond::table;
    use podbond_kernel::{Vlan, VlanProtocol};

    use super::*;

    fn config() -> Config {
        let conf = br#"{"type": "bond", "cniVersion": "1.0.0", "name": "n", "mode": "balance-xor",
            "mtu": 1500, "linksInContainer": true, "links": [{"name": "net1"}, {"name": "net2"}]}"#;
        Config::parse(&NetConf::parse(conf).unwrap(), &Args::default()).unwrap()
    }

    fn link(index: u32, name: &str, master: Option<u32>, bond: Option<BondOptions>) -> Link {
        Link {
            index,
            name: name.parse().unwrap(),
            altnames: Vec::new(),
            kind: None,
            mac: None,
            permanent_mac: None,
            mtu: 1500,
            max_mtu: 0,
            state: LinkState::Up,
            carrier: false,
            master,
            parent: None,
            vlan: None,
            bond,
            aggregator: None,
            port: None,
        }
    }

    fn as_made() -> View {
        let bond = link(4, "net3", None, Some(config().options));
        let ports = [link(2, "net1", Some(4), None), link(3, "net2", Some(4), None)];
        View { pod: ports.into_iter().chain([bond]).collect(), ..View::default() }
    }

    fn told(view: &View) -> Vec<String> {
        let name = "net3".parse().unwrap();
        differences(&config(), &name, view, &CniResult::default(), &Found::default())
    }

    #[test]
    fn a_bond_as_it_was_made_has_no_differences_even_without_carrier() {
        assert_eq!(told(&as_made()), Vec::<String>::new());
    }

    #[test]
    fn all_differences_are_told_at_once() {
        let mut view = as_made();
        view.pod.remove(0);
        view.pod[0].master = None;
        let bond = &mut view.pod[1];
        bond.state = LinkState::Down;
        bond.mtu = 1400;
        bond.bond = Some(BondOptions::new(BondMode::BalanceRr).with(&table::MIIMON, 50));
        assert_eq!(
            told(&view),
            [
                "mode is balance-rr, not balance-xor",
                "miimon is 50, not 100",
                "net3 is down",
                "mtu of net3 is 1400, not 1500",
                "port net1 is gone",
                "net2 is no port of net3",
            ]
        );
    }

    #[test]
    fn what_somebody_did_to_the_ports_is_told() {
        let mut view = as_made();
        view.pod[0].mtu = 1400;
        view.pod[1].state = LinkState::Down;
        view.pod.push(link(9, "net9", Some(4), None));
        assert_eq!(
            told(&view),
            [
                "mtu of port net1 is 1400, not 1500 as the bond's",
                "port net2 is down",
                "net9 is a port of net3, not asked for",
            ]
        );
    }

    #[test]
    fn the_address_that_add_answered_with_is_kept_but_by_a_bond_that_has_its_active_ports() {
        let answered: CniResult = CniResult {
            interfaces: vec![Interface {
                name: "net3".parse().unwrap(),
                mac: "02:00:00:00:00:01".parse().ok(),
                mtu: None,
                sandbox: Some("/run/netns/p".to_owned()),
                socket_path: None,
                pci_id: None,
            }],
            ..CniResult::default()
        };
        let mut view = as_made();
        view.pod[2].mac = "02:00:00:00:00:02".parse().ok();
        let told = |config: &Config, view: &View| {
            let name = "net3".parse().unwrap();
            differences(config, &name, view, &answered, &Found::default())
        };
        let expected = ["mac of net3 is 02:00:00:00:00:02, not 02:00:00:00:00:01"];
        assert_eq!(told(&config(), &view), expected);
        let options = BondOptions::new(BondMode::ActiveBackup)
            .with(&table::FAIL_OVER_MAC, FailOverMac::Active);
        view.pod[2].bond = Some(options.clone());
        assert_eq!(told(&Config { options, ..config() }, &view), [""; 0]);
        view.pod[2].bond = Some(config().options);
        view.pod[2].mac = "02:00:00:00:00:01".parse().ok();
        assert_eq!(told(&config(), &view), [""; 0]);
    }

    #[test]
    fn a_missing_bond_and_another_link_in_its_place_are_told() {
        assert_eq!(
            told(&View::default()),
            ["net3 is gone", "port net1 is gone", "port net2 is gone"]
        );
        let mut view = as_made();
        view.pod[2].bond = None;
        assert_eq!(told(&view), ["net3 is no bond"]);
    }

    #[test]
    fn a_vlan_interface_is_compared_with_its_tag_and_the_bond_beneath() {
        let conf = br#"{"type": "bond", "cniVersion": "1.0.0", "name": "n", "mode": "balance-xor",
            "mac": "02:00:00:00:00:01", "vlan": 100, "mtu": 1500, "linksInContainer": true,
            "links": [{"name": "net1"}, {"name": "net2"}]}"#;
        let config = Config::parse(&NetConf::parse(conf).unwrap(), &Args::default()).unwrap();
        let told = |view: &View| {
            let (name, found) = ("net3".parse().unwrap(), Found::default());
            differences(&config, &name, view, &CniResult::default(), &found)
        };
        let mut view = as_made();
        view.pod[2].name = "net3-bond".parse().unwrap();
        view.pod[2].mac = config.mac;
        assert_eq!(told(&view), ["net3 is gone"]);
        view.pod.push(link(5, "net3", None, None));
        assert_eq!(told(&view), ["net3 is no VLAN interface"]);
        view.pod[3].vlan = config.vlan.map(|tag| Vlan { tag, lower: 4 });
        assert_eq!(told(&view), Vec::<String>::new());

        let tag = VlanTag { id: 7, protocol: VlanProtocol::Dot1Ad };
        view.pod[3] = Link {
            vlan: Some(Vlan { tag, lower: 2 }),
            mtu: 1400,
            state: LinkState::Down,
            ..view.pod[3].clone()
        };
        view.pod[2].mac = Some("02:00:00:00:00:09".parse().unwrap());
        assert_eq!(
            told(&view),
            [
                "mac of net3-bond is 02:00:00:00:00:09, not 02:00:00:00:00:01",
                "net3 is vlan 7 proto 802.1ad, not vlan 100",
                "net3 is not on net3-bond",
                "net3 is down",
                "mtu of net3 is 1400, not 1500",
            ]
        );
        view.pod.remove(2);
        assert_eq!(told(&view), ["net3-bond is gone"]);
    }
}
