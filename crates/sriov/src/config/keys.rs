//! Reading keys of a configuration as sriov-cni reads them.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::Error;

/// The configuration's keys, found without regard to case, the exact spelling first. Null and empty
/// text are absent.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a>(pub(crate) &'a Map<String, Value>);

impl<'a> Keys<'a> {
    /// Returns whether a key is there with a value.
    pub(crate) fn is_given(self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Returns the value of a key.
    pub(crate) fn get(self, key: &str) -> Option<&'a Value> {
        let folded = || {
            let mut entries = self.0.iter();
            entries.find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
        };
        self.0.get(key).or_else(folded).filter(|value| !value.is_null() && *value != "")
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
