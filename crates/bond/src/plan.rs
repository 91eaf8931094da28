use std::fmt;

use podbond_kernel::{At, BondMode, FailOverMac, Link, LinkState, Netns, PortRole, Step, View};
use podbond_names::{LinkName, Mac};

use crate::config::{Config, LinksAre, UntrustedPorts};
use crate::error::{Clash, Error};
use crate::macs::{Double, Station, doubles};

/// What ADD will do to the links, and what it has to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The steps, in order. Addresses follow once IPAM has given them.
    pub steps: Vec<Step>,
    /// What may not work although it is allowed.
    pub warnings: Vec<Warning>,
}

/// Something that is legal and will not do what it is meant to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The mode gives all ports one address, or changes theirs with one another, and these VFs may
    /// not take another.
    SharedMacOverUntrusted {
        /// The mode.
        mode: BondMode,
        /// The ports, in the order of the configuration.
        ports: Vec<LinkName>,
    },
    /// Active-backup where the address moves between ports that may not take it.
    FailOverOverUntrusted {
        /// Whose address the bond would carry.
        fail_over_mac: FailOverMac,
        /// The ports, in the order of the configuration.
        ports: Vec<LinkName>,
    },
    /// A port has the address of an earlier one, with which the mode cannot do.
    EqualMacs {
        /// The mode.
        mode: BondMode,
        /// The later port.
        port: LinkName,
        /// The earlier one.
        other: LinkName,
        /// The address of both.
        mac: Mac,
        /// What the later one gets instead, for the bond's life.
        instead: Mac,
    },
    /// A key that nobody knows.
    UnknownKey {
        /// The key, with the path to it.
        key: String,
        /// The key that was meant, as far as it can be guessed.
        nearest: Option<String>,
    },
    /// An option that the driver takes in any mode, but uses in some only.
    NoEffect {
        /// The key, with the path to it.
        key: String,
        /// The mode.
        mode: BondMode,
        /// The modes that use it.
        modes: &'static [BondMode],
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |ports: &[LinkName]| ports.iter().map(LinkName::as_str).collect::<Vec<_>>().join(", ");
        match self {
            Self::SharedMacOverUntrusted { mode, ports } => write!(
                f,
                "mode: {mode} {}, and the VFs behind {} are not trusted to change theirs: set \
                 trust to on in their networks",
                if mode.keeps_macs_apart() {
                    "changes the addresses of ports when it takes them and at a fail-over"
                } else {
                    "gives every port the same address"
                },
                list(ports)
            ),
            Self::EqualMacs { mode, port, other, mac, instead } => write!(
                f,
                "links: {port} has the MAC address of {other}, {mac}, and {mode} needs ports that \
                 differ: {port} gets {instead} for as long as the bond lives; give it an address \
                 of its own in its network"
            ),
            Self::FailOverOverUntrusted { fail_over_mac, ports } => write!(
                f,
                "failOverMac: with {} ({fail_over_mac}) a fail-over changes the address of ports, \
                 and the VFs behind {} are not trusted to change theirs: set failOverMac to 1 \
                 (active), or trust to on in their networks",
                fail_over_mac.number(),
                list(ports)
            ),
            Self::UnknownKey { key, nearest: Some(nearest) } => {
                write!(f, "{key}: did you mean {nearest}? (an unknown key, without effect)")
            }
            Self::UnknownKey { key, nearest: None } => {
                write!(f, "{key}: an unknown key, without effect")
            }
            Self::NoEffect { key, mode, modes } => {
                let modes: Vec<&str> = modes.iter().map(|mode| mode.name()).collect();
                write!(f, "{key} has no effect in mode {mode}, only in {}", modes.join(", "))
            }
        }
    }
}

/// The steps that make the bond `ifname` from what the view shows. Pure.
///
/// The view must hold, where they exist: the pod's link `ifname`, the bond beneath it where the
/// configuration has a VLAN, the ports, each port's master, and the VFs of those ports of which
/// [`Config::needs_trust`] asks.
pub fn plan(config: &Config, ifname: &LinkName, view: &View) -> Result<Plan, Error> {
    names_are_free(config, ifname, view)?;
    let ports = config
        .ports
        .iter()
        .map(|name| free_port(config, name, view))
        .collect::<Result<Vec<_>, _>>()?;
    let mtu = mtu(config, &ports)?;
    let mut warnings = config.warnings.clone();
    match untrusted(config, &ports, view) {
        Some(untrusted) if config.untrusted == UntrustedPorts::Refused => {
            return Err(Error::Untrusted { untrusted });
        }
        found => warnings.extend(found),
    }
    let doubles = doubles_of(config, &ports);
    let mode = config.options.mode;
    warnings.extend(doubles.iter().cloned().map(|Double { port, other, mac, instead }| {
        Warning::EqualMacs { mode, port, other, mac, instead }
    }));
    Ok(Plan { steps: steps(config, ifname, &ports, mtu, &doubles), warnings })
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
    if !config.options.mode.keeps_macs_apart() {
        return Vec::new();
    }
    let station =
        |port: &&Link| Some(Station { port: port.name.clone(), mac: port.mac?, spare: None });
    let stations: Vec<Station> = ports.iter().filter_map(station).collect();
    doubles(&stations, config.mac)
}

impl Config {
    /// Whether ports may have to change their address, so that it matters if they are trusted VFs.
    ///
    /// Also in balance-tlb and balance-alb, where each port has an address of its own: the driver
    /// gives a new port the bond's first, and changes those of two ports at a fail-over.
    pub fn needs_trust(&self) -> bool {
        self.options.mode != BondMode::ActiveBackup || self.fail_over_mac() != FailOverMac::Active
    }
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

/// The VFs that would have to change their address and are not trusted to. A VF whose driver does
/// not tell is not counted.
fn untrusted(config: &Config, ports: &[&Link], view: &View) -> Option<Warning> {
    if !config.needs_trust() {
        return None;
    }
    let mode = config.options.mode;
    // With one address for all, it is the bond's own or the first port's: ports that have it keep it.
    let shared = config.mac.or_else(|| ports.first()?.mac);
    let each = mode == BondMode::ActiveBackup || mode.keeps_macs_apart();
    let untrusted: Vec<LinkName> = ports
        .iter()
        .filter(|port| each || port.mac != shared)
        .filter(|port| view.vf_of(port).is_some_and(|vf| vf.settings.trust == Some(false)))
        .map(|port| port.name.clone())
        .collect();
    if untrusted.is_empty() {
        None
    } else if mode == BondMode::ActiveBackup {
        let fail_over_mac = config.fail_over_mac();
        Some(Warning::FailOverOverUntrusted { fail_over_mac, ports: untrusted })
    } else {
        Some(Warning::SharedMacOverUntrusted { mode, ports: untrusted })
    }
}

fn steps(
    config: &Config,
    ifname: &LinkName,
    ports: &[&Link],
    mtu: u32,
    doubles: &[Double],
) -> Vec<Step> {
    let bond = At::pod(config.bond_name(ifname));
    let (options, mac) = (config.options.clone(), config.mac);
    let mut steps = vec![Step::AddBond { at: bond.clone(), options, mtu, mac }];
    for link in ports {
        let found = At { netns: config.links_are.netns(), name: link.name.clone() };
        let port = At::pod(link.name.clone());
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
        let at = At::pod(ifname.clone());
        steps.push(Step::AddVlan { at: at.clone(), lower: bond.name, tag, mtu });
        steps.push(Step::SetState { at, to: LinkState::Up });
    }
    steps
}

#[cfg(test)]
mod tests;
