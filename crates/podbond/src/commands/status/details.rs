//! What bonds know of each port, and what is not as it should be.

use podbond_bond::Finding;
use podbond_kernel::BondMode;

use super::overview::role;
use super::{AggregatorStatus, BondStatus, InterfaceStatus, PodStatus, PortStatus};
use crate::findings;

/// How much is told below the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// What is not as it should be.
    Findings,
    /// Each bond and port as well.
    All,
}

/// The lines below the table, none where there is nothing to tell.
pub(super) fn lines(pods: &[PodStatus], wanted: Wanted) -> Vec<String> {
    let mut lines = Vec::new();
    for pod in pods {
        for interface in &pod.interfaces {
            let Some(bond) = &interface.bond else { continue };
            if wanted == Wanted::All {
                lines.push(String::new());
                lines.extend(of_bond(pod, interface, bond));
            }
            for finding in &bond.findings {
                let whose = format!("{pod} {}", interface.name);
                lines.push(String::new());
                lines.extend(findings::lines(finding, Some(&whose), 0));
            }
        }
    }
    lines
}

/// What is wrong beside the pods' bonds.
pub(super) fn beside(found: &[Finding]) -> Vec<String> {
    let lines = found.iter().map(|finding| findings::lines(finding, None, 0));
    lines.flat_map(|lines| std::iter::once(String::new()).chain(lines)).collect()
}

fn of_bond(pod: &PodStatus, interface: &InterfaceStatus, bond: &BondStatus) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", interface.name, bond.mode)];
    if bond.mode == BondMode::Lacp.name() {
        lines.push(format!("  LACP partner: {}", partner(bond.aggregator.as_ref())));
        if let Some(aggregator) = &bond.aggregator {
            lines.push(format!(
                "  aggregator {}: {}",
                aggregator.id,
                counted(aggregator.ports, "port")
            ));
        }
    }
    for port in pod.ports_of(interface) {
        let Some(state) = &port.port else { continue };
        lines.push(format!("  {}: {}", port.name, of_port(port, state, interface)));
        if let Some(lacp) = &state.lacp {
            lines.push(format!("    actor    {}", lacp.actor.join(" ")));
            lines.push(format!("    partner  {}", lacp.partner.join(" ")));
        }
    }
    lines
}

fn partner(aggregator: Option<&AggregatorStatus>) -> String {
    match aggregator {
        None => "none: no aggregator is in use".to_owned(),
        Some(AggregatorStatus { partner_mac: None, .. }) => "none: the switch is silent".to_owned(),
        Some(AggregatorStatus { partner_mac: Some(mac), partner_key, .. }) => {
            format!("{mac}, key {partner_key}")
        }
    }
}

fn of_port(port: &InterfaceStatus, state: &PortStatus, bond: &InterfaceStatus) -> String {
    let carrier = if port.carrier { "carrier" } else { "no carrier" };
    let mii = if state.counts_as_up { "up" } else { "down" };
    let mut facts = vec![carrier.to_owned(), format!("MII {mii}")];
    facts.extend(role(port, bond).map(str::to_owned));
    facts.push(counted(state.link_failures, "link failure"));
    facts.extend(state.lacp.as_ref().map(|lacp| format!("aggregator {}", lacp.aggregator)));
    facts.join(", ")
}

fn counted(number: impl Into<u32>, what: &str) -> String {
    match number.into() {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use podbond_bond::{LacpBond, Object, Reason};
    use podbond_kernel::{LacpPort, LacpState};

    use super::super::testing::{bond, pod, port};
    use super::*;
    use crate::commands::status::LacpStatus;

    fn lacp_port(name: &str, [actor, partner]: [u8; 2]) -> InterfaceStatus {
        let mut port = port(name, "pf0");
        let [actor, partner] = [actor, partner].map(LacpState::from_bits);
        let lacp = LacpPort { aggregator: 1, actor, partner };
        port.port.as_mut().unwrap().lacp = Some(LacpStatus::from(&lacp));
        port
    }

    fn lacp_bond(partner: Option<&str>) -> InterfaceStatus {
        let mut bond = bond("802.3ad", None);
        bond.bond.as_mut().unwrap().aggregator = Some(AggregatorStatus {
            id: 1,
            ports: 2,
            actor_key: 9,
            partner_key: 15,
            partner_mac: partner.map(|mac| mac.parse().unwrap()),
        });
        bond
    }

    #[test]
    fn an_lacp_bond_is_told_with_its_partner_and_both_ends_of_each_port() {
        let ports = [lacp_port("net1", [63, 61]), lacp_port("net2", [61, 63])];
        let pod = pod(ports.into_iter().chain([lacp_bond(Some("52:54:00:73:77:00"))]));
        let lines = lines(&[pod], Wanted::All);
        assert_eq!(
            lines,
            [
                "",
                "net3: 802.3ad",
                "  LACP partner: 52:54:00:73:77:00, key 15",
                "  aggregator 1: 2 ports",
                "  net1: carrier, MII up, 0 link failures, aggregator 1",
                "    actor    active short-timeout aggregating in-sync collecting distributing",
                "    partner  active long-timeout aggregating in-sync collecting distributing",
                "  net2: carrier, MII up, 0 link failures, aggregator 1",
                "    actor    active long-timeout aggregating in-sync collecting distributing",
                "    partner  active short-timeout aggregating in-sync collecting distributing",
            ]
        );
    }

    #[test]
    fn a_switch_that_says_nothing_is_told_as_such() {
        let lines = lines(&[pod([lacp_bond(None)])], Wanted::All);
        assert_eq!(lines[2], "  LACP partner: none: the switch is silent");
        let mut bond = lacp_bond(None);
        bond.bond.as_mut().unwrap().aggregator = None;
        let lines = super::lines(&[pod([bond])], Wanted::All);
        assert_eq!(lines[2..], ["  LACP partner: none: no aggregator is in use"]);
    }

    #[test]
    fn ports_of_other_modes_are_told_with_their_part_and_their_failures() {
        let mut fallen = port("net1", "pf0");
        fallen.carrier = false;
        let state = fallen.port.as_mut().unwrap();
        (state.counts_as_up, state.link_failures) = (false, 1);
        let bond = bond("active-backup", Some("net2"));
        let lines = lines(&[pod([fallen, port("net2", "pf1"), bond])], Wanted::All);
        assert_eq!(
            lines,
            [
                "",
                "net3: active-backup",
                "  net1: no carrier, MII down, backup, 1 link failure",
                "  net2: carrier, MII up, active, 0 link failures",
            ]
        );
    }

    #[test]
    fn findings_are_told_without_being_asked_for_and_fit_a_terminal() {
        let mut bond = bond("802.3ad", None);
        let reason = Reason::LacpSilent { bond: LacpBond::WithoutPartner };
        let finding = Finding::new(Object::Ports(vec!["net1".parse().unwrap()]), reason);
        bond.bond.as_mut().unwrap().findings.push(finding);
        let lines = lines(&[pod([bond])], Wanted::Findings);
        let first = "warning: demo/bondpod1 net3: port net1: no LACPDU is heard there";
        assert!(lines[1].starts_with(first), "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 100), "{lines:?}");
        assert_eq!(super::lines(&[pod([port("net1", "pf0")])], Wanted::Findings), [""; 0]);
    }
}
