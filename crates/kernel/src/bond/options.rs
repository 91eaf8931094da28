//! Options of a bond or a port: what is wanted, or what the kernel shows, as a map from the
//! kernel's names to values.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::mode::{BondMode, FailOverMac};
use super::option::BondOption;
use super::table;
use super::value::{OptionValue, WrittenValue};

/// The key of the mode beside the options' names.
const MODE: &str = "mode";

/// Values of options, by the kernel's names. They are written down in the kernel's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, WrittenValue>")]
pub struct OptionValues(BTreeMap<&'static str, OptionValue>);

/// The options of one port of a bond.
pub type PortOptions = OptionValues;

/// A bond's mode and options: what is wanted of a new one (absent options keep the driver's
/// default), or all that the kernel shows of an existing one. Written down, it is one map from the
/// kernel's names to values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BondOptions {
    /// `IFLA_BOND_MODE`.
    pub mode: BondMode,
    values: OptionValues,
    /// `IFLA_BOND_ACTIVE_SLAVE`: the index of the active port. Shown only: a port is chosen by
    /// `Step::SetPortRole`, once it is the bond's.
    pub active_port: Option<u32>,
    /// `IFLA_BOND_PRIMARY`: the index of the preferred port. Shown only, as above.
    pub primary_port: Option<u32>,
}

/// An option that is not as wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionMismatch {
    /// The option.
    pub option: &'static BondOption,
    /// What was wanted, in the kernel's words.
    pub wanted: String,
    /// What is shown; none when the kernel shows nothing of the option.
    pub shown: Option<String>,
}

impl OptionValues {
    /// Returns whether no option is given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets an option.
    pub fn set(&mut self, option: &'static BondOption, value: OptionValue) {
        self.0.insert(option.name, value);
    }

    /// Returns the number of an option whose value is one.
    pub fn number(&self, option: &BondOption) -> Option<i64> {
        match self.0.get(option.name)? {
            OptionValue::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns the transmit queue that is to lead to the port; none where it is 0, for none.
    pub(crate) fn queue(&self) -> Option<i64> {
        self.number(&table::QUEUE_ID).filter(|queue| *queue != 0)
    }

    /// Returns the options that are given, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static BondOption, &OptionValue)> {
        self.0.iter().filter_map(|(name, value)| Some((table::find(name)?, value)))
    }

    /// Returns the options given here that are shown otherwise, or not at all.
    pub fn mismatches(&self, shown: &Self) -> Vec<OptionMismatch> {
        let mut mismatches = Vec::new();
        for (option, wanted) in self.iter() {
            let is = shown.0.get(option.name);
            if is != Some(wanted) {
                let (wanted, shown) = (option.shown(wanted), is.map(|value| option.shown(value)));
                mismatches.push(OptionMismatch { option, wanted, shown });
            }
        }
        mismatches
    }

    /// Returns the driver's defaults of the same options, as a port has them when it enters a bond.
    #[must_use]
    pub fn defaults(&self) -> Self {
        let each = self.iter().map(|(option, _)| (option.name, option.default_number().into()));
        Self(each.collect())
    }

    /// Returns these options, changed where `other` gives them.
    #[must_use]
    pub fn overlaid(&self, other: &Self) -> Self {
        let mut values = self.clone();
        values.0.extend(other.0.clone());
        values
    }
}

impl fmt::Display for OptionValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each =
            self.iter().map(|(option, value)| format!("{} {}", option.name, option.shown(value)));
        f.write_str(&each.collect::<Vec<_>>().join(" "))
    }
}

impl Serialize for OptionValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(self.iter().map(|(option, value)| (option.name, option.shown(value))))
    }
}

impl TryFrom<BTreeMap<String, WrittenValue>> for OptionValues {
    type Error = String;

    /// Reads values by name. An unknown name is passed over: a record of a newer version is
    /// to be undone all the same.
    fn try_from(written: BTreeMap<String, WrittenValue>) -> Result<Self, String> {
        let mut values = Self::default();
        for (name, written) in &written {
            let Some(option) = table::find(name) else { continue };
            let value =
                option.read(written).map_err(|wrong| format!("{name}: {written} {wrong}"))?;
            values.set(option, value);
        }
        Ok(values)
    }
}

impl BondOptions {
    /// Returns a bond of this mode with the driver's defaults.
    pub fn new(mode: BondMode) -> Self {
        Self { mode, values: OptionValues::default(), active_port: None, primary_port: None }
    }

    /// Returns the same with one more option.
    #[must_use]
    pub fn with(mut self, option: &'static BondOption, value: impl Into<OptionValue>) -> Self {
        self.set(option, value.into());
        self
    }

    /// Sets an option.
    pub fn set(&mut self, option: &'static BondOption, value: OptionValue) {
        self.values.set(option, value);
    }

    /// Returns an option's value, where it is given.
    pub fn get(&self, option: &BondOption) -> Option<&OptionValue> {
        self.values.0.get(option.name)
    }

    /// Returns the number of an option whose value is one.
    pub fn number(&self, option: &BondOption) -> Option<i64> {
        self.values.number(option)
    }

    /// Returns `IFLA_BOND_FAIL_OVER_MAC`, where it is given.
    pub fn fail_over_mac(&self) -> Option<FailOverMac> {
        let number = self.number(&table::FAIL_OVER_MAC)?;
        u8::try_from(number).ok().and_then(FailOverMac::from_number)
    }

    /// Returns the options that are given, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static BondOption, &OptionValue)> {
        self.values.iter()
    }

    /// Returns the options given here that are shown otherwise, or not at all.
    pub fn mismatches(&self, shown: &Self) -> Vec<OptionMismatch> {
        self.values.mismatches(&shown.values)
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
        let values = written.try_into().map_err(D::Error::custom)?;
        Ok(Self { values, ..Self::new(mode) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_written() {
        let options = BondOptions::new(BondMode::ActiveBackup)
            .with(&table::ARP_INTERVAL, 100)
            .with(&table::ARP_IP_TARGET, OptionValue::Addresses(vec!["10.0.0.1".parse().unwrap()]))
            .with(&table::FAIL_OVER_MAC, FailOverMac::Active);
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<BondOptions>(&text).unwrap(), options, "{text}");
    }

    #[test]
    fn record_of_another_version_is_read() {
        let text = r#"{"mode": "active-backup", "miimon": 100, "fail_over_mac": "active",
                       "all_slaves_active": true, "of_a_later_version": 1}"#;
        let options: BondOptions = serde_json::from_str(text).unwrap();
        assert_eq!(options.fail_over_mac(), Some(FailOverMac::Active));
        assert_eq!(options.number(&table::MIIMON), Some(100));
        assert_eq!(options.number(&table::ALL_SLAVES_ACTIVE), Some(1));
    }

    #[test]
    fn option_that_is_not_shown_is_a_mismatch() {
        let wanted = BondOptions::new(BondMode::Lacp)
            .with(&table::COUPLED_CONTROL, false)
            .with(&table::MIN_LINKS, 2);
        let shown = BondOptions::new(BondMode::Lacp).with(&table::MIN_LINKS, 2);
        let mismatches = wanted.mismatches(&shown);
        assert_eq!(mismatches.len(), 1);
        assert_eq!((mismatches[0].option.name, &mismatches[0].shown), ("coupled_control", &None));
    }
}
