//! What an 802.3ad bond shows of a partner that does not do its part. Pure: links in, reasons out.

use std::fmt;

use podbond_kernel::{LacpPort, Link};
use podbond_names::LinkName;

/// Why an 802.3ad bond does not aggregate its ports as it should. Ports without carrier are in none
/// of these: they lack more than a partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LacpTrouble {
    /// These ports hear no LACPDU, or none any more.
    Silent {
        /// The ports, in the order of their names.
        ports: Vec<LinkName>,
        /// Whether that is all that the bond has.
        of: HowMany,
    },
    /// The partner says that it hears none of these ports' LACPDUs.
    Unheard {
        /// The ports, in the order of their names.
        ports: Vec<LinkName>,
    },
    /// These ports negotiate, but in another aggregator than the one in use, and carry nothing.
    Apart {
        /// The ports, in the order of their names.
        ports: Vec<LinkName>,
    },
    /// The bond negotiates with itself.
    OwnPartner,
}

/// Whether a trouble is that of some ports or of all that have carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HowMany {
    /// Others are well.
    Some,
    /// No port is well.
    All,
}

/// What keeps `bond` from aggregating those of `links` that are its ports; nothing for a bond in
/// another mode, and for one whose ports all carry traffic with one partner.
///
/// The kernel does not tell for how long it has been so: right after a bond was made, nothing has
/// been heard yet, and what this finds then is no trouble.
pub fn lacp_troubles(bond: &Link, links: &[Link]) -> Vec<LacpTrouble> {
    if bond.bond.as_ref().is_none_or(|options| options.mode != podbond_kernel::BondMode::Lacp) {
        return Vec::new();
    }
    let mut ports: Vec<(&LinkName, Option<&LacpPort>)> = links
        .iter()
        .filter(|link| link.master == Some(bond.index) && link.carrier)
        .filter_map(|link| Some((&link.name, link.port.as_ref()?.lacp.as_ref())))
        .collect();
    ports.sort_unstable_by_key(|(name, _)| *name);
    let mut silent = Vec::new();
    let mut unheard = Vec::new();
    let mut apart = Vec::new();
    for (name, lacp) in &ports {
        // A port that is in no aggregator yet has heard nothing either.
        let into = match lacp {
            Some(lacp) if lacp.actor.is_defaulted() || lacp.actor.is_expired() => &mut silent,
            Some(lacp) if lacp.partner.is_defaulted() || lacp.partner.is_expired() => &mut unheard,
            Some(lacp) if bond.aggregator.as_ref().is_some_and(|a| a.id != lacp.aggregator) => {
                &mut apart
            }
            Some(_) => continue,
            None => &mut silent,
        };
        into.push((*name).clone());
    }
    let of = if silent.len() == ports.len() { HowMany::All } else { HowMany::Some };
    let partner = bond.aggregator.as_ref().and_then(|aggregator| aggregator.partner);
    let found = [
        (!silent.is_empty()).then_some(LacpTrouble::Silent { ports: silent, of }),
        (!unheard.is_empty()).then_some(LacpTrouble::Unheard { ports: unheard }),
        (!apart.is_empty()).then_some(LacpTrouble::Apart { ports: apart }),
        (partner.is_some() && partner == bond.mac).then_some(LacpTrouble::OwnPartner),
    ];
    found.into_iter().flatten().collect()
}

impl LacpTrouble {
    /// What can be done about it.
    pub fn mend(&self) -> &'static str {
        match self {
            Self::Silent { .. } => {
                "make the switch's ports one LACP group, active, or take a mode that asks nothing \
                 of the switch, as active-backup"
            }
            Self::Unheard { .. } => {
                "see that nothing between the port and the switch keeps its LACPDUs back: a VF \
                 sends them from the address it had before the bond gave it its own, which spoofchk \
                 on drops; a PF may send and take LACPDUs itself"
            }
            Self::Apart { .. } => {
                "bring all ports to one switch, or to one group over switches, in one LACP group \
                 and at one speed and duplex"
            }
            Self::OwnPartner => {
                "let each port of the bond be a VF of another PF, on a switch port of its own"
            }
        }
    }
}

impl fmt::Display for LacpTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |ports: &[LinkName]| {
            ports.iter().map(LinkName::as_str).collect::<Vec<_>>().join(" and ")
        };
        match self {
            Self::Silent { ports, of } => {
                let then = match of {
                    HowMany::All => "the bond has no LACP partner, and uses one port at most",
                    HowMany::Some => "they carry no traffic of the bond",
                };
                write!(
                    f,
                    "no LACPDU is heard on {}: {then} (the kernel does not tell since when; a \
                     partner with the slow rate sends one each 30 s)",
                    list(ports)
                )
            }
            Self::Unheard { ports } => {
                write!(f, "the LACP partner does not hear the LACPDUs of {}", list(ports))
            }
            Self::Apart { ports } => write!(
                f,
                "{} negotiated LACP, but not as a part of the aggregator in use, and stands by: its \
                 partner, or its speed or duplex, is not that of the other ports",
                list(ports)
            ),
            Self::OwnPartner => f.write_str(
                "the LACP partner of the bond is the bond itself: its ports hear each other, as VFs \
                 of one PF do",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use podbond_kernel::{BondMode, BondOptions};
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

    fn names<const N: usize>(names: [&str; N]) -> Vec<LinkName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn a_bond_whose_ports_all_carry_traffic_has_no_trouble() {
        let ports = [port("net1", 1, WELL), port("net2", 1, [61, 63])];
        assert_eq!(lacp_troubles(&bond(SWITCH), &ports), []);
    }

    #[test]
    fn a_switch_that_does_not_speak_lacp_is_silent_on_all_ports() {
        // As Linux shows it: the default partner, and a port of its own for each aggregator.
        let ports = [port("net2", 2, [0x45, 1]), port("net1", 1, [0x4d, 1])];
        let mut bond = bond(SWITCH);
        bond.aggregator.as_mut().unwrap().partner = None;
        let found = lacp_troubles(&bond, &ports);
        let all = |ports| LacpTrouble::Silent { ports, of: HowMany::All };
        assert_eq!(found, [all(names(["net1", "net2"]))]);
        assert_eq!(
            found[0].to_string(),
            "no LACPDU is heard on net1 and net2: the bond has no LACP partner, and uses one port \
             at most (the kernel does not tell since when; a partner with the slow rate sends one \
             each 30 s)"
        );
        // No port is in an aggregator yet, and none is in use.
        bond.aggregator = None;
        let ports = ports.map(|mut link| {
            link.port.as_mut().unwrap().lacp = None;
            link
        });
        assert_eq!(lacp_troubles(&bond, &ports), [all(names(["net1", "net2"]))]);
    }

    #[test]
    fn one_port_may_be_silent_while_others_are_well() {
        let ports = [port("net1", 1, WELL), port("net2", 2, [0x87, 1])];
        let found = lacp_troubles(&bond(SWITCH), &ports);
        let silent = LacpTrouble::Silent { ports: names(["net2"]), of: HowMany::Some };
        assert_eq!(found, [silent]);
    }

    #[test]
    fn a_port_without_carrier_and_a_link_that_is_no_port_are_not_looked_at() {
        let mut fallen = port("net1", 1, [0x45, 1]);
        fallen.carrier = false;
        let mut stranger = port("net9", 1, [0x45, 1]);
        stranger.master = Some(77);
        assert_eq!(lacp_troubles(&bond(SWITCH), &[fallen, stranger, port("net2", 1, WELL)]), []);
    }

    #[test]
    fn a_partner_that_does_not_hear_is_told_apart_from_one_that_says_nothing() {
        let ports = [port("net1", 1, WELL), port("net2", 1, [0x0d, 0x45])];
        let found = lacp_troubles(&bond(SWITCH), &ports);
        assert_eq!(found, [LacpTrouble::Unheard { ports: names(["net2"]) }]);
    }

    #[test]
    fn a_port_that_joined_another_aggregator_stands_apart() {
        let ports = [port("net1", 1, WELL), port("net2", 2, [13, 13])];
        let found = lacp_troubles(&bond(SWITCH), &ports);
        assert_eq!(found, [LacpTrouble::Apart { ports: names(["net2"]) }]);
    }

    #[test]
    fn ports_that_hear_each_other_make_the_bond_its_own_partner() {
        let ports = [port("net1", 1, WELL), port("net2", 1, WELL)];
        assert_eq!(lacp_troubles(&bond(BOND), &ports), [LacpTrouble::OwnPartner]);
    }

    #[test]
    fn bonds_of_other_modes_have_no_lacp() {
        let mut bond = bond(SWITCH);
        bond.bond = Some(BondOptions::new(BondMode::BalanceXor));
        assert_eq!(lacp_troubles(&bond, &[port("net1", 1, [0x45, 1])]), []);
    }
}
