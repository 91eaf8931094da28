//! Reading keys of a configuration as sriov-cni reads them.

use std::ops::RangeInclusive;

use podbond_cni::field;
use podbond_kernel::VfSettings;
use serde_json::{Map, Value};

use crate::Error;

/// The configuration's keys, found as Go's encoding/json finds them. Null and empty text are absent.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a>(pub(crate) &'a Map<String, Value>);

impl<'a> Keys<'a> {
    /// Returns those of a VF's settings that an ADD with these keys changes, and its MAC address.
    pub(crate) fn changed(self, all: &VfSettings) -> VfSettings {
        let is_given = |key: &str| self.get(key).is_some();
        let has_vlan = is_given("vlan");
        let has_rate = is_given("min_tx_rate") || is_given("max_tx_rate");
        VfSettings {
            mac: all.mac,
            vlan: all.vlan.filter(|_| has_vlan),
            qos: all.qos.filter(|_| has_vlan),
            vlan_proto: all.vlan_proto.filter(|_| has_vlan),
            spoofchk: all.spoofchk.filter(|_| is_given("spoofchk")),
            trust: all.trust.filter(|_| is_given("trust")),
            link_state: all.link_state.filter(|_| is_given("link_state")),
            min_tx_rate: all.min_tx_rate.filter(|_| has_rate),
            max_tx_rate: all.max_tx_rate.filter(|_| has_rate),
        }
    }

    /// Returns the value of a key.
    pub(crate) fn get(self, key: &str) -> Option<&'a Value> {
        field(self.0, key).filter(|value| *value != "")
    }

    /// Returns the text of a key.
    pub(crate) fn text(self, key: &'static str) -> Result<Option<&'a str>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let text = value.as_str();
        text.map(Some).ok_or_else(|| Error::NotText { field: key, given: value.to_string() })
    }

    /// Returns the number of a key, also where it is written as text.
    pub(crate) fn number(
        self,
        key: &'static str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<u32>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = match value {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64().and_then(|number| u32::try_from(number).ok()),
        };
        match number {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(Error::OutOfRange {
                field: key,
                given: value.to_string(),
                min: *range.start(),
                max: *range.end(),
            }),
        }
    }

    /// Returns what the word of a key stands for.
    pub(crate) fn choice<T: Copy>(
        self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let chosen = value
            .as_str()
            .and_then(|text| choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)));
        chosen.map(|(_, value)| Some(*value)).ok_or_else(|| Error::NoChoice {
            field: key,
            given: value.to_string(),
            choices: choices.iter().map(|(name, _)| *name).collect(),
        })
    }
}
