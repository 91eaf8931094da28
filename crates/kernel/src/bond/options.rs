use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::table::{self, BondOption, Scope};
use super::value::{OptionValue, WrittenValue};
use super::{BondMode, FailOverMac};

/// The key of the mode beside the options' names.
const MODE: &str = "mode";

/// A bond's mode and options: what is wanted of a new one (absent options keep the driver's
/// default), or all that the kernel shows of an existing one. Written down, it is one map from the
/// kernel's names to values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BondOptions {
    /// `IFLA_BOND_MODE`.
    pub mode: BondMode,
    values: Values,
    /// `IFLA_BOND_ACTIVE_SLAVE`: the index of the active port. Shown only: a port is chosen by
    /// `Step::SetPortRole`, once it is the bond's.
    pub active_port: Option<u32>,
    /// `IFLA_BOND_PRIMARY`: the index of the preferred port. Shown only, as above.
    pub primary_port: Option<u32>,
}

/// The options of one port of a bond.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, WrittenValue>")]
pub struct PortOptions {
    values: Values,
}

/// Values by the kernel's names.
type Values = BTreeMap<&'static str, OptionValue>;

/// An option that is not as wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlike {
    /// The option.
    pub option: &'static BondOption,
    /// What was wanted, in the kernel's words.
    pub wanted: String,
    /// What is shown; none when the kernel shows nothing of the option.
    pub shown: Option<String>,
}

fn unlike(wanted: &Values, shown: &Values) -> Vec<Unlike> {
    let each = wanted.iter().filter(|(name, value)| shown.get(*name) != Some(value));
    each.filter_map(|(name, value)| {
        let option = table::find(name)?;
        let shown = shown.get(name).map(|value| option.shown(value));
        Some(Unlike { option, wanted: option.shown(value), shown })
    })
    .collect()
}

fn pairs(values: &Values) -> impl Iterator<Item = (&'static BondOption, &OptionValue)> {
    values.iter().filter_map(|(name, value)| Some((table::find(name)?, value)))
}

/// Reads values by name. A name that is not known is passed over: a record of a newer version is
/// to be undone all the same.
fn read(written: &BTreeMap<String, WrittenValue>, scope: Scope) -> Result<Values, String> {
    let mut values = Values::new();
    for (name, written) in written {
        let Some(option) = table::find(name).filter(|option| option.scope == scope) else {
            continue;
        };
        let value = option.read(written).map_err(|wrong| format!("{name}: {written} {wrong}"))?;
        values.insert(option.name, value);
    }
    Ok(values)
}

impl BondOptions {
    /// A bond of this mode with the driver's defaults.
    pub fn new(mode: BondMode) -> Self {
        Self { mode, values: Values::new(), active_port: None, primary_port: None }
    }

    /// The same with one more option.
    #[must_use]
    pub fn with(mut self, option: &'static BondOption, value: impl Into<OptionValue>) -> Self {
        self.set(option, value.into());
        self
    }

    /// Sets an option.
    pub fn set(&mut self, option: &'static BondOption, value: OptionValue) {
        self.values.insert(option.name, value);
    }

    /// An option's value, where it is given.
    pub fn get(&self, option: &BondOption) -> Option<&OptionValue> {
        self.values.get(option.name)
    }

    /// The number of an option whose value is one.
    pub fn number(&self, option: &BondOption) -> Option<i64> {
        match self.get(option)? {
            OptionValue::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// `IFLA_BOND_FAIL_OVER_MAC`, where it is given.
    pub fn fail_over_mac(&self) -> Option<FailOverMac> {
        let number = self.number(&table::FAIL_OVER_MAC)?;
        u8::try_from(number).ok().and_then(FailOverMac::from_number)
    }

    /// The options that are given, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static BondOption, &OptionValue)> {
        pairs(&self.values)
    }

    /// Those options given here that are shown otherwise, or not at all.
    pub fn unlike(&self, shown: &Self) -> Vec<Unlike> {
        unlike(&self.values, &shown.values)
    }
}

impl PortOptions {
    /// Whether none is given.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Sets an option.
    pub fn set(&mut self, option: &'static BondOption, value: OptionValue) {
        self.values.insert(option.name, value);
    }

    /// The number of an option.
    pub fn number(&self, option: &BondOption) -> Option<i64> {
        match self.values.get(option.name)? {
            OptionValue::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The transmit queue that is to lead to the port; none where it is 0, for none.
    pub(crate) fn queue(&self) -> Option<i64> {
        self.number(&table::QUEUE_ID).filter(|queue| *queue != 0)
    }

    /// The options that are given, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static BondOption, &OptionValue)> {
        pairs(&self.values)
    }

    /// Those options given here that are shown otherwise, or not at all.
    pub fn unlike(&self, shown: &Self) -> Vec<Unlike> {
        unlike(&self.values, &shown.values)
    }

    /// What a port has of the same options when it comes into a bond.
    #[must_use]
    pub fn defaults(&self) -> Self {
        let each = self
            .iter()
            .map(|(option, _)| (option.name, OptionValue::Number(option.default_number())));
        Self { values: each.collect() }
    }

    /// These options, changed where `other` gives them.
    #[must_use]
    pub fn overlaid(&self, other: &Self) -> Self {
        let mut values = self.values.clone();
        values.extend(other.values.clone());
        Self { values }
    }
}

impl std::fmt::Display for PortOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, (option, value)) in self.iter().enumerate() {
            let separator = if position == 0 { "" } else { " " };
            write!(f, "{separator}{} {}", option.name, option.shown(value))?;
        }
        Ok(())
    }
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

impl Serialize for BondOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mode = (MODE, self.mode.name().to_owned());
        let values = self.iter().map(|(option, value)| (option.name, option.shown(value)));
        serializer.collect_map(std::iter::once(mode).chain(values))
    }
}

impl<'de> Deserialize<'de> for BondOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = BTreeMap::<String, WrittenValue>::deserialize(deserializer)?;
        let mode = match written.get(MODE) {
            Some(WrittenValue::Text(mode)) => BondMode::from_name(mode),
            _ => None,
        };
        let mode = mode.ok_or_else(|| D::Error::custom("a bond has no mode"))?;
        let values = read(&written, Scope::Bond).map_err(D::Error::custom)?;
        Ok(Self { values, ..Self::new(mode) })
    }
}

impl Serialize for PortOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(self.iter().map(|(option, value)| (option.name, option.shown(value))))
    }
}

impl TryFrom<BTreeMap<String, WrittenValue>> for PortOptions {
    type Error = String;

    fn try_from(written: BTreeMap<String, WrittenValue>) -> Result<Self, String> {
        Ok(Self { values: read(&written, Scope::Port)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_survive_being_written_down() {
        let options = BondOptions::new(BondMode::ActiveBackup)
            .with(&table::ARP_INTERVAL, 100)
            .with(&table::ARP_IP_TARGET, OptionValue::Addresses(vec!["10.0.0.1".parse().unwrap()]))
            .with(&table::FAIL_OVER_MAC, FailOverMac::Active);
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<BondOptions>(&text).unwrap(), options, "{text}");
    }

    #[test]
    fn a_record_of_an_earlier_or_later_version_is_read() {
        let text = r#"{"mode": "active-backup", "miimon": 100, "fail_over_mac": "active",
                       "all_slaves_active": true, "of_a_later_version": 1}"#;
        let options: BondOptions = serde_json::from_str(text).unwrap();
        assert_eq!(options.fail_over_mac(), Some(FailOverMac::Active));
        assert_eq!(options.number(&table::MIIMON), Some(100));
        assert_eq!(options.number(&table::ALL_SLAVES_ACTIVE), Some(1));
    }

    #[test]
    fn an_option_that_is_not_shown_is_unlike() {
        let wanted = BondOptions::new(BondMode::Lacp)
            .with(&table::COUPLED_CONTROL, false)
            .with(&table::MIN_LINKS, 2);
        let shown = BondOptions::new(BondMode::Lacp).with(&table::MIN_LINKS, 2);
        let unlike = wanted.unlike(&shown);
        assert_eq!(unlike.len(), 1);
        assert_eq!((unlike[0].option.name, &unlike[0].shown), ("coupled_control", &None));
    }
}
