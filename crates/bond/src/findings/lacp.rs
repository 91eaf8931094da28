use podbond_kernel::{BondMode, LacpPort, Link};
use podbond_names::LinkName;

use super::{Finding, LacpBond, Object, Reason};

/// What keeps `bond`, one of `links`, from aggregating those of them that are its ports: a partner
/// that does not do its part. Nothing for a bond in another mode than 802.3ad, and of ports without
/// carrier, which lack more than a partner. Pure.
///
/// The kernel does not tell for how long it has been so: a bond that was made just now has heard
/// nothing yet, and what is found of it then is no trouble.
pub(super) fn lacp_findings(bond: &Link, links: &[Link]) -> Vec<Finding> {
    if bond.bond.as_ref().is_none_or(|options| options.mode != BondMode::Lacp) {
        return Vec::new();
    }
    let mut ports: Vec<(&LinkName, Option<&LacpPort>)> = links
        .iter()
        .filter(|link| link.master == Some(bond.index) && link.carrier)
        .filter_map(|link| Some((&link.name, link.port.as_ref()?.lacp.as_ref())))
        .collect();
    ports.sort_unstable_by_key(|(name, _)| *name);
    let in_use = bond.aggregator.as_ref();
    let mut silent = Vec::new();
    let mut unheard = Vec::new();
    let mut apart = Vec::new();
    for (name, lacp) in &ports {
        let into = match lacp {
            // A port that is in no aggregator yet has heard nothing either.
            None => &mut silent,
            Some(lacp) if lacp.actor.is_defaulted() || lacp.actor.is_expired() => &mut silent,
            Some(lacp) if lacp.partner.is_defaulted() || lacp.partner.is_expired() => &mut unheard,
            Some(lacp) if in_use.is_some_and(|in_use| in_use.id != lacp.aggregator) => &mut apart,
            Some(_) => continue,
        };
        into.push((*name).clone());
    }
    let becomes =
        if silent.len() == ports.len() { LacpBond::WithoutPartner } else { LacpBond::GoesOn };
    let of_ports = [
        (silent, Reason::LacpSilent { bond: becomes }),
        (unheard, Reason::LacpUnheard),
        (apart, Reason::LacpApart),
    ];
    of_ports
        .into_iter()
        .filter(|(ports, _)| !ports.is_empty())
        .map(|(ports, reason)| Finding::new(Object::Ports(ports), reason))
        .collect()
}

#[cfg(test)]
mod tests {
    use podbond_kernel::BondOptions;
    use serde_json::{Value, json};

    use super::*;

    const SWITCH: &str = "52:54:00:73:77:00";
    const BOND: &str = "02:00:00:00:00:01";
    /// Both ends carry traffic.
    const WELL: [u8; 2] = [63, 61];

    fn link(value: &Value) -> Link {
        let mut link = json!({
            "index": 4, "name": "net3", "altnames": [], "mac": BOND, "mtu": 1500, "max_mtu": 0,
            "state": "up", "carrier": true,
        });
        for (key, value) in value.as_object().unwrap() {
            link[key] = value.clone();
        }
        serde_json::from_value(link).unwrap()
    }

    /// An 802.3ad bond whose aggregator 1 is in use.
    fn bond(partner: &str) -> Link {
        let mut bond = link(&json!({"aggregator": {
            "id": 1, "ports": 2, "actor_key": 9, "partner_key": 9, "partner": partner,
        }}));
        bond.bond = Some(BondOptions::new(BondMode::Lacp));
        bond
    }

    fn port(name: &str, aggregator: u16, [actor, partner]: [u8; 2]) -> Link {
        link(&json!({"index": 5, "name": name, "master": 4, "port": {
            "active": true, "mii_up": true, "link_failures": 0,
            "lacp": {"aggregator": aggregator, "actor": actor, "partner": partner},
        }}))
    }

    fn of_ports<const N: usize>(names: [&str; N], reason: Reason) -> Finding {
        let names = names.iter().map(|name| name.parse().unwrap()).collect();
        Finding::new(Object::Ports(names), reason)
    }

    #[test]
    fn a_bond_whose_ports_all_carry_traffic_has_no_trouble() {
        let ports = [port("net1", 1, WELL), port("net2", 1, [61, 63])];
        assert_eq!(lacp_findings(&bond(SWITCH), &ports), []);
    }

    #[test]
    fn a_switch_that_does_not_speak_lacp_is_silent_on_all_ports() {
        // As Linux shows it: the default partner, and a port of its own for each aggregator.
        let ports = [port("net2", 2, [0x45, 1]), port("net1", 1, [0x4d, 1])];
        let mut bond = bond(SWITCH);
        bond.aggregator.as_mut().unwrap().partner = None;
        let found = lacp_findings(&bond, &ports);
        let all = of_ports(["net1", "net2"], Reason::LacpSilent { bond: LacpBond::WithoutPartner });
        assert_eq!(found, std::slice::from_ref(&all));
        let text = found[0].to_string();
        let words = "ports net1, net2: no LACPDU is heard there: the bond has no LACP partner,";
        assert!(text.starts_with(words), "{text}");
        // No port is in an aggregator yet, and none is in use.
        bond.aggregator = None;
        let ports = ports.map(|mut link| {
            link.port.as_mut().unwrap().lacp = None;
            link
        });
        assert_eq!(lacp_findings(&bond, &ports), [all]);
    }

    #[test]
    fn one_port_may_be_silent_while_others_are_well() {
        let ports = [port("net1", 1, WELL), port("net2", 2, [0x87, 1])];
        let found = lacp_findings(&bond(SWITCH), &ports);
        let silent = of_ports(["net2"], Reason::LacpSilent { bond: LacpBond::GoesOn });
        assert_eq!(found, [silent]);
    }

    #[test]
    fn a_port_without_carrier_and_a_link_that_is_no_port_are_not_looked_at() {
        let mut fallen = port("net1", 1, [0x45, 1]);
        fallen.carrier = false;
        let mut stranger = port("net9", 1, [0x45, 1]);
        stranger.master = Some(77);
        assert_eq!(lacp_findings(&bond(SWITCH), &[fallen, stranger, port("net2", 1, WELL)]), []);
    }

    #[test]
    fn a_partner_that_does_not_hear_is_told_apart_from_one_that_says_nothing() {
        let ports = [port("net1", 1, WELL), port("net2", 1, [0x0d, 0x45])];
        let found = lacp_findings(&bond(SWITCH), &ports);
        assert_eq!(found, [of_ports(["net2"], Reason::LacpUnheard)]);
    }

    #[test]
    fn a_port_that_joined_another_aggregator_stands_apart() {
        let ports = [port("net1", 1, WELL), port("net2", 2, [13, 13])];
        let found = lacp_findings(&bond(SWITCH), &ports);
        assert_eq!(found, [of_ports(["net2"], Reason::LacpApart)]);
    }

    #[test]
    fn bonds_of_other_modes_have_no_lacp() {
        let mut bond = bond(SWITCH);
        bond.bond = Some(BondOptions::new(BondMode::BalanceXor));
        assert_eq!(lacp_findings(&bond, &[port("net1", 1, [0x45, 1])]), []);
    }
}
