//! Bonding modes and the values of `fail_over_mac`: `IFLA_BOND_MODE`, `IFLA_BOND_FAIL_OVER_MAC`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Defines an enumeration of the bonding driver, with the kernel's numbers and names.
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

            /// Returns the kernel's number.
            pub const fn number(self) -> u8 {
                match self { $(Self::$variant => $value,)+ }
            }

            /// Returns the kernel's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Returns the value with this number.
            pub fn from_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.number() == number)
            }

            /// Returns the value with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                Self::from_name(&text)
                    .ok_or_else(|| format!("{text:?} is not a {}", stringify!($name)))
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
    /// Returns whether each port needs a MAC address of its own, one of them the bond's: the driver
    /// then refuses a port with another port's.
    pub const fn needs_distinct_macs(self) -> bool {
        matches!(self, Self::BalanceTlb | Self::BalanceAlb)
    }
}
