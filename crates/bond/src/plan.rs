use podbond_kernel::{Link, LinkRef, LinkState, Netns, PortRole, Step, View};
use podbond_names::LinkName;

use crate::config::{Config, LinksAre};
use crate::error::{Clash, Error};
use crate::findings::{Finding, Object, Reason, Refused, Surroundings, findings};
use crate::macs::{Double, Station, doubles};

/// What ADD will do to the links, and what it has to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The steps, in order. Addresses follow once IPAM has given them.
    pub steps: Vec<Step>,
    /// What will not do what it is meant to do although it is allowed.
    pub findings: Vec<Finding>,
}

/// The steps that make the bond `ifname` from what the view shows. Pure.
///
/// The view must hold, where they exist: the pod's link `ifname`, the bond beneath it where the
/// configuration has a VLAN, the ports, each port's master, and for the findings the ports' VFs, and
/// their PFs' links with their masters.
pub fn plan(
    config: &Config,
    ifname: &LinkName,
    view: &View,
    around: &Surroundings,
) -> Result<Plan, Error> {
    names_are_free(config, ifname, view)?;
    let ports = config
        .ports
        .iter()
        .map(|name| free_port(config, name, view))
        .collect::<Result<Vec<_>, _>>()?;
    let mtu = mtu(config, &ports)?;
    let mut findings = findings(config, view, around);
    let doubles = doubles_of(config, &ports);
    let mode = config.options.mode;
    findings.extend(doubles.iter().cloned().map(|Double { port, other, mac, instead }| {
        Finding::new(Object::Ports(vec![port]), Reason::EqualMacs { mode, other, mac, instead })
    }));
    let refused: Vec<Refused> =
        findings.iter().filter_map(|finding| config.refusal(finding)).collect();
    if !refused.is_empty() {
        return Err(Error::Refused { refused });
    }
    Ok(Plan { steps: steps(config, ifname, &ports, mtu, &doubles), findings })
}

fn names_are_free(config: &Config, ifname: &LinkName, view: &View) -> Result<(), Error> {
    let in_pod = |name| view.link(Netns::Pod, name).is_some();
    if config.ports.contains(ifname) {
        return Err(Error::OwnPort { name: ifname.clone() });
    }
    if in_pod(ifname) {
        return Err(Error::NameTaken { name: ifname.clone() });
    }
    let bond = config.bond_name(ifname);
    let by = if bond == *ifname {
        None
    } else if config.ports.contains(&bond) {
        Some(Clash::Port)
    } else {
        in_pod(&bond).then_some(Clash::Pod)
    };
    let taken = |by| Err(Error::BeneathTaken { vlan: ifname.clone(), bond: bond.clone(), by });
    by.map_or(Ok(()), taken)
}

/// Ports with an earlier port's address, where the mode cannot do with them: the driver refuses the
/// later one.
fn doubles_of(config: &Config, ports: &[&Link]) -> Vec<Double> {
    if !config.options.mode.needs_distinct_macs() {
        return Vec::new();
    }
    let station =
        |port: &&Link| Some(Station { port: port.name.clone(), mac: port.mac?, spare: None });
    let stations: Vec<Station> = ports.iter().filter_map(station).collect();
    doubles(&stations, config.mac)
}

fn free_port<'v>(config: &Config, name: &LinkName, view: &'v View) -> Result<&'v Link, Error> {
    let netns = config.links_are.netns();
    let port =
        view.link(netns, name).ok_or_else(|| Error::NoSuchPort { name: name.clone(), netns })?;
    if let Some(master) = port.master {
        let named = view.links(netns).iter().find(|link| link.index == master);
        return Err(Error::PortTaken {
            name: name.clone(),
            master: named.map_or_else(|| format!("link {master}"), |link| link.name.to_string()),
        });
    }
    if config.links_are == LinksAre::OnHost && view.link(Netns::Pod, name).is_some() {
        return Err(Error::NameTaken { name: name.clone() });
    }
    Ok(port)
}

fn mtu(config: &Config, ports: &[&Link]) -> Result<u32, Error> {
    let smallest = ports.iter().map(|port| port.mtu).min().unwrap_or_default();
    let Some(wanted) = config.mtu else { return Ok(smallest) };
    match ports.iter().find(|port| port.mtu < wanted) {
        Some(port) => {
            Err(Error::MtuAbovePort { wanted, port: port.name.clone(), port_mtu: port.mtu })
        }
        None => Ok(wanted),
    }
}

fn steps(
    config: &Config,
    ifname: &LinkName,
    ports: &[&Link],
    mtu: u32,
    doubles: &[Double],
) -> Vec<Step> {
    let bond = LinkRef::pod(config.bond_name(ifname));
    let (options, mac) = (config.options.clone(), config.mac);
    let mut steps = vec![Step::AddBond { at: bond.clone(), options, mtu, mac }];
    for link in ports {
        let found = LinkRef { netns: config.links_are.netns(), name: link.name.clone() };
        let port = LinkRef::pod(link.name.clone());
        // The driver takes a port only while it is down, and opens it itself.
        if link.state == LinkState::Up {
            steps.push(Step::SetState { at: found.clone(), to: LinkState::Down });
        }
        if found != port {
            steps.push(Step::Move { from: found, to: port.clone() });
        }
        if let Some(double) = doubles.iter().find(|double| double.port == link.name) {
            let (from, to) = (double.mac, double.instead);
            steps.push(Step::SetMac { at: port.clone(), from, to });
        }
        steps.push(Step::Enslave { port: port.clone(), bond: bond.name.clone() });
        if let Some(options) = config.port_options.get(&link.name) {
            steps.push(Step::SetPort { port, from: options.defaults(), to: options.clone() });
        }
    }
    let role = |role, port: &Option<LinkName>| {
        let to = port.clone()?;
        Some(Step::SetPortRole { bond: bond.clone(), role, from: None, to: Some(to) })
    };
    steps.extend(role(PortRole::Primary, &config.primary));
    steps.push(Step::SetState { at: bond.clone(), to: LinkState::Up });
    steps.extend(role(PortRole::Active, &config.active));
    if let Some(tag) = config.vlan {
        let at = LinkRef::pod(ifname.clone());
        steps.push(Step::AddVlan { at: at.clone(), lower: bond.name, tag, mtu });
        steps.push(Step::SetState { at, to: LinkState::Up });
    }
    steps
}

#[cfg(test)]
pub(crate) mod tests;
