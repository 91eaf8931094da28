use std::fmt;

use podbond_kernel::{At, BondMode, FailOverMac, Link, LinkState, Netns, Step, View};
use podbond_names::LinkName;

use crate::config::{Config, LinksAre, UntrustedPorts};
use crate::error::Error;

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
    /// The mode gives all ports one address, and these VFs may not take it.
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
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |ports: &[LinkName]| ports.iter().map(LinkName::as_str).collect::<Vec<_>>().join(", ");
        match self {
            Self::SharedMacOverUntrusted { mode, ports } => write!(
                f,
                "mode: {mode} gives every port the same address, and the VFs behind {} are not \
                 trusted to change theirs: set trust to on in their networks",
                list(ports)
            ),
            Self::FailOverOverUntrusted { fail_over_mac, ports } => write!(
                f,
                "failOverMac: with {} ({fail_over_mac}) a fail-over changes the address of ports, \
                 and the VFs behind {} are not trusted to change theirs: set failOverMac to 1 \
                 (active), or trust to on in their networks",
                fail_over_mac.number(),
                list(ports)
            ),
        }
    }
}

/// The steps that make the bond `ifname` from what the view shows. Pure.
///
/// The view must hold, where they exist: the pod's link `ifname`, the ports, each port's master, and
/// the VFs of those ports of which [`Config::needs_trust`] asks.
pub fn plan(config: &Config, ifname: &LinkName, view: &View) -> Result<Plan, Error> {
    if view.link(Netns::Pod, ifname).is_some() {
        return Err(Error::NameTaken { name: ifname.clone() });
    }
    let ports = config
        .ports
        .iter()
        .map(|name| free_port(config, name, view))
        .collect::<Result<Vec<_>, _>>()?;
    let mtu = mtu(config, &ports)?;
    let warnings = match untrusted(config, &ports, view) {
        Some(untrusted) if config.untrusted == UntrustedPorts::Refused => {
            return Err(Error::Untrusted { untrusted });
        }
        found => found.into_iter().collect(),
    };
    Ok(Plan { steps: steps(config, ifname, &ports, mtu), warnings })
}

/// The steps that take the bond away again, from what the view shows of it. Ports that came from
/// the host go back there under the names that the configuration knows them by, and are brought up
/// where ADD had found them up, as `made`, its steps, tell. Pure.
pub(crate) fn removal(config: &Config, ifname: &LinkName, view: &View, made: &[Step]) -> Vec<Step> {
    let bond = view.link(Netns::Pod, ifname).and_then(|link| Some((link, link.bond.clone()?)));
    let mut steps = Vec::new();
    let mut seen = view.clone();
    if let Some((link, options)) = bond {
        let (at, mtu) = (At::pod(ifname.clone()), link.mtu);
        // The driver frees and closes its ports with the bond: one message instead of one a port.
        steps.push(Step::RemoveBond { at, options, mtu, mac: None });
        seen.apply(&steps);
    }
    if config.links_are == LinksAre::OnHost {
        for name in &config.ports {
            let at = At::pod(name.clone());
            match seen.link(Netns::Pod, name) {
                // Another bond's by now: what we did not enslave we do not take.
                Some(port) if port.master.is_some() => {}
                Some(port) => {
                    if port.state == LinkState::Up {
                        steps.push(Step::SetState { at: at.clone(), to: LinkState::Down });
                    }
                    let home = At::host(name.clone());
                    let brought_down = Step::SetState { at: home.clone(), to: LinkState::Down };
                    steps.push(Step::Move { from: at, to: home });
                    if made.contains(&brought_down) {
                        steps.push(brought_down.inverse());
                    }
                }
                None => {}
            }
        }
    }
    steps
}

impl Config {
    /// Whether ports may have to change their address, so that it matters if they are trusted VFs.
    pub fn needs_trust(&self) -> bool {
        match self.options.mode {
            BondMode::ActiveBackup => self.fail_over_mac() != FailOverMac::Active,
            BondMode::BalanceRr | BondMode::BalanceXor | BondMode::Broadcast | BondMode::Lacp => {
                true
            }
            // Each port keeps its own address there while all are well.
            BondMode::BalanceTlb | BondMode::BalanceAlb => false,
        }
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
    // With one address for all, the bond takes the first port's: ports that have it keep it.
    let shared = ports.first().and_then(|port| port.mac);
    let untrusted: Vec<LinkName> = ports
        .iter()
        .filter(|port| mode == BondMode::ActiveBackup || port.mac != shared)
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

fn steps(config: &Config, ifname: &LinkName, ports: &[&Link], mtu: u32) -> Vec<Step> {
    let bond = At::pod(ifname.clone());
    let mut steps =
        vec![Step::AddBond { at: bond.clone(), options: config.options.clone(), mtu, mac: None }];
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
        steps.push(Step::Enslave { port, bond: ifname.clone() });
    }
    steps.push(Step::SetState { at: bond, to: LinkState::Up });
    steps
}

#[cfg(test)]
mod tests;
