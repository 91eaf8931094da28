//! The lines below the table: the state of each bond and port, and findings.

use podbond_bond::Finding;
use podbond_kernel::BondMode;

use super::overview::role;
use super::report::{AggregatorStatus, BondStatus, InterfaceStatus, PodStatus, PortStatus};
use crate::output::{count, finding_lines};

/// What is shown below the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Details {
    /// Findings about bonds.
    Findings,
    /// Each bond and port as well.
    BondsAndFindings,
}

/// Returns a paragraph for each bond, if it is wanted, and for each finding about a bond.
pub(super) fn lines(pods: &[PodStatus], details: Details) -> Vec<String> {
    let mut lines = Vec::new();
    for pod in pods {
        for interface in &pod.interfaces {
            let Some(bond) = &interface.bond else { continue };
            if details == Details::BondsAndFindings {
                lines.push(String::new());
                lines.extend(of_bond(pod, interface, bond));
            }
            for finding in &bond.findings {
                let whose = format!("{} {}", pod.title, interface.name);
                lines.push(String::new());
                lines.extend(finding_lines(finding, Some(&whose), 0));
            }
        }
    }
    lines
}

/// Returns a paragraph for each finding.
pub(super) fn finding_paragraphs(findings: &[Finding]) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in findings {
        lines.push(String::new());
        lines.extend(finding_lines(finding, None, 0));
    }
    lines
}

fn of_bond(pod: &PodStatus, interface: &InterfaceStatus, bond: &BondStatus) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", interface.name, bond.mode)];
    if bond.mode == BondMode::Lacp.name() {
        lines.push(format!("  LACP partner: {}", partner(bond.aggregator.as_ref())));
        if let Some(aggregator) = &bond.aggregator {
            let ports = count(aggregator.ports.into(), "port");
            lines.push(format!("  aggregator {}: {ports}", aggregator.id));
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
    facts.push(count(state.link_failures as usize, "link failure"));
    facts.extend(state.lacp.as_ref().map(|lacp| format!("aggregator {}", lacp.aggregator)));
    facts.join(", ")
}

#[cfg(test)]
mod tests {
    use podbond_bond::{Object, kind};
    use podbond_kernel::{LacpPort, LacpState};

    use super::super::report::LacpStatus;
    use super::super::testing::{bond, pod, port};
    use super::*;

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
    fn lacp_bond_has_its_partner_and_both_ends_of_each_port() {
        let ports = [lacp_port("net1", [63, 61]), lacp_port("net2", [61, 63])];
        let pod = pod(ports.into_iter().chain([lacp_bond(Some("52:54:00:73:77:00"))]));
        let lines = lines(&[pod], Details::BondsAndFindings);
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
    fn silent_switch_is_named() {
        let lines = lines(&[pod([lacp_bond(None)])], Details::BondsAndFindings);
        assert_eq!(lines[2], "  LACP partner: none: the switch is silent");
        let mut bond = lacp_bond(None);
        bond.bond.as_mut().unwrap().aggregator = None;
        let lines = super::lines(&[pod([bond])], Details::BondsAndFindings);
        assert_eq!(lines[2..], ["  LACP partner: none: no aggregator is in use"]);
    }

    #[test]
    fn ports_have_their_role_and_link_failures() {
        let mut fallen = port("net1", "pf0");
        fallen.carrier = false;
        let state = fallen.port.as_mut().unwrap();
        (state.counts_as_up, state.link_failures) = (false, 1);
        let bond = bond("active-backup", Some("net2"));
        let lines = lines(&[pod([fallen, port("net2", "pf1"), bond])], Details::BondsAndFindings);
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
    fn findings_are_always_shown_and_fit_a_terminal() {
        let mut bond = bond("802.3ad", None);
        let ports = Object::Ports(vec!["net1".parse().unwrap()]);
        let reason =
            "no LACPDU is heard there: the bond has no LACP partner, and uses one port at most";
        let finding = Finding::new(&kind::LACP_SILENT, ports, reason);
        bond.bond.as_mut().unwrap().findings.push(finding);
        let lines = lines(&[pod([bond])], Details::Findings);
        let first = "warning: demo/bondpod1 net3: port net1: no LACPDU is heard there";
        assert!(lines[1].starts_with(first), "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 100), "{lines:?}");
        assert_eq!(super::lines(&[pod([port("net1", "pf0")])], Details::Findings), [""; 0]);
    }
}
