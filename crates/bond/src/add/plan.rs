//! Plans ADD: the steps that make a bond of what the kernel shows. Pure.

use podbond_kernel::{Link, LinkRef, LinkState, Netns, NewBond, NewVlan, PortRole, Step, View};
use podbond_names::LinkName;

use crate::config::{Config, LinksAre};
use crate::error::{Clash, Error};
use crate::finding::{Finding, Object, Refused, kind};
use crate::inspect::{Surroundings, findings};
use crate::port_macs::{MacConflict, PortMac, mac_conflicts};

/// The MTU of a bond whose configuration gives none: the kernel's, which bond-cni leaves as it is, bytes.
const DEFAULT_MTU: u32 = 1500;

/// What ADD will do to the links, and what it has to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The steps, in order. Addresses follow once IPAM has given them.
    pub steps: Vec<Step>,
    /// What will not do what it is meant to do although it is allowed.
    pub findings: Vec<Finding>,
}

/// Returns the steps that make the bond `ifname` from what the view shows. Pure.
///
/// The view must hold, where they exist: the pod's link `ifname`, the bond below it where the
/// configuration has a VLAN, the ports, each port's master, and for the findings the ports' VFs,
/// and their PFs' links with their masters.
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
    let conflicts = conflicts_of(config, &ports);
    findings.extend(conflicts.iter().map(|conflict| equal_macs(config, conflict)));
    findings.extend(mtu_below_ports(config, mtu, &ports));
    let refused: Vec<Refused> =
        findings.iter().filter_map(|finding| config.refusal(finding)).collect();
    if !refused.is_empty() {
        return Err(Error::Refused { refused });
    }
    Ok(Plan { steps: steps(config, ifname, &ports, mtu, &conflicts), findings })
}

fn equal_macs(config: &Config, conflict: &MacConflict) -> Finding {
    let MacConflict { port, other, mac, replacement } = conflict.clone();
    let mode = config.options.mode;
    let reason = format!(
        "it has the MAC address of {other}, {mac}, and mode {mode} needs ports that differ: it gets \
         {replacement} for as long as the bond lives"
    );
    Finding::new(&kind::EQUAL_MACS, Object::Ports(vec![port]), reason)
}

fn names_are_free(config: &Config, ifname: &LinkName, view: &View) -> Result<(), Error> {
    if config.ports.contains(ifname) {
        return Err(Error::OwnPort { name: ifname.clone() });
    }
    if view.link(Netns::Pod, ifname).is_some() {
        return Err(Error::NameTaken { name: ifname.clone() });
    }
    let bond = config.bond_name(ifname);
    let by = if bond == *ifname {
        return Ok(());
    } else if config.ports.contains(&bond) {
        Clash::Port
    } else if view.link(Netns::Pod, &bond).is_some() {
        Clash::Pod
    } else {
        return Ok(());
    };
    Err(Error::BondNameTaken { vlan: ifname.clone(), bond, by })
}

/// Returns the ports with an earlier port's address, where the driver refuses these in the mode.
fn conflicts_of(config: &Config, ports: &[&Link]) -> Vec<MacConflict> {
    if !config.options.mode.needs_distinct_macs() {
        return Vec::new();
    }
    let macs: Vec<PortMac> = ports
        .iter()
        .filter_map(|port| {
            Some(PortMac { port: port.name.clone(), mac: port.mac?, fallback: None })
        })
        .collect();
    mac_conflicts(&macs, config.mac)
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

/// Returns the bond's MTU in bytes; one that not all ports have is refused.
fn mtu(config: &Config, ports: &[&Link]) -> Result<u32, Error> {
    let Some(wanted) = config.mtu else { return Ok(smallest_mtu(ports).min(DEFAULT_MTU)) };
    match ports.iter().find(|port| port.mtu < wanted) {
        Some(port) => {
            Err(Error::MtuAbovePort { wanted, port: port.name.clone(), port_mtu: port.mtu })
        }
        None => Ok(wanted),
    }
}

fn mtu_below_ports(config: &Config, mtu: u32, ports: &[&Link]) -> Option<Finding> {
    let smallest = smallest_mtu(ports);
    (config.mtu.is_none() && mtu < smallest).then(|| {
        let reason = format!("it has an MTU of {mtu} bytes, and every port could carry {smallest}");
        Finding::new(&kind::MTU_BELOW_PORTS, Object::Key("mtu".to_owned()), reason)
    })
}

fn smallest_mtu(ports: &[&Link]) -> u32 {
    ports.iter().map(|port| port.mtu).min().unwrap_or_default()
}

fn steps(
    config: &Config,
    ifname: &LinkName,
    ports: &[&Link],
    mtu: u32,
    conflicts: &[MacConflict],
) -> Vec<Step> {
    let bond = LinkRef::pod(config.bond_name(ifname));
    let (options, mac) = (config.options.clone(), config.mac);
    let mut steps = vec![Step::AddBond(NewBond { at: bond.clone(), options, mtu, mac })];
    for link in ports {
        let before = LinkRef { netns: config.links_are.netns(), name: link.name.clone() };
        let port = LinkRef::pod(link.name.clone());
        // The driver takes a port only while it is down, and opens it itself.
        if link.state == LinkState::Up {
            steps.push(Step::SetState { at: before.clone(), to: LinkState::Down });
        }
        if before != port {
            steps.push(Step::Move { from: before, to: port.clone() });
        }
        if let Some(conflict) = conflicts.iter().find(|conflict| conflict.port == link.name) {
            let (from, to) = (conflict.mac, conflict.replacement);
            steps.push(Step::SetMac { at: port.clone(), from, to });
        }
        steps.push(Step::Enslave { port: port.clone(), bond: bond.name.clone() });
        if let Some(options) = config.port_options.get(&link.name) {
            steps.push(Step::SetPort { port, from: options.defaults(), to: options.clone() });
        }
    }
    steps.extend(set_role(&bond, PortRole::Primary, config.primary.as_ref()));
    steps.push(Step::SetState { at: bond.clone(), to: LinkState::Up });
    steps.extend(set_role(&bond, PortRole::Active, config.active.as_ref()));
    if let Some(tag) = config.vlan {
        let at = LinkRef::pod(ifname.clone());
        steps.push(Step::AddVlan(NewVlan { at: at.clone(), lower: bond.name, tag, mtu }));
        steps.push(Step::SetState { at, to: LinkState::Up });
    }
    steps
}

fn set_role(bond: &LinkRef, role: PortRole, port: Option<&LinkName>) -> Option<Step> {
    let to = Some(port?.clone());
    Some(Step::SetPortRole { bond: bond.clone(), role, from: None, to })
}

#[cfg(test)]
pub(crate) mod tests;
