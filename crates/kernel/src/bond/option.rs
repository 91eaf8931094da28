//! One option of the bonding driver: name, attribute, values, default, modes. The rows are in
//! `table`.

use std::fmt;

use super::mode::BondMode;

/// One option of the driver.
#[derive(Debug, PartialEq, Eq)]
pub struct BondOption {
    /// The kernel's name.
    pub name: &'static str,
    /// The key in a configuration: the name in camelCase.
    pub key: &'static str,
    /// Other keys for the same option.
    pub aliases: &'static [&'static str],
    /// What iproute2 calls it in `ip link set … type bond …`.
    pub iproute2: &'static str,
    /// Whose option it is.
    pub scope: Scope,
    /// `IFLA_BOND_*` or `IFLA_BOND_SLAVE_*`.
    pub attribute: u16,
    /// How wide the attribute is, where it is a number.
    pub width: Width,
    /// What values it has.
    pub kind: Kind,
    /// The driver's default, in words.
    pub default: &'static str,
    /// The modes in which it has an effect.
    pub modes: &'static [BondMode],
    /// What happens to it in other modes.
    pub elsewhere: Elsewhere,
    /// When the driver lets it be changed.
    pub change: Change,
    /// The first kernel whose rtnetlink takes it.
    pub since: &'static str,
    /// A value that is not the default, as JSON.
    pub example: &'static str,
    /// What it needs to have an effect: options by name, each with a value as JSON.
    pub needs: &'static [(&'static str, &'static str)],
    /// What it does.
    pub what: &'static str,
}

/// Whose option it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The bond's: a key of the configuration.
    Bond,
    /// A port's: a key of an entry of `links`.
    Port,
}

/// What happens to an option in a mode that has no use for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// It is refused: by the driver, or, for the targets of a monitor that the driver refuses, by
    /// us.
    Refused,
    /// The driver takes it, to no effect.
    Ignored,
}

/// When the driver lets an option be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// At any time.
    Always,
    /// While the bond is down: `BOND_OPTFLAG_IFDOWN`.
    WhileDown,
    /// While the bond has no ports: `BOND_OPTFLAG_NOSLAVES`.
    WithoutPorts,
}

/// Size of a number in its attribute, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// One byte.
    U8 = 1,
    /// Two bytes.
    U16 = 2,
    /// Four bytes, signed where the smallest value is negative.
    U32 = 4,
}

/// The values of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Off and on.
    Switch,
    /// A whole number.
    Number {
        /// The smallest that the driver takes.
        min: i64,
        /// The largest.
        max: i64,
        /// What is counted.
        unit: Option<&'static str>,
    },
    /// One of the driver's names, each with its number.
    Named(&'static [(i64, &'static str)]),
    /// Up to 16 addresses.
    Addresses(Family),
    /// An Ethernet address.
    Mac,
    /// One of the bond's ports: by name in a configuration, by index in the kernel.
    Port,
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Returns an address of the family, for messages and docs.
    pub fn example(self) -> &'static str {
        match self {
            Self::V4 => "10.56.217.1",
            Self::V6 => "fd00:56::1",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

impl BondOption {
    /// Returns a row with the usual value in each field: an on/off option of the bond in every
    /// mode.
    pub(super) const fn new(name: &'static str, key: &'static str, attribute: u16) -> Self {
        Self {
            name,
            key,
            aliases: &[],
            iproute2: name,
            scope: Scope::Bond,
            attribute,
            width: Width::U8,
            kind: Kind::Switch,
            default: "",
            modes: BondMode::ALL,
            elsewhere: Elsewhere::Ignored,
            change: Change::Always,
            since: "3.14",
            example: "",
            needs: &[],
            what: "",
        }
    }

    /// Returns the same of an option that is refused in all but these modes.
    pub(super) const fn only_in(
        modes: &'static [BondMode],
        name: &'static str,
        key: &'static str,
        attribute: u16,
    ) -> Self {
        Self { modes, elsewhere: Elsewhere::Refused, ..Self::new(name, key, attribute) }
    }

    /// Returns the default of an option whose default is a number; 0 for any other.
    pub(crate) fn default_number(&self) -> i64 {
        self.default.parse().unwrap_or(0)
    }
}
