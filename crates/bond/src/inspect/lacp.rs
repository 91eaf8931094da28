//! LACP of a bond that is there: ports without a partner that does its part.

use podbond_kernel::{BondMode, LacpPort, Link};
use podbond_names::LinkName;

use crate::finding::{Finding, Object, kind};

/// Returns what keeps `bond`, one of `links`, from aggregating those of them that are its ports: a
/// partner that does not do its part. Nothing for a bond in another mode than 802.3ad, and of ports
/// without carrier, which lack more than a partner. Pure.
///
/// The kernel does not tell for how long it has been so: a bond that was made just now has heard
/// nothing yet.
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
    let mut idle = Vec::new();
    for (name, lacp) in &ports {
        let into = match lacp {
            // A port that is in no aggregator yet has heard nothing either.
            None => &mut silent,
            Some(lacp) if lacp.actor.is_defaulted() || lacp.actor.is_expired() => &mut silent,
            Some(lacp) if lacp.partner.is_defaulted() || lacp.partner.is_expired() => &mut unheard,
            Some(lacp) if in_use.is_some_and(|in_use| in_use.id != lacp.aggregator) => &mut idle,
            Some(_) => continue,
        };
        into.push((*name).clone());
    }
    let then = if silent.len() == ports.len() {
        "the bond has no LACP partner, and uses one port at most"
    } else {
        "the bond does without"
    };
    let no_lacpdu = format!(
        "no LACPDU is heard there: {then} (the kernel does not tell since when; a partner with the slow \
         rate sends one each 30 s)"
    );
    let of_ports = [
        (silent, &kind::LACP_SILENT, no_lacpdu.as_str()),
        (
            unheard,
            &kind::LACP_UNHEARD,
            "the LACP partner says that it does not hear their LACPDUs: it sends nothing there",
        ),
        (
            idle,
            &kind::LACP_IDLE,
            "they negotiated LACP, but not for the aggregator in use, and stand idle: their partner, or \
             their speed or duplex, is not that of the other ports",
        ),
    ];
    of_ports
        .into_iter()
        .filter(|(ports, ..)| !ports.is_empty())
        .map(|(ports, kind, reason)| Finding::new(kind, Object::Ports(ports), reason))
        .collect()
}

#[cfg(test)]
mod tests {
    use podbond_kernel::BondOptions;
    use serde_json::{Value, json};

    use super::*;
    use crate::finding::Kind;

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

    fn expect_one<const N: usize>(found: &[Finding], names: [&str; N], kind: &Kind, reason: &str) {
        let names = names.iter().map(|name| name.parse().unwrap()).collect();
        let [found] = found else { panic!("{found:?}") };
        assert_eq!((found.kind, &found.object), (kind, &Object::Ports(names)));
        assert!(found.reason.contains(reason), "{found}");
    }

    #[test]
    fn aggregated_ports_have_no_findings() {
        let ports = [port("net1", 1, WELL), port("net2", 1, [61, 63])];
        assert_eq!(lacp_findings(&bond(SWITCH), &ports), []);
    }

    #[test]
    fn switch_without_lacp_is_silent() {
        // As Linux shows it: the default partner, and a port of its own for each aggregator.
        let ports = [port("net2", 2, [0x45, 1]), port("net1", 1, [0x4d, 1])];
        let mut bond = bond(SWITCH);
        bond.aggregator.as_mut().unwrap().partner = None;
        let found = lacp_findings(&bond, &ports);
        let without_partner = "the bond has no LACP partner";
        expect_one(&found, ["net1", "net2"], &kind::LACP_SILENT, without_partner);
        let text = found[0].to_string();
        let words = "ports net1, net2: no LACPDU is heard there: the bond has no LACP partner,";
        assert!(text.starts_with(words), "{text}");
        // No port is in an aggregator yet, and none is in use.
        bond.aggregator = None;
        let ports = ports.map(|mut link| {
            link.port.as_mut().unwrap().lacp = None;
            link
        });
        assert_eq!(lacp_findings(&bond, &ports), found);
    }

    #[test]
    fn one_silent_port_is_reported() {
        let ports = [port("net1", 1, WELL), port("net2", 2, [0x87, 1])];
        let found = lacp_findings(&bond(SWITCH), &ports);
        expect_one(&found, ["net2"], &kind::LACP_SILENT, "the bond does without");
    }

    #[test]
    fn only_ports_with_carrier_are_judged() {
        let mut fallen = port("net1", 1, [0x45, 1]);
        fallen.carrier = false;
        let mut stranger = port("net9", 1, [0x45, 1]);
        stranger.master = Some(77);
        assert_eq!(lacp_findings(&bond(SWITCH), &[fallen, stranger, port("net2", 1, WELL)]), []);
    }

    #[test]
    fn deaf_partner_is_distinguished_from_silent_one() {
        let ports = [port("net1", 1, WELL), port("net2", 1, [0x0d, 0x45])];
        let found = lacp_findings(&bond(SWITCH), &ports);
        expect_one(&found, ["net2"], &kind::LACP_UNHEARD, "it sends nothing there");
    }

    #[test]
    fn port_in_another_aggregator_is_reported() {
        let ports = [port("net1", 1, WELL), port("net2", 2, [13, 13])];
        let found = lacp_findings(&bond(SWITCH), &ports);
        expect_one(&found, ["net2"], &kind::LACP_IDLE, "stand idle");
    }

    #[test]
    fn other_modes_have_no_lacp_findings() {
        let mut bond = bond(SWITCH);
        bond.bond = Some(BondOptions::new(BondMode::BalanceXor));
        assert_eq!(lacp_findings(&bond, &[port("net1", 1, [0x45, 1])]), []);
    }
}
