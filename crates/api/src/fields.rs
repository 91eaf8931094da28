//! Reads the fields of a Kubernetes object, or of JSON in one; each error has the field's path.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::de::{DeserializeOwned, IntoDeserializer, value};
use serde_json::{Map, Value};

use crate::{FieldError, Reason};

/// The fields of one JSON object. Null counts as absent, as in a cluster, and so does an empty text.
#[derive(Debug)]
pub struct Fields<'a> {
    /// Of this object within the whole; empty for the whole.
    path: String,
    map: Option<&'a Map<String, Value>>,
}

impl<'a> Fields<'a> {
    /// Returns the fields of a whole object.
    pub fn root(map: &'a Map<String, Value>) -> Self {
        Self { path: String::new(), map: Some(map) }
    }

    /// Returns the error of field `name`.
    pub(crate) fn error(&self, name: &str, reason: impl Into<Reason>) -> FieldError {
        FieldError { path: self.path_of(name), reason: Box::new(reason.into()) }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map?.get(name).filter(|value| !value.is_null())
    }

    /// Returns whether a field is there and not null.
    pub fn is_given(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn unexpected(&self, name: &str, value: &Value, expected: impl Into<String>) -> FieldError {
        self.error(name, Reason::unexpected(excerpt(value), expected))
    }

    /// Reads an object as it is; none where it is absent.
    pub fn map(&self, name: &str) -> Result<Option<&'a Map<String, Value>>, FieldError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(self.unexpected(name, other, "a map of fields")),
        }
    }

    /// Returns the fields of the object in field `name`; no fields where it is absent.
    pub(crate) fn object(&self, name: &str) -> Result<Self, FieldError> {
        Ok(Self { path: self.path_of(name), map: self.map(name)? })
    }

    /// Reads a text; none where it is absent or empty.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, FieldError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(other @ (Value::Number(_) | Value::Bool(_))) => {
                Err(self.unexpected(name, other, format!("it in quotes, as \"{other}\"")))
            }
            Some(other) => Err(self.unexpected(name, other, "a text")),
        }
    }

    pub(crate) fn required_text(&self, name: &str, expected: &str) -> Result<&'a str, FieldError> {
        self.text(name)?.ok_or_else(|| self.error(name, Reason::missing(expected)))
    }

    /// Reads a text that is a `T`.
    pub fn parsed<T>(&self, name: &str) -> Result<Option<T>, FieldError>
    where
        T: FromStr<Err: Into<Reason>>,
    {
        self.text(name)?.map(|text| self.parse(name, text)).transpose()
    }

    /// Reads a text that is a `T` and must be there.
    pub fn required<T>(&self, name: &str, expected: &str) -> Result<T, FieldError>
    where
        T: FromStr<Err: Into<Reason>>,
    {
        self.parse(name, self.required_text(name, expected)?)
    }

    fn parse<T>(&self, name: &str, text: &str) -> Result<T, FieldError>
    where
        T: FromStr<Err: Into<Reason>>,
    {
        text.parse().map_err(|error: T::Err| self.error(name, error))
    }

    /// Reads a whole number within `range`. The bounds of `T` must hold the range.
    pub(crate) fn integer<T>(
        &self,
        name: &str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<T>, FieldError>
    where
        T: TryFrom<u32>,
    {
        let Some(value) = self.get(name) else { return Ok(None) };
        value
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| range.contains(number))
            .and_then(|number| T::try_from(number).ok())
            .map(Some)
            .ok_or_else(|| {
                let (from, to) = (range.start(), range.end());
                self.unexpected(name, value, format!("a whole number from {from} to {to}"))
            })
    }

    /// Reads `true` or `false`; absent is `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, FieldError> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.unexpected(name, other, "true or false")),
        }
    }

    /// Reads one of the words of an enum. A YAML 1.1 writer leaves `on` and `off` without quotes, which
    /// some readers take for booleans: these are read as the words.
    pub(crate) fn choice<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, FieldError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let word = match value {
            Value::String(text) if text.is_empty() => return Ok(None),
            Value::String(text) => text.as_str(),
            Value::Bool(true) => "on",
            Value::Bool(false) => "off",
            _ => "",
        };
        T::deserialize(word.into_deserializer()).map(Some).map_err(|error: value::Error| {
            // "unknown variant `x`, expected `on` or `off`": what was found is said before.
            let problem = error.to_string();
            let expected =
                problem.split_once("expected ").map_or("another word", |(_, words)| words);
            self.unexpected(name, value, expected)
        })
    }

    /// Reads a list of texts, each a `T`; absent is empty.
    pub(crate) fn list<T>(&self, name: &str) -> Result<Vec<T>, FieldError>
    where
        T: FromStr<Err: Into<Reason>>,
    {
        let items = self.items(name, "a text in quotes", |item| item.as_str())?;
        let items = items.into_iter().enumerate();
        items.map(|(at, text)| self.parse(&format!("{name}[{at}]"), text)).collect()
    }

    /// Reads a list, each item as `read` returns it; absent is empty. An item of which that returns none is
    /// an error, and `expected` says what to write.
    pub fn items<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Vec<T>, FieldError> {
        let items = match self.get(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items.iter().enumerate(),
            Some(other) => return Err(self.unexpected(name, other, "a list in brackets")),
        };
        items
            .map(|(at, item)| {
                let unexpected = || self.unexpected(&format!("{name}[{at}]"), item, expected);
                read(item).ok_or_else(unexpected)
            })
            .collect()
    }

    /// Reads a map of texts, as labels and annotations are; absent is empty.
    pub(crate) fn text_map(&self, name: &str) -> Result<BTreeMap<String, String>, FieldError> {
        let mut texts = BTreeMap::new();
        for (key, value) in self.map(name)?.into_iter().flatten() {
            let Value::String(text) = value else {
                let expected = format!("it in quotes, as {:?}", value.to_string());
                return Err(self.unexpected(&format!("{name}[{key:?}]"), value, expected));
            };
            texts.insert(key.clone(), text.clone());
        }
        Ok(texts)
    }
}

/// Returns a value as an error shows it: JSON, cut at 60 characters.
pub fn excerpt(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("{start}…")
}
