//! The rules that find what a bond will not do, or will not survive. Pure.

use std::collections::{BTreeMap, BTreeSet};

use podbond_kernel::bond::table;
use podbond_kernel::{
    BondMode, Duplex, FailOverMac, Link, LinkState, Netns, Speed, Vf, VfLinkState, View,
};
use podbond_names::{LinkName, Mac, PciAddress};

use crate::config::{Config, UntrustedPorts};
use crate::finding::{Finding, Object, Reason, Severity};

/// The drivers of VFs whose cards check source addresses against those that the VF has by leave of
/// its PF, and not against the one that the PF gave it: Intel's.
const FOLLOWED: [&str; 3] = ["igbvf", "ixgbevf", "iavf"];

/// What stands around a bond, beside the links and VFs of a view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The speed of functions that ports run over: PFs, or the ports' own.
    pub speeds: BTreeMap<PciAddress, Speed>,
    /// The bonds of other attachments of the node, as far as they are known.
    pub bonds: Vec<OtherBond>,
}

/// A bond of another attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherBond {
    /// Whose it is, for people.
    pub name: String,
    /// Its mode.
    pub mode: BondMode,
    /// The PFs that its ports run over.
    pub pfs: Vec<PciAddress>,
}

impl OtherBond {
    /// Returns the bond that a configuration asks for, over the links and VFs of a view.
    pub fn of(name: String, config: &Config, view: &View) -> Self {
        let pfs = ports(config, view).iter().filter_map(|port| port.pf).collect();
        Self { name, mode: config.options.mode, pfs }
    }
}

/// A port, down to the function that carries it.
struct Port<'v> {
    link: &'v Link,
    vf: Option<&'v Vf>,
    /// The PF, or the port's own function; none of a link without hardware.
    pf: Option<PciAddress>,
}

impl Port<'_> {
    fn name(&self) -> LinkName {
        self.link.name.clone()
    }

    fn object(&self) -> Object {
        Object::Ports(vec![self.name()])
    }
}

/// Returns all that a bond will not do although it was asked for, or will not survive. Pure.
///
/// The view holds what it holds for a plan, and the links of the ports' PFs on the node with their
/// masters. What it does not hold is not judged: a port that is no VF has no PF to fail.
pub fn findings(config: &Config, view: &View, around: &Surroundings) -> Vec<Finding> {
    let ports = ports(config, view);
    let mut found = config.findings.clone();
    found.extend(monitoring(config));
    found.extend(shared(&ports, view));
    found.extend(untrusted(config, &ports));
    found.extend(checked(config, &ports));
    found.extend(link_states(config, &ports));
    for (vf, on_pf) in by_pf_link(&ports) {
        found.extend(of_pf(vf, &on_pf, view));
    }
    found.extend(lacp_twice(config, &ports, view, around));
    found.extend(unequal(config, &ports, around));
    found.extend(
        ports
            .iter()
            .filter(|port| is_dead(port, view))
            .map(|port| Finding::new(port.object(), Reason::PortWithoutCarrier)),
    );
    found
}

fn ports<'v>(config: &Config, view: &'v View) -> Vec<Port<'v>> {
    let links = config.ports.iter().filter_map(|name| view.link(config.links_are.netns(), name));
    let port = |link: &'v Link| {
        let vf = view.vf_of(link);
        Port { link, vf, pf: vf.map(|vf| vf.pf).or(link.parent) }
    };
    links.map(port).collect()
}

fn number(config: &Config, option: &table::BondOption) -> i64 {
    config.options.number(option).unwrap_or(0)
}

fn watches_neighbours(config: &Config) -> bool {
    number(config, &table::ARP_INTERVAL) > 0
}

fn monitoring(config: &Config) -> Option<Finding> {
    let blind = number(config, &table::MIIMON) == 0 && !watches_neighbours(config);
    blind.then(|| Finding::new(Object::Key("miimon".to_owned()), Reason::NoMonitoring))
}

/// Returns findings about the ports that fail together: with a PF, or with a card.
fn shared(ports: &[Port<'_>], view: &View) -> Vec<Finding> {
    let mut by_pf: BTreeMap<PciAddress, Vec<&Port<'_>>> = BTreeMap::new();
    let mut by_card: BTreeMap<String, (BTreeSet<PciAddress>, Vec<LinkName>)> = BTreeMap::new();
    for port in ports {
        let Some(pf) = port.pf else { continue };
        by_pf.entry(pf).or_default().push(port);
        let card = by_card.entry(pf.slot()).or_default();
        card.0.insert(pf);
        card.1.push(port.name());
    }
    let on_pf = by_pf.into_iter().filter(|(_, ports)| ports.len() > 1).map(|(pf, ports)| {
        let ports = ports.into_iter().map(Port::name).collect();
        Finding::new(Object::Pf(label(pf, view)), Reason::PortsShareAPf { ports })
    });
    let on_card =
        by_card.into_iter().filter(|(_, (pfs, _))| pfs.len() > 1).map(|(slot, (_, ports))| {
            Finding::new(Object::Card(slot), Reason::PortsShareACard { ports })
        });
    on_pf.chain(on_card).collect()
}

/// Returns a PF's name, as far as a VF or a link of the node tells it.
fn label(pf: PciAddress, view: &View) -> String {
    let by_vf = view.vfs.iter().find(|vf| vf.pf == pf).map(|vf| &vf.pf_link);
    let by_link = || {
        let all = view.host.iter().chain(&view.pod);
        all.filter(|link| link.parent == Some(pf)).map(|link| &link.name).next()
    };
    by_vf.or_else(by_link).map_or_else(|| pf.to_string(), ToString::to_string)
}

/// Returns the address of the bond, where it is one for all ports: its own, or the first port's.
fn shared_mac(config: &Config, ports: &[Port<'_>]) -> Option<Mac> {
    config.mac.or_else(|| ports.first()?.link.mac)
}

/// Finds the VFs that would have to change their address and are not trusted to. A VF whose driver
/// does not tell is not counted.
fn untrusted(config: &Config, ports: &[Port<'_>]) -> Option<Finding> {
    let mode = config.options.mode;
    let untrusted: Vec<LinkName> = ports
        .iter()
        .filter(|port| port.vf.is_some_and(|vf| vf.settings.trust == Some(false)))
        .filter(|port| changes_address(config, ports, given_mac(port)))
        .map(Port::name)
        .collect();
    if untrusted.is_empty() {
        return None;
    }
    let reason = match mode {
        BondMode::ActiveBackup => {
            Reason::FailOverOverUntrusted { fail_over_mac: config.fail_over_mac() }
        }
        BondMode::BalanceTlb | BondMode::BalanceAlb => Reason::SwapOverUntrusted { mode },
        _ => Reason::SharedMacOverUntrusted { mode },
    };
    let found = Finding::new(Object::Ports(untrusted), reason);
    let severity = match config.untrusted {
        UntrustedPorts::Allowed => found.severity.min(Severity::Warning),
        UntrustedPorts::Refused => found.severity,
    };
    Some(Finding { severity, ..found })
}

/// Returns the address that a VF was given by its PF; where it was given none, the one that it has.
/// In a bond that is there, the port may show another one.
fn given_mac(port: &Port<'_>) -> Option<Mac> {
    let given = port.vf.and_then(|vf| vf.settings.mac).filter(|mac| *mac != Mac::ZERO);
    given.or(port.link.mac)
}

/// Returns whether a port that was given the address `own` may have to send with another one.
fn changes_address(config: &Config, ports: &[Port<'_>], own: Option<Mac>) -> bool {
    match config.options.mode {
        BondMode::ActiveBackup => config.fail_over_mac() != FailOverMac::Active,
        // With one address for all, the ports that have it keep it.
        BondMode::BalanceRr | BondMode::BalanceXor | BondMode::Broadcast | BondMode::Lacp => {
            own != shared_mac(config, ports)
        }
        // The driver gives a new port the bond's first, and another one the bond's at a fail-over.
        BondMode::BalanceTlb | BondMode::BalanceAlb => true,
    }
}

/// Finds the VFs whose card checks the addresses that they send with against the one that it gave
/// them.
fn checked(config: &Config, ports: &[Port<'_>]) -> Option<Finding> {
    let checked: Vec<LinkName> = ports
        .iter()
        .filter(|port| {
            port.vf.is_some_and(|vf| {
                let followed = vf.driver.as_deref().is_some_and(|name| FOLLOWED.contains(&name));
                vf.settings.spoofchk == Some(true)
                    && !followed
                    && changes_address(config, ports, given_mac(port))
            })
        })
        .map(Port::name)
        .collect();
    let some = !checked.is_empty();
    some.then(|| Finding::new(Object::Ports(checked), Reason::SpoofCheck))
}

fn link_states(config: &Config, ports: &[Port<'_>]) -> Vec<Finding> {
    let found = ports.iter().filter_map(|port| {
        let vf = port.vf?;
        let pf = vf.pf_link.to_string();
        let reason = match vf.settings.link_state? {
            VfLinkState::Auto => return None,
            // Who asks neighbours does not go by carrier.
            VfLinkState::Enable if watches_neighbours(config) => return None,
            VfLinkState::Enable => Reason::PfDeathUnseen { pf },
            VfLinkState::Disable => Reason::VfLinkDisabled { pf },
        };
        Some(Finding::new(port.object(), reason))
    });
    found.collect()
}

/// Returns the ports that are VFs, below each PF's link on the node.
fn by_pf_link<'p>(ports: &'p [Port<'p>]) -> Vec<(&'p LinkName, Vec<LinkName>)> {
    let mut all: Vec<(&LinkName, Vec<LinkName>)> = Vec::new();
    for port in ports {
        let Some(vf) = port.vf else { continue };
        match all.iter_mut().find(|(pf, _)| **pf == vf.pf_link) {
            Some((_, ports)) => ports.push(port.name()),
            None => all.push((&vf.pf_link, vec![port.name()])),
        }
    }
    all
}

/// Returns findings about a PF itself.
fn of_pf(pf: &LinkName, ports: &[LinkName], view: &View) -> Vec<Finding> {
    let Some(link) = view.link(Netns::Host, pf) else { return Vec::new() };
    let ports = ports.to_vec();
    let mut reasons = Vec::new();
    if link.state == LinkState::Down {
        reasons.push(Reason::PfDown { ports });
    } else if !link.carrier {
        reasons.push(Reason::PfWithoutCarrier { ports });
    }
    if let Some(index) = link.master {
        let master = view.host.iter().find(|link| link.index == index);
        reasons.push(Reason::PfHasAMaster {
            master: master.map_or_else(|| format!("link {index}"), |link| link.name.to_string()),
            kind: master.and_then(|link| link.kind.clone()).unwrap_or_else(|| "link".to_owned()),
        });
    }
    reasons.into_iter().map(|reason| Finding::new(Object::Pf(pf.to_string()), reason)).collect()
}

fn lacp_twice(
    config: &Config,
    ports: &[Port<'_>],
    view: &View,
    around: &Surroundings,
) -> Vec<Finding> {
    if config.options.mode != BondMode::Lacp {
        return Vec::new();
    }
    let pfs: BTreeSet<PciAddress> = ports.iter().filter_map(|port| port.pf).collect();
    let found = pfs.into_iter().filter_map(|pf| {
        let others = around.bonds.iter();
        let others: Vec<String> = others
            .filter(|other| other.mode == BondMode::Lacp && other.pfs.contains(&pf))
            .map(|other| other.name.clone())
            .collect();
        let some = !others.is_empty();
        some.then(|| Finding::new(Object::Pf(label(pf, view)), Reason::LacpTwiceOnAPf { others }))
    });
    found.collect()
}

/// Finds differences between the speeds of ports, where the mode wants equal ones.
fn unequal(config: &Config, ports: &[Port<'_>], around: &Surroundings) -> Vec<Finding> {
    let mode = config.options.mode;
    if !config.needs_equal_speeds() {
        return Vec::new();
    }
    let known: Vec<(LinkName, Speed)> = ports
        .iter()
        .filter_map(|port| Some((port.name(), *around.speeds.get(&port.pf?)?)))
        .collect();
    let all = || Object::Ports(known.iter().map(|(name, _)| name.clone()).collect());
    let mut found = Vec::new();
    if known.iter().any(|(_, speed)| speed.mbits != known[0].1.mbits) {
        let speeds = known.iter().map(|(name, speed)| (name.clone(), speed.mbits)).collect();
        found.push(Finding::new(all(), Reason::UnequalSpeeds { mode, speeds }));
    }
    if known.iter().any(|(_, speed)| speed.duplex != known[0].1.duplex) {
        let half = known.iter().filter(|(_, speed)| speed.duplex == Duplex::Half);
        let half = half.map(|(name, _)| name.clone()).collect();
        found.push(Finding::new(all(), Reason::UnequalDuplex { mode, half }));
    }
    found
}

/// Returns whether a port of a bond that is there has no carrier although its VF and PF could have
/// it. That it has none before ADD means nothing: the driver opens it, and a VF finds its carrier
/// later.
fn is_dead(port: &Port<'_>, view: &View) -> bool {
    let is_reported = port.vf.is_some_and(|vf| {
        let pf = view.link(Netns::Host, &vf.pf_link);
        vf.settings.link_state == Some(VfLinkState::Disable) || pf.is_some_and(|pf| !pf.carrier)
    });
    port.link.master.is_some()
        && port.link.state == LinkState::Up
        && !port.link.carrier
        && !is_reported
}

#[cfg(test)]
mod tests;
