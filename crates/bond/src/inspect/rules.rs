//! The rules that find what a bond will not do, or will not survive. Pure.

use std::collections::{BTreeMap, BTreeSet};

use podbond_kernel::bond::table;
use podbond_kernel::{
    BondMode, Duplex, FailOverMac, Link, LinkState, Netns, Speed, Vf, VfLinkState, View,
};
use podbond_names::{LinkName, Mac, PciAddress};

use crate::config::{Config, UntrustedPorts};
use crate::finding::{Finding, Kind, Object, Severity, kind, listed};

/// The drivers of VFs whose cards check source addresses against those that the VF has by leave of
/// its PF, and not against the one that the PF gave it: Intel's.
const FOLLOWED: [&str; 3] = ["igbvf", "ixgbevf", "iavf"];

/// The drivers of PFs that refuse a VF which is not trusted another MAC address than the one that its PF
/// has set: Intel's. Others take it (mlx5), or say so when the VF asks.
const KEEP_SET_MACS: [&str; 4] = ["igb", "ixgbe", "i40e", "ice"];

const NO_CARRIER: &str = "it has no carrier, so that it carries nothing";

/// What stands around a bond, beside the links and VFs of a view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The speed of functions that ports run over: PFs, or the ports' own.
    pub speeds: BTreeMap<PciAddress, Speed>,
    /// The drivers of the PFs of those VFs that are not trusted.
    pub pf_drivers: BTreeMap<PciAddress, String>,
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
pub(crate) fn findings(config: &Config, view: &View, around: &Surroundings) -> Vec<Finding> {
    let ports = ports(config, view);
    let mut found = config.findings.clone();
    found.extend(monitoring(config));
    found.extend(shared(&ports, view));
    found.extend(untrusted(config, &ports, around));
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
            .map(|port| Finding::new(&kind::PORT_WITHOUT_CARRIER, port.object(), NO_CARRIER)),
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
    let reason =
        "it is 0 and arpInterval is not given: the bond never learns that a port has failed";
    blind.then(|| Finding::new(&kind::NO_MONITORING, Object::Key("miimon".to_owned()), reason))
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
        let ports: Vec<LinkName> = ports.into_iter().map(Port::name).collect();
        let reason = format!("{} all run over it, and fail when it fails", listed(&ports));
        Finding::new(&kind::PORTS_SHARE_A_PF, Object::Pf(label(pf, view)), reason)
    });
    let on_card =
        by_card.into_iter().filter(|(_, (pfs, _))| pfs.len() > 1).map(|(slot, (_, ports))| {
            let ports = listed(&ports);
            let reason = format!("{ports} run over PFs of this one card, and fail when it fails");
            Finding::new(&kind::PORTS_SHARE_A_CARD, Object::Card(slot), reason)
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

/// Finds the VFs that would have to change their address and are not trusted to: those whose PF refuses
/// it for certain, and those of which it is not known. A VF whose driver does not tell is not counted.
fn untrusted(config: &Config, ports: &[Port<'_>], around: &Surroundings) -> Vec<Finding> {
    let (refused, unknown): (Vec<&Port<'_>>, Vec<&Port<'_>>) = ports
        .iter()
        .filter(|port| port.vf.is_some_and(|vf| vf.settings.trust == Some(false)))
        .filter(|port| changes_address(config, ports, given_mac(port)))
        .partition(|port| keeps_set_mac(port, around));
    let if_refused = match config.untrusted {
        UntrustedPorts::Allowed => Severity::Warning,
        UntrustedPorts::Refused => Severity::Error,
    };
    let of_driver = "their PF's driver refuses that, since the PF has set their addresses";
    let of_others = "whether they may is up to their PF's driver";
    let found = [(refused, if_refused, of_driver), (unknown, Severity::Warning, of_others)];
    found
        .into_iter()
        .filter(|(ports, ..)| !ports.is_empty())
        .map(|(ports, severity, then)| {
            let object = Object::Ports(ports.into_iter().map(Port::name).collect());
            let (kind, changes) = address_change(config);
            let reason =
                format!("{changes}, and their VFs are not trusted to change theirs: {then}");
            Finding { severity, ..Finding::new(kind, object, reason) }
        })
        .collect()
}

/// Returns why a mode changes addresses of ports, and the kind of finding about VFs that are not trusted.
fn address_change(config: &Config) -> (&'static Kind, String) {
    let mode = config.options.mode;
    match mode {
        BondMode::ActiveBackup => {
            let whose = config.fail_over_mac();
            let with = format!("with failOverMac {} ({whose})", whose.number());
            (&kind::FAIL_OVER_OVER_UNTRUSTED, format!("{with} the address of ports changes"))
        }
        BondMode::BalanceTlb | BondMode::BalanceAlb => (
            &kind::SWAP_OVER_UNTRUSTED,
            format!(
                "mode {mode} changes the addresses of ports when it takes them and at a fail-over"
            ),
        ),
        _ => (
            &kind::SHARED_MAC_OVER_UNTRUSTED,
            format!("mode {mode} gives every port the same address"),
        ),
    }
}

/// Returns whether the PF refuses a port that is not trusted another address than it has set. A PF that
/// shows zeros has set none.
fn keeps_set_mac(port: &Port<'_>, around: &Surroundings) -> bool {
    port.vf.is_some_and(|vf| {
        let driver = around.pf_drivers.get(&vf.pf);
        driver.is_some_and(|driver| KEEP_SET_MACS.contains(&driver.as_str()))
            && vf.settings.mac.is_some_and(|mac| mac != Mac::ZERO)
    })
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
    let reason = "they are to send with an address that is not the one their VFs were given, and \
                  spoofchk is on: their card may drop it";
    some.then(|| Finding::new(&kind::SPOOF_CHECK, Object::Ports(checked), reason))
}

fn link_states(config: &Config, ports: &[Port<'_>]) -> Vec<Finding> {
    let found = ports.iter().filter_map(|port| {
        let vf = port.vf?;
        let pf = &vf.pf_link;
        let (kind, reason) = match vf.settings.link_state? {
            VfLinkState::Auto => return None,
            // Who asks neighbours does not go by carrier.
            VfLinkState::Enable if watches_neighbours(config) => return None,
            VfLinkState::Enable => (
                &kind::PF_DEATH_UNSEEN,
                format!(
                    "the link_state of its VF is enable: it has carrier also when PF {pf} has none, and \
                     the bond goes on using it"
                ),
            ),
            VfLinkState::Disable => (
                &kind::VF_LINK_DISABLED,
                format!(
                    "the link_state of its VF is disable: it never has carrier, whatever PF {pf} has"
                ),
            ),
        };
        Some(Finding::new(kind, port.object(), reason))
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
    let object = || Object::Pf(pf.to_string());
    let mut found = Vec::new();
    let then = format!("so that {} can carry nothing", listed(ports));
    if link.state == LinkState::Down {
        found.push(Finding::new(&kind::PF_DOWN, object(), format!("it is down, {then}")));
    } else if !link.carrier {
        let reason = format!("it has no carrier, {then}");
        found.push(Finding::new(&kind::PF_WITHOUT_CARRIER, object(), reason));
    }
    if let Some(index) = link.master {
        let master = view.host.iter().find(|link| link.index == index);
        let name = master.map_or_else(|| format!("link {index}"), |link| link.name.to_string());
        let of_kind = master.and_then(|link| link.kind.as_deref()).unwrap_or("link");
        let then = match of_kind {
            "bond" => {
                ": a switch that takes that bond for one link sends a VF's frames to either port of it"
            }
            _ => "",
        };
        let reason = format!("it is itself a port of the node's {of_kind} {name}{then}");
        found.push(Finding::new(&kind::PF_HAS_A_MASTER, object(), reason));
    }
    found
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
        let reason = format!(
            "{} runs LACP over it too, and a switch port has one LACP partner",
            listed(&others)
        );
        let pf = Object::Pf(label(pf, view));
        (!others.is_empty()).then(|| Finding::new(&kind::LACP_TWICE_ON_A_PF, pf, reason))
    });
    found.collect()
}

/// Finds differences between the speeds of ports, where the mode wants equal ones.
fn unequal(config: &Config, ports: &[Port<'_>], around: &Surroundings) -> Vec<Finding> {
    if !config.needs_equal_speeds() {
        return Vec::new();
    }
    let known: Vec<(LinkName, Speed)> = ports
        .iter()
        .filter_map(|port| Some((port.name(), *around.speeds.get(&port.pf?)?)))
        .collect();
    let effect = match config.options.mode {
        BondMode::Lacp => {
            "only ports with equal speed and duplex are aggregated, the others stand idle"
        }
        _ => "the slowest port slows the whole bond, and frames arrive out of order",
    };
    let all = || Object::Ports(known.iter().map(|(name, _)| name.clone()).collect());
    let mut found = Vec::new();
    if known.iter().any(|(_, speed)| speed.mbits != known[0].1.mbits) {
        let each = known.iter().map(|(name, speed)| format!("{name} has {} Mbit/s", speed.mbits));
        let reason = format!("{}: {effect}", listed(&each.collect::<Vec<_>>()));
        found.push(Finding::new(&kind::UNEQUAL_SPEEDS, all(), reason));
    }
    if known.iter().any(|(_, speed)| speed.duplex != known[0].1.duplex) {
        let half = known.iter().filter(|(_, speed)| speed.duplex == Duplex::Half);
        let half: Vec<&LinkName> = half.map(|(name, _)| name).collect();
        let are = if half.len() == 1 { "is" } else { "are" };
        let reason = format!("{} {are} alone half-duplex: {effect}", listed(&half));
        found.push(Finding::new(&kind::UNEQUAL_DUPLEX, all(), reason));
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
