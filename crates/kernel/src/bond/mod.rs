//! The bonding driver: its modes, and its options as one table, from which they are read, checked,
//! sent, read back and documented.

mod lacp;
mod options;
pub mod table;
mod value;

use std::fmt;

use podbond_names::Mac;
use serde::{Deserialize, Serialize};

pub use lacp::{Aggregator, LacpPort, LacpState};
pub use options::{BondOptions, PortOptions, Unlike};
pub use value::{OptionValue, WrittenValue, WrongValue};

/// Makes an enumeration of the bonding driver: its names are the kernel's own.
macro_rules! driver_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal, $text:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "&'static str")]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every value, in the kernel's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Number and name of every value.
            pub const NAMED: &'static [(i64, &'static str)] = &[$(($value, $text),)+];

            /// The kernel's number.
            pub const fn number(self) -> u8 {
                match self { $(Self::$variant => $value,)+ }
            }

            /// The kernel's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The value with this number of the kernel's.
            pub fn from_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.number() == number)
            }

            /// The value with this name of the kernel's.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                Self::from_name(&text)
                    .ok_or_else(|| format!("{text:?} is no {}", stringify!($name)))
            }
        }

        impl From<$name> for &'static str {
            fn from(value: $name) -> Self {
                value.name()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

driver_enum! {
    /// `IFLA_BOND_MODE`.
    BondMode {
        /// Frames go out over the ports in turn.
        BalanceRr = 0, "balance-rr";
        /// One port carries traffic, the others stand by.
        ActiveBackup = 1, "active-backup";
        /// A hash of the frame chooses the port.
        BalanceXor = 2, "balance-xor";
        /// Every frame goes out over every port.
        Broadcast = 3, "broadcast";
        /// LACP.
        Lacp = 4, "802.3ad";
        /// Sending is balanced by load.
        BalanceTlb = 5, "balance-tlb";
        /// Sending and receiving are balanced.
        BalanceAlb = 6, "balance-alb";
    }
}

driver_enum! {
    /// `IFLA_BOND_FAIL_OVER_MAC`: whose address the bond carries in active-backup mode.
    FailOverMac {
        /// All ports get the bond's address.
        None = 0, "none";
        /// The bond takes the active port's address.
        Active = 1, "active";
        /// A port gets the bond's address when it becomes active.
        Follow = 2, "follow";
    }
}

impl BondMode {
    /// Whether each port has a MAC address of its own, one of them the bond's, and the driver refuses
    /// a port with another port's.
    pub const fn keeps_macs_apart(self) -> bool {
        matches!(self, Self::BalanceTlb | Self::BalanceAlb)
    }
}

/// What a bond knows of one of its ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortState {
    /// `IFLA_BOND_SLAVE_STATE`: the port carries traffic.
    pub active: bool,
    /// `IFLA_BOND_SLAVE_MII_STATUS`: the bond counts the port's link as up.
    pub mii_up: bool,
    /// `IFLA_BOND_SLAVE_LINK_FAILURE_COUNT`.
    pub link_failures: u32,
    /// `IFLA_BOND_SLAVE_PERM_HWADDR`: the address the port had before it was enslaved.
    pub permanent_mac: Option<Mac>,
    /// What LACP knows of it; none in other modes.
    #[serde(default)]
    pub lacp: Option<LacpPort>,
    /// Its options, as the kernel shows them.
    #[serde(default)]
    pub options: PortOptions,
}
