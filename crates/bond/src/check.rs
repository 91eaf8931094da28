//! CHECK: every difference between a bond and what its ADD made, and the IPAM plugin's CHECK.

use std::collections::BTreeMap;
use std::iter::once;

use podbond_cni::{Args, CniResult, Delegates, NetConf, Request};
use podbond_ipam::Observed;
use podbond_kernel::bond::OptionMismatch;
use podbond_kernel::{
    BondMode, BondOptions, FailOverMac, Kernel, Link, LinkRef, LinkState, Netns, PortOptions,
    PortRole, Step, View, VlanTag,
};
use podbond_names::{LinkName, Mac};
use podbond_record::{Record, Records, Stored};

use crate::Error;
use crate::config::Config;
use crate::pod_links::{open_pod, own_names_in, read_pod_links};
use crate::record::BondRecord;

/// Compares the bond and the lease of an attachment with its ADD.
pub(crate) fn check(
    request: &Request,
    delegates: &Delegates<'_>,
    records: &Records,
) -> Result<(), Error> {
    let mut kernel = open_pod(request)?;
    let record = match records.read(&request.attachment())? {
        Stored::Whole(record) => Some(record),
        Stored::Missing | Stored::Unreadable(_) => None,
    };
    let (conf, args) = (&request.config, &request.args);
    let differences = compare(&mut kernel, conf, args, &request.ifname, record.as_deref())?;
    Ok(podbond_ipam::check(request, delegates, differences)?)
}

/// Returns every difference between the bond `ifname` of the pod and what its ADD made, whose result is
/// the configuration's `prevResult`; none when all is well. What ADD made is in the record: the defaults
/// may have been others then. Without one, the configuration tells.
pub(crate) fn compare(
    kernel: &mut Kernel,
    conf: &NetConf,
    args: &Args,
    ifname: &LinkName,
    record: Option<&Record>,
) -> Result<Vec<String>, Error> {
    let recorded = record.and_then(BondRecord::read).and_then(|bond| AddedBond::recorded(&bond));
    let added = if let Some(added) = recorded {
        added
    } else {
        let conf = own_names_in(Netns::Pod, kernel, conf)?;
        AddedBond::configured(Config::parse(&conf, args)?, ifname)
    };
    let view = observe(kernel, &added, ifname)?;
    let observed = Observed::on(kernel, &LinkRef::pod(ifname.clone()))?;
    let expected = conf.prev_result.clone().unwrap_or_default();
    Ok(differences(&added, ifname, &view, &expected, &observed))
}

/// What ADD has made.
#[derive(Debug, Clone, PartialEq)]
struct AddedBond {
    /// The bond's name.
    bond: LinkName,
    options: BondOptions,
    /// The bond's own address; none where the driver chose it.
    mac: Option<Mac>,
    /// Bytes; none where the configuration alone is known, and gives none.
    mtu: Option<u32>,
    /// The tag of the VLAN interface on the bond.
    vlan: Option<VlanTag>,
    ports: Vec<LinkName>,
    port_options: BTreeMap<LinkName, PortOptions>,
    primary: Option<LinkName>,
}

impl AddedBond {
    /// Returns what the steps of an ADD have made; none where they make no bond.
    fn recorded(record: &BondRecord) -> Option<Self> {
        let new = record.steps.iter().find_map(|step| match step {
            Step::AddBond(new) => Some(new.clone()),
            _ => None,
        })?;
        let mut added = Self {
            bond: new.at.name,
            options: new.options,
            mac: new.mac,
            mtu: Some(new.mtu),
            vlan: None,
            ports: Vec::new(),
            port_options: BTreeMap::new(),
            primary: None,
        };
        for step in &record.steps {
            match step {
                Step::Enslave { port, .. } => added.ports.push(port.name.clone()),
                Step::SetPort { port, to, .. } => {
                    added.port_options.insert(port.name.clone(), to.clone());
                }
                Step::SetPortRole { role: PortRole::Primary, to, .. } => {
                    added.primary.clone_from(to);
                }
                Step::AddVlan(vlan) => added.vlan = Some(vlan.tag),
                _ => {}
            }
        }
        Some(added)
    }

    /// Returns what an ADD of today makes of a configuration.
    fn configured(config: Config, ifname: &LinkName) -> Self {
        Self {
            bond: config.bond_name(ifname),
            options: config.options,
            mac: config.mac,
            mtu: config.mtu,
            vlan: config.vlan,
            ports: config.ports,
            port_options: config.port_options,
            primary: config.primary,
        }
    }

    /// Returns whether the bond has its active port's address, which changes.
    fn follows_active_port(&self) -> bool {
        self.options.mode == BondMode::ActiveBackup
            && self.options.fail_over_mac() == Some(FailOverMac::Active)
    }
}

/// Returns the interface of an attachment, the bond below a VLAN interface, the ports that were
/// asked for, and all that the bond has, which may have any name.
fn observe(
    kernel: &mut Kernel,
    added: &AddedBond,
    ifname: &LinkName,
) -> podbond_kernel::Result<View> {
    let mut view = View::default();
    let below = Some(added.bond.clone()).filter(|bond| bond != ifname);
    read_pod_links(kernel, once(ifname.clone()).chain(below), &mut view)?;
    if let Some(bond) = view.link(Netns::Pod, &added.bond) {
        let ports = kernel.ports(Netns::Pod, bond.index)?;
        view.pod.extend(ports);
    }
    for name in &added.ports {
        if view.link(Netns::Pod, name).is_none() {
            read_pod_links(kernel, [name.clone()], &mut view)?;
        }
    }
    Ok(view)
}

/// Returns every difference between the bond that ADD has made, or that a later plugin of the chain has
/// left by its result, and what is there. Pure.
///
/// Carrier is not compared: a bond that is waiting for its links is as it was asked to be.
fn differences(
    added: &AddedBond,
    ifname: &LinkName,
    view: &View,
    expected: &CniResult,
    observed: &Observed,
) -> Vec<String> {
    let bond = &added.bond;
    let Some(link) = view.link(Netns::Pod, bond) else {
        return once(format!("{bond} is gone")).chain(ports_gone(added, view)).collect();
    };
    let Some(options) = &link.bond else {
        return once(format!("{bond} is no bond")).chain(ports_gone(added, view)).collect();
    };
    let mut differences = option_differences(&added.options, options);
    differences.extend(primary_difference(added, options, view));
    differences.extend(match added.vlan {
        Some(tag) => {
            let below = Changeable { mac: added.mac, mtu: added.mtu };
            let mut differences = link_differences(link, &below);
            let answered = Changeable::answered(ifname, added, expected);
            differences.extend(vlan_differences(ifname, tag, link, view, &answered));
            differences
        }
        None => link_differences(link, &Changeable::answered(ifname, added, expected)),
    });
    for name in &added.ports {
        differences.extend(port_differences(added, name, link, view));
    }
    let others = view.pod.iter().filter(|other| other.master == Some(link.index));
    let others = others.filter(|other| !added.ports.contains(&other.name));
    differences
        .extend(others.map(|other| format!("{} is a port of {bond}, not asked for", other.name)));
    differences.extend(observed.differences(ifname, expected));
    differences
}

/// What a plugin that follows in a chain may change of a link, and says in its result; what is absent is
/// not compared.
struct Changeable {
    mac: Option<Mac>,
    mtu: Option<u32>,
}

impl Changeable {
    /// Returns what a result tells of the attachment's interface. Before version 1.1.0 it tells no MTU, so
    /// that a later plugin's cannot be distinguished.
    fn answered(ifname: &LinkName, added: &AddedBond, expected: &CniResult) -> Self {
        let answered = expected.interfaces.iter().find(|it| it.name == ifname.as_str());
        let mac = answered
            .and_then(podbond_cni::Interface::ethernet)
            .filter(|_| !added.follows_active_port());
        Self { mac, mtu: answered.and_then(|it| it.mtu) }
    }
}

fn ports_gone(added: &AddedBond, view: &View) -> impl Iterator<Item = String> {
    let gone = added.ports.iter().filter(|name| view.link(Netns::Pod, name).is_none());
    gone.map(|name| format!("port {name} is gone"))
}

fn port_differences(added: &AddedBond, name: &LinkName, bond: &Link, view: &View) -> Vec<String> {
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
    let wanted = added.port_options.get(name);
    let unlike = wanted.map(|wanted| wanted.mismatches(&shown)).unwrap_or_default();
    down.into_iter().chain(mtu).chain(option_texts(&format!("{name} "), unlike)).collect()
}

/// Compares what the bond and the VLAN interface on it have in common.
fn link_differences(link: &Link, wanted: &Changeable) -> Vec<String> {
    let name = &link.name;
    let down = (link.state == LinkState::Down).then(|| format!("{name} is down"));
    let mtu = wanted.mtu.filter(|mtu| *mtu != link.mtu);
    let mtu = mtu.map(|mtu| format!("mtu of {name} is {}, not {mtu}", link.mtu));
    let mac = wanted.mac.and_then(|wanted| {
        let shown = link.mac.filter(|shown| *shown != wanted)?;
        Some(format!("mac of {name} is {shown}, not {wanted}"))
    });
    down.into_iter().chain(mtu).chain(mac).collect()
}

fn vlan_differences(
    ifname: &LinkName,
    tag: VlanTag,
    bond: &Link,
    view: &View,
    wanted: &Changeable,
) -> Vec<String> {
    let Some(link) = view.link(Netns::Pod, ifname) else {
        return vec![format!("{ifname} is gone")];
    };
    let Some(vlan) = link.vlan else {
        return vec![format!("{ifname} is no VLAN interface")];
    };
    let tag = (vlan.tag != tag).then(|| format!("{ifname} is {}, not {tag}", vlan.tag));
    let moved = (vlan.lower != bond.index).then(|| format!("{ifname} is not on {}", bond.name));
    tag.into_iter().chain(moved).chain(link_differences(link, wanted)).collect()
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
fn primary_difference(added: &AddedBond, shown: &BondOptions, view: &View) -> Option<String> {
    let wanted = added.primary.as_ref()?;
    let primary = view.pod.iter().find(|link| Some(link.index) == shown.primary_port);
    let primary = primary.map_or("none", |link| link.name.as_str());
    (primary != wanted.as_str()).then(|| format!("primary is {primary}, not {wanted}"))
}

#[cfg(test)]
mod tests {
    use podbond_cni::{Args, Interface, NetConf};
    use podbond_kernel::bond::table;
    use podbond_kernel::{LinkAttributes, NewBond, Vlan, VlanProtocol};
    use serde_json::json;

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
            lower: None,
            lower_elsewhere: None,
            attributes: LinkAttributes::default(),
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

    fn added() -> AddedBond {
        AddedBond::configured(config(), &"net3".parse().unwrap())
    }

    /// The result of the last plugin of a chain.
    fn answered(mac: &str, mtu: Option<u32>) -> CniResult {
        let interface = Interface {
            name: "net3".to_owned(),
            mac: Some(mac.to_owned()),
            mtu,
            sandbox: Some("/run/netns/p".to_owned()),
            ..Interface::default()
        };
        CniResult { interfaces: vec![interface], ..CniResult::default() }
    }

    fn differences_of(view: &View) -> Vec<String> {
        let (name, answered) = ("net3".parse().unwrap(), answered("", Some(1500)));
        differences(&added(), &name, view, &answered, &Observed::default())
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

    /// The bond of a record that another version has made: its defaults were others.
    ///
    /// Promise: check-after-upgrade
    #[test]
    fn record_is_compared_whatever_the_defaults_are_today() {
        let step = |value| serde_json::from_value::<Step>(value).unwrap();
        let at = |name: &str| json!({"netns": "pod", "name": name});
        let options = BondOptions::new(BondMode::BalanceXor)
            .with(&table::MIIMON, 250)
            .with(&table::UPDELAY, 500);
        let new =
            NewBond { at: LinkRef::pod("net3".parse().unwrap()), options, mtu: 9000, mac: None };
        let mut steps = vec![Step::AddBond(new)];
        steps.extend(
            ["net1", "net2", "net4"]
                .map(|port| step(json!({"step": "enslave", "port": at(port), "bond": "net3"}))),
        );
        let recorded = AddedBond::recorded(&BondRecord { steps, ports: Vec::new() }).unwrap();
        let mut view = as_made();
        view.pod.push(link(5, "net4", Some(4), None));
        for link in &mut view.pod {
            link.mtu = 9000;
        }
        view.pod[2].bond = Some(recorded.options.clone());
        let of = |added: &AddedBond, view: &View| {
            let (name, observed) = ("net3".parse().unwrap(), Observed::default());
            differences(added, &name, view, &answered("", Some(9000)), &observed)
        };
        assert_eq!(of(&recorded, &view), [""; 0]);
        let expected = ["miimon is 250, not 100", "net4 is a port of net3, not asked for"];
        assert_eq!(of(&added(), &view), expected);
        view.pod[2].bond = Some(config().options);
        let of_record = of(&recorded, &view);
        assert_eq!(of_record[0], "miimon is 100, not 250", "{of_record:?}");
    }

    #[test]
    fn all_that_a_record_tells_is_compared() {
        let text = include_str!("../../record/v1/bond.json");
        let record: Record = serde_json::from_str(text).unwrap();
        let data: BondRecord =
            serde_json::from_value(serde_json::to_value(record.link).unwrap()["data"].clone())
                .unwrap();
        let added = AddedBond::recorded(&data).unwrap();
        assert_eq!((added.mtu, added.vlan, added.follows_active_port()), (Some(1500), None, true));
        assert_eq!(added.ports, ["net1".parse().unwrap()]);
        assert_eq!(AddedBond::recorded(&BondRecord::default()), None);

        let conf =
            br#"{"type": "bond", "cniVersion": "1.0.0", "name": "n", "mode": "active-backup",
            "linksInContainer": true, "primary": "net2", "vlan": 100, "mac": "02:00:00:00:00:77",
            "links": [{"name": "net1"}, {"name": "net2", "queueId": 2}]}"#;
        let config = Config::parse(&NetConf::parse(conf).unwrap(), &Args::default()).unwrap();
        let name: LinkName = "net3".parse().unwrap();
        let ports = View {
            pod: vec![link(2, "net1", None, None), link(3, "net2", None, None)],
            ..View::default()
        };
        let around = crate::Surroundings::default();
        let steps = crate::plan(&config, &name, &ports, &around).unwrap().steps;
        let recorded = AddedBond::recorded(&BondRecord { steps, ports: Vec::new() }).unwrap();
        let configured = AddedBond::configured(config, &name);
        assert_eq!(recorded, AddedBond { mtu: Some(1500), ..configured });
    }

    /// A later plugin of the chain, like tuning, may have changed both, and says so in its result.
    ///
    /// Promise: check-after-upgrade
    #[test]
    fn mac_and_mtu_are_those_of_the_last_result() {
        let mut view = as_made();
        view.pod[2].mac = "02:00:00:00:00:02".parse().ok();
        let of = |added: &AddedBond, view: &View, answered: &CniResult| {
            let name = "net3".parse().unwrap();
            differences(added, &name, view, answered, &Observed::default())
        };
        let mine = answered("02:00:00:00:00:01", Some(1500));
        let expected = ["mac of net3 is 02:00:00:00:00:02, not 02:00:00:00:00:01"];
        assert_eq!(of(&added(), &view, &mine), expected);
        // Nobody else can tell whether a later plugin has changed the configured one.
        let tuned = AddedBond { mac: "02:00:00:00:00:01".parse().ok(), ..added() };
        assert_eq!(of(&tuned, &view, &answered("02:00:00:00:00:02", None)), [""; 0]);
        for link in &mut view.pod {
            link.mtu = 1400;
        }
        assert_eq!(of(&added(), &view, &answered("", Some(1400))), [""; 0]);
        assert_eq!(
            of(&added(), &view, &answered("", Some(1500))),
            ["mtu of net3 is 1400, not 1500"]
        );
        // Before version 1.1.0 a result tells no MTU.
        assert_eq!(of(&added(), &view, &answered("", None)), [""; 0]);

        let options = BondOptions::new(BondMode::ActiveBackup)
            .with(&table::FAIL_OVER_MAC, FailOverMac::Active);
        view.pod[2].bond = Some(options.clone());
        let follows = AddedBond { options, ..added() };
        assert_eq!(of(&follows, &view, &answered("02:00:00:00:00:01", None)), [""; 0]);
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
        let added = AddedBond::configured(config.clone(), &"net3".parse().unwrap());
        let of = |view: &View| {
            let (name, observed) = ("net3".parse().unwrap(), Observed::default());
            differences(&added, &name, view, &answered("", Some(1500)), &observed)
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
