//! Values of bonding options: as people write them, as the kernel keeps them, and why one is wrong.

use std::fmt;
use std::net::IpAddr;

use podbond_names::Mac;
use serde::Deserialize;

use super::mode::FailOverMac;
use super::option::{BondOption, Family, Kind};

/// The driver's `BOND_MAX_ARP_TARGETS` and `BOND_MAX_NS_TARGETS`.
const MAX_TARGETS: usize = 16;

/// The value of an option, as the kernel keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionValue {
    /// A number, the number of a name, or 0 and 1 for off and on.
    Number(i64),
    /// An Ethernet address.
    Mac(Mac),
    /// Addresses of one family.
    Addresses(Vec<IpAddr>),
}

impl From<i64> for OptionValue {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for OptionValue {
    fn from(on: bool) -> Self {
        Self::Number(on.into())
    }
}

impl From<FailOverMac> for OptionValue {
    fn from(value: FailOverMac) -> Self {
        Self::Number(value.number().into())
    }
}

/// A value as people and records write it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum WrittenValue {
    /// `true`, `false`.
    Switch(bool),
    /// `100`.
    Number(i64),
    /// `"layer3+4"`, `"100"`.
    Text(String),
    /// `["10.0.0.1", "10.0.0.2"]`.
    List(Vec<String>),
}

/// Why a value is not one of the option's. It completes a sentence that begins with the key and
/// the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongValue {
    /// Neither on nor off.
    #[error("is neither on nor off: give on (1) or off (0)")]
    Switch,
    /// No whole number, or one that the driver does not take.
    #[error("is no whole number{} from {min} to {max}", .unit.map(|unit| format!(" of {unit}")).unwrap_or_default())]
    Number {
        /// The smallest that the driver takes.
        min: i64,
        /// The largest.
        max: i64,
        /// What is counted.
        unit: Option<&'static str>,
    },
    /// Not one of the driver's names.
    #[error("is unknown: give {}", listed(.names))]
    Name {
        /// Number and name of each value.
        names: &'static [(i64, &'static str)],
    },
    /// Not an Ethernet address that one system can have.
    #[error("is no MAC address of one system: give one like 02:00:00:00:00:01")]
    Mac,
    /// Not a list of addresses.
    #[error("is no list of {0} addresses: give one like [\"{example}\"]", example = .0.example())]
    Addresses(Family),
    /// An address that the driver does not send to.
    #[error("holds {address}, which no neighbour can have: give addresses of single hosts")]
    NoHost {
        /// The address.
        address: IpAddr,
    },
    /// One address twice.
    #[error("holds {address} twice: give each address once")]
    Twice {
        /// The address.
        address: IpAddr,
    },
    /// More than the driver has room for.
    #[error("has {count} addresses: the driver takes {MAX_TARGETS} at most")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// No interface name.
    #[error("is no link's name: give the name of one of the links")]
    Port,
}

fn listed(names: &[(i64, &str)]) -> String {
    let each = names.iter().map(|(number, name)| format!("{name} ({number})"));
    let each: Vec<String> = each.collect();
    match each.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => each.concat(),
    }
}

impl fmt::Display for WrittenValue {
    /// Writes the value as JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(on) => write!(f, "{on}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(list) => write!(f, "{list:?}"),
        }
    }
}

impl WrittenValue {
    /// Returns a whole number, written as one or as text.
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            Self::Switch(_) | Self::List(_) => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn texts(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) => Some(text.split(',').map(str::trim).collect()),
            Self::List(list) => Some(list.iter().map(String::as_str).collect()),
            Self::Switch(_) | Self::Number(_) => None,
        }
    }
}

impl BondOption {
    /// Reads a value in any spelling that the option has: names by name or number, numbers as
    /// numbers or text, addresses as a list or as text with commas.
    pub fn read(&self, written: &WrittenValue) -> Result<OptionValue, WrongValue> {
        match self.kind {
            Kind::Switch => switch(written).map(|on| OptionValue::Number(on.into())),
            Kind::Number { min, max, unit } => {
                let number = written.number().filter(|number| (min..=max).contains(number));
                number.map(OptionValue::Number).ok_or(WrongValue::Number { min, max, unit })
            }
            Kind::Named(names) => {
                let found = names.iter().find(|(number, name)| {
                    written.number() == Some(*number) || written.text() == Some(name)
                });
                let number = found.map(|(number, _)| OptionValue::Number(*number));
                number.ok_or(WrongValue::Name { names })
            }
            Kind::Mac => {
                let mac = written.text().and_then(|text| text.parse::<Mac>().ok());
                let mac = mac.filter(|mac| !mac.is_multicast());
                mac.map(OptionValue::Mac).ok_or(WrongValue::Mac)
            }
            Kind::Addresses(family) => addresses(family, written).map(OptionValue::Addresses),
            Kind::Port => Err(WrongValue::Port),
        }
    }

    /// Returns a value in the kernel's words.
    pub fn shown(&self, value: &OptionValue) -> String {
        match (self.kind, value) {
            (Kind::Switch, OptionValue::Number(0)) => "off".to_owned(),
            (Kind::Switch, OptionValue::Number(1)) => "on".to_owned(),
            (Kind::Named(names), OptionValue::Number(number)) => names
                .iter()
                .find(|(n, _)| n == number)
                .map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned()),
            (_, OptionValue::Number(number)) => number.to_string(),
            (_, OptionValue::Mac(mac)) => mac.to_string(),
            (_, OptionValue::Addresses(list)) => {
                list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
            }
        }
    }
}

fn switch(written: &WrittenValue) -> Result<bool, WrongValue> {
    match written {
        WrittenValue::Switch(on) => Ok(*on),
        _ => match (written.text(), written.number()) {
            (Some("on"), _) | (_, Some(1)) => Ok(true),
            (Some("off"), _) | (_, Some(0)) => Ok(false),
            _ => Err(WrongValue::Switch),
        },
    }
}

fn addresses(family: Family, written: &WrittenValue) -> Result<Vec<IpAddr>, WrongValue> {
    let texts = written.texts().filter(|texts| !texts.is_empty());
    let texts = texts.ok_or(WrongValue::Addresses(family))?;
    let mut list: Vec<IpAddr> = Vec::with_capacity(texts.len());
    for text in texts {
        let address: IpAddr = text.parse().map_err(|_| WrongValue::Addresses(family))?;
        let host = match (family, address) {
            (Family::V4, IpAddr::V4(v4)) => !(v4.is_broadcast() || v4.octets()[0] == 0),
            (Family::V6, IpAddr::V6(v6)) => {
                !(v6.is_unspecified() || v6.is_loopback() || v6.is_multicast())
            }
            _ => return Err(WrongValue::Addresses(family)),
        };
        if !host {
            return Err(WrongValue::NoHost { address });
        }
        if list.contains(&address) {
            return Err(WrongValue::Twice { address });
        }
        list.push(address);
    }
    if list.len() > MAX_TARGETS { Err(WrongValue::TooMany { count: list.len() }) } else { Ok(list) }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    fn read(option: &BondOption, json: &str) -> Result<String, String> {
        let written: WrittenValue = serde_json::from_str(json).unwrap();
        option.read(&written).map(|value| option.shown(&value)).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn every_spelling_is_read() {
        for json in ["true", "1", "\"1\"", "\"on\""] {
            assert_eq!(read(&table::ALL_SLAVES_ACTIVE, json).unwrap(), "on");
        }
        for json in ["\"layer3+4\"", "1", "\"1\""] {
            assert_eq!(read(&table::XMIT_HASH_POLICY, json).unwrap(), "layer3+4");
        }
        assert_eq!(read(&table::MIIMON, "\"100\"").unwrap(), "100");
        for json in ["[\"10.0.0.1\", \"10.0.0.2\"]", "\"10.0.0.1, 10.0.0.2\""] {
            assert_eq!(read(&table::ARP_IP_TARGET, json).unwrap(), "10.0.0.1,10.0.0.2");
        }
    }

    #[test]
    fn wrong_value_is_named_with_what_is_allowed() {
        let many: Vec<String> = (1..=17).map(|n| format!("10.0.0.{n}")).collect();
        let many = serde_json::to_string(&many).unwrap();
        let cases = [
            (&table::MIIMON, "-1", "is no whole number of milliseconds from 0 to 2147483647"),
            (&table::ARP_MISSED_MAX, "0", "is no whole number from 1 to 255"),
            (&table::TLB_DYNAMIC_LB, "2", "is neither on nor off"),
            (&table::FAIL_OVER_MAC, "7", "give none (0), active (1) or follow (2)"),
            (&table::AD_ACTOR_SYSTEM, "\"01:00:5e:00:00:01\"", "is no MAC address of one system"),
            (&table::ARP_IP_TARGET, "[]", "is no list of IPv4 addresses"),
            (&table::ARP_IP_TARGET, "[\"fd00::1\"]", "is no list of IPv4 addresses"),
            (&table::ARP_IP_TARGET, "\"255.255.255.255\"", "which no neighbour can have"),
            (&table::ARP_IP_TARGET, "\"10.0.0.1,10.0.0.1\"", "holds 10.0.0.1 twice"),
            (&table::ARP_IP_TARGET, &many, "has 17 addresses: the driver takes 16 at most"),
            (&table::NS_IP6_TARGET, "\"ff02::1\"", "holds ff02::1"),
        ];
        for (option, json, expected) in cases {
            let wrong = read(option, json).unwrap_err();
            assert!(wrong.contains(expected), "{}: {json}: {wrong}", option.name);
        }
    }
}
