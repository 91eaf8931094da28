//! LACP (802.3ad): the aggregator of a bond, and the state of a port.

use std::fmt;

use podbond_names::Mac;
use serde::{Deserialize, Serialize};

/// The aggregator in use of an 802.3ad bond: `IFLA_BOND_AD_INFO`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aggregator {
    /// `IFLA_BOND_AD_INFO_AGGREGATOR`: its number within the bond.
    pub id: u16,
    /// `IFLA_BOND_AD_INFO_NUM_PORTS`: how many ports are in it.
    pub ports: u16,
    /// `IFLA_BOND_AD_INFO_ACTOR_KEY`: what the ports of this side must have in common, their speed
    /// and duplex among it.
    pub actor_key: u16,
    /// `IFLA_BOND_AD_INFO_PARTNER_KEY`.
    pub partner_key: u16,
    /// `IFLA_BOND_AD_INFO_PARTNER_MAC`: the system at the other end; none where no LACPDU was
    /// received, for which the kernel shows an address of zeros.
    pub partner: Option<Mac>,
}

/// LACP state of a port of an 802.3ad bond.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LacpPort {
    /// `IFLA_BOND_SLAVE_AD_AGGREGATOR_ID`.
    pub aggregator: u16,
    /// `IFLA_BOND_SLAVE_AD_ACTOR_OPER_PORT_STATE`: this side.
    pub actor: LacpState,
    /// `IFLA_BOND_SLAVE_AD_PARTNER_OPER_PORT_STATE`: the other side, as its last LACPDU had it, or
    /// the driver's assumption where this side is defaulted.
    pub partner: LacpState,
}

/// The state of one end of an 802.3ad link, an octet of the LACPDU (IEEE 802.1AX, 6.4.2.3,
/// `Actor_State`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LacpState(u8);

/// Each flag with its name: where it is set, and where it is not.
const FLAG_NAMES: [(u8, &str, Option<&str>); 8] = [
    (LacpState::ACTIVITY, "active", Some("passive")),
    (LacpState::TIMEOUT, "short-timeout", Some("long-timeout")),
    (LacpState::AGGREGATION, "aggregating", Some("individual")),
    (LacpState::SYNCHRONIZATION, "in-sync", Some("out-of-sync")),
    (LacpState::COLLECTING, "collecting", None),
    (LacpState::DISTRIBUTING, "distributing", None),
    (LacpState::DEFAULTED, "defaulted", None),
    (LacpState::EXPIRED, "expired", None),
];

impl LacpState {
    const ACTIVITY: u8 = 1;
    const TIMEOUT: u8 = 1 << 1;
    const AGGREGATION: u8 = 1 << 2;
    const SYNCHRONIZATION: u8 = 1 << 3;
    const COLLECTING: u8 = 1 << 4;
    const DISTRIBUTING: u8 = 1 << 5;
    const DEFAULTED: u8 = 1 << 6;
    const EXPIRED: u8 = 1 << 7;

    /// Returns the state with these flags.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Returns the flags as LACPDUs carry them.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Returns whether this end hears no LACPDU and uses what its administrator assumes of the
    /// other end.
    pub const fn is_defaulted(self) -> bool {
        self.0 & Self::DEFAULTED != 0
    }

    /// Returns whether the last LACPDU that this end heard is older than it may be.
    pub const fn is_expired(self) -> bool {
        self.0 & Self::EXPIRED != 0
    }

    /// Returns the state in words, one for each flag that says something.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        FLAG_NAMES.into_iter().filter_map(
            move |(flag, set, unset)| if self.0 & flag == 0 { unset } else { Some(set) },
        )
    }
}

impl fmt::Display for LacpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_shown_in_words() {
        for (bits, words) in [
            (63, "active short-timeout aggregating in-sync collecting distributing"),
            (61, "active long-timeout aggregating in-sync collecting distributing"),
            (0x45, "active long-timeout aggregating out-of-sync defaulted"),
            (0x87, "active short-timeout aggregating out-of-sync expired"),
            (0, "passive long-timeout individual out-of-sync"),
        ] {
            let state = LacpState::from_bits(bits);
            assert_eq!((state.to_string().as_str(), state.bits()), (words, bits));
        }
    }

    #[test]
    fn defaulted_and_expired_are_read() {
        let heard = |bits| {
            let state = LacpState::from_bits(bits);
            (state.is_defaulted(), state.is_expired())
        };
        assert_eq!([63, 0x4f, 0x87].map(heard), [(false, false), (true, false), (false, true)]);
    }
}
