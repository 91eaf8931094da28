//! Every option of the bonding driver that rtnetlink sets, but for the mode: one row for each.
//!
//! Names, numbers and ranges are facts of `include/uapi/linux/if_link.h` and of the driver's own
//! table. An option is the driver's by its name in sysfs and iproute2; its key in a configuration is
//! that name in camelCase.

mod balancing;
mod failover;
mod lacp;
mod monitoring;
mod port;

use std::fmt;

pub use balancing::*;
pub use failover::*;
pub use lacp::*;
pub use monitoring::*;
pub use port::*;

use super::BondMode;

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
    /// It is refused: by the driver, or, for the targets of a monitor that the driver refuses, by us.
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

/// How wide a number is in its attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// `u8`.
    One,
    /// `u16`.
    Two,
    /// `u32`, or `s32`.
    Four,
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
    /// An address of it.
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

/// Options that are about one thing.
pub struct Group {
    /// What they are about: a heading.
    pub title: &'static str,
    /// The options.
    pub options: &'static [&'static BondOption],
}

/// All options.
pub static GROUPS: &[Group] = &[
    Group { title: "Watching the links", options: monitoring::OPTIONS },
    Group { title: "Choosing the active port, and failing over", options: failover::OPTIONS },
    Group { title: "Spreading traffic", options: balancing::OPTIONS },
    Group { title: "LACP", options: lacp::OPTIONS },
    Group { title: "Keys of an entry of `links`", options: port::OPTIONS },
];

/// All options, in the order of the groups.
pub fn all() -> impl Iterator<Item = &'static BondOption> {
    GROUPS.iter().flat_map(|group| group.options.iter().copied())
}

/// The option of this name of the kernel's.
pub fn find(name: &str) -> Option<&'static BondOption> {
    all().find(|option| option.name == name)
}

/// Values that are younger than their option, each with its first kernel. An older one refuses them
/// as it refuses nonsense.
pub static LATER_VALUES: &[(&BondOption, i64, &str)] =
    &[(&XMIT_HASH_POLICY, 5, "5.12"), (&AD_SELECT, 3, "6.18")];

/// The driver's times, counts and sizes are signed.
const INT_MAX: i64 = i32::MAX as i64;

const MS: Option<&str> = Some("milliseconds");

/// The modes that have one active port.
const WITH_ACTIVE_PORT: &[BondMode] =
    &[BondMode::ActiveBackup, BondMode::BalanceTlb, BondMode::BalanceAlb];

const LACP: &[BondMode] = &[BondMode::Lacp];

impl BondOption {
    /// A row of which nothing is special; the other functions say what is.
    const fn new(name: &'static str, key: &'static str, attribute: u16) -> Self {
        Self {
            name,
            key,
            aliases: &[],
            iproute2: name,
            scope: Scope::Bond,
            attribute,
            width: Width::One,
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

    const fn number(
        mut self,
        width: Width,
        min: i64,
        max: i64,
        unit: Option<&'static str>,
    ) -> Self {
        self.width = width;
        self.kind = Kind::Number { min, max, unit };
        self
    }

    const fn named(mut self, width: Width, names: &'static [(i64, &'static str)]) -> Self {
        self.width = width;
        self.kind = Kind::Named(names);
        self
    }

    const fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn in_iproute2(mut self, name: &'static str) -> Self {
        self.iproute2 = name;
        self
    }

    const fn of_port(mut self) -> Self {
        self.scope = Scope::Port;
        self
    }

    /// It is refused in other modes.
    const fn only_in(mut self, modes: &'static [BondMode]) -> Self {
        self.modes = modes;
        self.elsewhere = Elsewhere::Refused;
        self
    }

    /// The driver takes it in other modes, to no effect.
    const fn useful_in(mut self, modes: &'static [BondMode]) -> Self {
        self.modes = modes;
        self
    }

    const fn changed(mut self, change: Change) -> Self {
        self.change = change;
        self
    }

    const fn since(mut self, kernel: &'static str) -> Self {
        self.since = kernel;
        self
    }

    const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    const fn example(mut self, json: &'static str) -> Self {
        self.example = json;
        self
    }

    const fn needs(mut self, options: &'static [(&'static str, &'static str)]) -> Self {
        self.needs = options;
        self
    }

    const fn what(mut self, text: &'static str) -> Self {
        self.what = text;
        self
    }

    /// The default of an option whose default is a number; 0 for any other.
    pub(crate) fn default_number(&self) -> i64 {
        self.default.parse().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::WrittenValue;

    fn camel(name: &str) -> String {
        let mut words = name.split('_');
        let first = words.next().unwrap_or_default().to_owned();
        words.fold(first, |key, word| key + &word[..1].to_uppercase() + &word[1..])
    }

    #[test]
    fn a_key_is_the_kernels_name_in_camel_case() {
        for option in all() {
            assert_eq!(option.key, camel(option.name));
        }
    }

    #[test]
    fn no_key_and_no_attribute_stands_for_two_options() {
        let (mut keys, mut attributes) = (BTreeSet::new(), BTreeSet::new());
        for option in all() {
            assert!(
                attributes.insert((option.scope == Scope::Port, option.attribute)),
                "{option:?}"
            );
            for key in option.aliases.iter().chain([&option.key]) {
                assert!(keys.insert(*key), "{key}");
            }
        }
    }

    #[test]
    fn every_attribute_that_can_be_set_has_a_row() {
        let numbers = |scope: Scope| -> Vec<u16> {
            let mut numbers: Vec<u16> = all()
                .filter(|option| option.scope == scope)
                .map(|option| option.attribute)
                .collect();
            numbers.sort_unstable();
            numbers
        };
        // 1 is the mode, 23 is IFLA_BOND_AD_INFO, which is only shown.
        let settable: Vec<u16> = (2..=34).filter(|number| *number != 23).collect();
        assert_eq!(numbers(Scope::Bond), settable);
        assert_eq!(numbers(Scope::Port), [5, 9, 10]);
    }

    #[test]
    fn a_later_value_is_one_of_its_option_and_told_in_its_text() {
        for (option, number, since) in LATER_VALUES {
            let name = option.shown(&crate::OptionValue::Number(*number));
            assert!(option.what.contains(&format!("{name} (kernel {since} and newer)")), "{name}");
        }
    }

    #[test]
    fn every_row_is_complete_and_its_example_is_a_value_other_than_the_default() {
        for option in all() {
            assert!(!option.what.is_empty() && !option.default.is_empty(), "{}", option.name);
            assert!(!option.modes.is_empty() && !option.since.is_empty(), "{}", option.name);
            let written: WrittenValue = serde_json::from_str(option.example).unwrap();
            if option.kind != Kind::Port {
                let value = option.read(&written).unwrap();
                assert_ne!(option.shown(&value), option.default, "{}", option.name);
            }
            for (name, json) in option.needs {
                let written: WrittenValue = serde_json::from_str(json).unwrap();
                assert!(find(name).unwrap().read(&written).is_ok(), "{}: {name}", option.name);
            }
        }
    }
}
