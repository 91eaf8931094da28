//! CHECK: every difference between a bond and what its ADD made, and the IPAM plugin's CHECK.

use std::iter::once;

use podbond_cni::{Args, CniResult, Delegates, NetConf, Request};
use podbond_ipam::Observed;
use podbond_kernel::bond::OptionMismatch;
use podbond_kernel::{
    BondMode, BondOptions, FailOverMac, Kernel, Link, LinkRef, LinkState, Netns, View, VlanTag,
};
use podbond_names::LinkName;

use crate::Error;
use crate::config::Config;
use crate::pod_links::{open_pod, read_pod_links};

/// Compares the bond and the lease of an attachment with its ADD.
pub(crate) fn check(request: &Request, delegates: &Delegates<'_>) -> Result<(), Error> {
    let mut kernel = open_pod(request)?;
    let differences = compare(&mut kernel, &request.config, &request.args, &request.ifname)?;
    Ok(podbond_ipam::check(request, delegates, differences)?)
}

/// Returns every difference between the bond `ifname` of the pod and what its ADD made of a
/// configuration, whose result is its `prevResult`; none when all is well.
pub fn compare(
    kernel: &mut Kernel,
    conf: &NetConf,
    args: &Args,
    ifname: &LinkName,
) -> Result<Vec<String>, Error> {
    let config = Config::parse(conf, args)?;
    let view = observe(kernel, &config, ifname)?;
    let observed = Observed::on(kernel, &LinkRef::pod(ifname.clone()))?;
    let expected = conf.prev_result.clone().unwrap_or_default();
    Ok(differences(&config, ifname, &view, &expected, &observed))
}

/// Returns the interface of an attachment, the bond below a VLAN interface, the ports that were
/// asked for, and all that the bond has, which may have any name.
fn observe(
    kernel: &mut Kernel,
    config: &Config,
    ifname: &LinkName,
) -> podbond_kernel::Result<View> {
    let bond = config.bond_name(ifname);
    let mut view = View::default();
    read_pod_links(kernel, config.interfaces(ifname), &mut view)?;
    if let Some(bond) = view.link(Netns::Pod, &bond) {
        let ports = kernel.ports(Netns::Pod, bond.index)?;
        view.pod.extend(ports);
    }
    for name in &config.ports {
        if view.link(Netns::Pod, name).is_none() {
            read_pod_links(kernel, [name.clone()], &mut view)?;
        }
    }
    Ok(view)
}

/// Returns every difference between the bond that the configuration and the result of its ADD
/// describe, and what is there. Pure.
///
/// Carrier is not compared: a bond that is waiting for its links is as it was asked to be.
fn differences(
    config: &Config,
    ifname: &LinkName,
    view: &View,
    expected: &CniResult,
    observed: &Observed,
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
    differences.extend(observed.differences(ifname, expected));
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
    down.into_iter().chain(mtu).chain(option_texts(&format!("{name} "), unlike)).collect()
}

/// Compares the address that was asked for, or else the one that ADD answered with. A bond with
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

/// Compares what the bond and the VLAN interface on it have in common.
fn link_differences(
    config: &Config,
    link: &Link,
    expected: &CniResult,
) -> impl Iterator<Item = String> {
    let (name, is) = (&link.name, link.mtu);
    let down = (link.state == LinkState::Down).then(|| format!("{name} is down"));
    // A plugin that follows in the chain may have changed it, and says so in its result.
    let answered = expected.interfaces.iter().find(|it| it.name == *name).and_then(|it| it.mtu);
    let mtu = answered.or(config.mtu).filter(|mtu| *mtu != is);
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
    mode.into_iter().chain(option_texts("", wanted.mismatches(shown))).collect()
}

/// Returns a sentence for each option that is not as wanted, `whose` being the port's name and a space.
fn option_texts(whose: &str, unlike: Vec<OptionMismatch>) -> impl Iterator<Item = String> {
    unlike.into_iter().map(move |OptionMismatch { option, wanted, shown }| {
        let shown = shown.unwrap_or_else(|| "not known to this kernel".to_owned());
        format!("{whose}{} is {shown}, not {wanted}", option.key)
    })
}

/// Compares the primary port; the active one is the driver's to choose after each fail-over.
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

    fn differences_of(view: &View) -> Vec<String> {
        let name = "net3".parse().unwrap();
        differences(&config(), &name, view, &CniResult::default(), &Observed::default())
    }

    #[test]
    fn unchanged_bond_has_no_differences() {
        assert_eq!(differences_of(&as_made()), Vec::<String>::new());
    }

    #[test]
    fn all_differences_are_reported_at_once() {
        let mut view = as_made();
        view.pod.remove(0);
        view.pod[0].master = None;
        let bond = &mut view.pod[1];
        bond.state = LinkState::Down;
        bond.mtu = 1400;
        bond.bond = Some(BondOptions::new(BondMode::BalanceRr).with(&table::MIIMON, 50));
        assert_eq!(
            differences_of(&view),
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
    fn changed_ports_are_reported() {
        let mut view = as_made();
        view.pod[0].mtu = 1400;
        view.pod[1].state = LinkState::Down;
        view.pod.push(link(9, "net9", Some(4), None));
        assert_eq!(
            differences_of(&view),
            [
                "mtu of port net1 is 1400, not 1500 as the bond's",
                "port net2 is down",
                "net9 is a port of net3, not asked for",
            ]
        );
    }

    #[test]
    fn mac_of_the_result_is_compared_unless_it_follows_the_active_port() {
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
        let of = |config: &Config, view: &View| {
            let name = "net3".parse().unwrap();
            differences(config, &name, view, &answered, &Observed::default())
        };
        let expected = ["mac of net3 is 02:00:00:00:00:02, not 02:00:00:00:00:01"];
        assert_eq!(of(&config(), &view), expected);
        let options = BondOptions::new(BondMode::ActiveBackup)
            .with(&table::FAIL_OVER_MAC, FailOverMac::Active);
        view.pod[2].bond = Some(options.clone());
        assert_eq!(of(&Config { options, ..config() }, &view), [""; 0]);
        view.pod[2].bond = Some(config().options);
        view.pod[2].mac = "02:00:00:00:00:01".parse().ok();
        assert_eq!(of(&config(), &view), [""; 0]);
    }

    #[test]
    fn missing_bond_is_reported() {
        assert_eq!(
            differences_of(&View::default()),
            ["net3 is gone", "port net1 is gone", "port net2 is gone"]
        );
        let mut view = as_made();
        view.pod[2].bond = None;
        assert_eq!(differences_of(&view), ["net3 is no bond"]);
    }

    #[test]
    fn vlan_interface_is_compared() {
        let conf = br#"{"type": "bond", "cniVersion": "1.0.0", "name": "n", "mode": "balance-xor",
            "mac": "02:00:00:00:00:01", "vlan": 100, "mtu": 1500, "linksInContainer": true,
            "links": [{"name": "net1"}, {"name": "net2"}]}"#;
        let config = Config::parse(&NetConf::parse(conf).unwrap(), &Args::default()).unwrap();
        let of = |view: &View| {
            let (name, observed) = ("net3".parse().unwrap(), Observed::default());
            differences(&config, &name, view, &CniResult::default(), &observed)
        };
        let mut view = as_made();
        view.pod[2].name = "net3-bond".parse().unwrap();
        view.pod[2].mac = config.mac;
        assert_eq!(of(&view), ["net3 is gone"]);
        view.pod.push(link(5, "net3", None, None));
        assert_eq!(of(&view), ["net3 is no VLAN interface"]);
        view.pod[3].vlan = config.vlan.map(|tag| Vlan { tag, lower: 4 });
        assert_eq!(of(&view), Vec::<String>::new());

        let tag = VlanTag { id: 7, protocol: VlanProtocol::Dot1Ad };
        view.pod[3] = Link {
            vlan: Some(Vlan { tag, lower: 2 }),
            mtu: 1400,
            state: LinkState::Down,
            ..view.pod[3].clone()
        };
        view.pod[2].mac = Some("02:00:00:00:00:09".parse().unwrap());
        assert_eq!(
            of(&view),
            [
                "mac of net3-bond is 02:00:00:00:00:09, not 02:00:00:00:00:01",
                "net3 is vlan 7 proto 802.1ad, not vlan 100",
                "net3 is not on net3-bond",
                "net3 is down",
                "mtu of net3 is 1400, not 1500",
            ]
        );
        view.pod.remove(2);
        assert_eq!(of(&view), ["net3-bond is gone"]);
    }
}
