//! Reads the fields of a Kubernetes object; each error has the object's name and the field's path.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::de::{DeserializeOwned, IntoDeserializer, value};
use serde_json::{Map, Value};

use crate::{Error, Reason};

/// Whose fields are read: what each error names first.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) origin: String,
    pub(crate) object: String,
}

impl Site {
    pub(crate) fn error(&self, path: String, reason: Reason) -> Error {
        Error::Field {
            origin: self.origin.clone(),
            object: self.object.clone(),
            path,
            reason: Box::new(reason),
        }
    }
}

/// The fields of one JSON object within a Kubernetes object. Null counts as absent, as in a
/// cluster, and so does an empty text.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    site: &'a Site,
    path: String,
    map: Option<&'a Map<String, Value>>,
}

impl<'a> Fields<'a> {
    pub(crate) fn root(site: &'a Site, map: &'a Map<String, Value>) -> Self {
        Self { site, path: String::new(), map: Some(map) }
    }

    /// Returns the error of field `name`.
    pub(crate) fn error(&self, name: &str, reason: impl Into<Reason>) -> Error {
        self.site.error(self.path_of(name), reason.into())
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map?.get(name).filter(|value| !value.is_null())
    }

    fn unexpected(&self, name: &str, value: &Value, expected: impl Into<String>) -> Error {
        self.error(name, Reason::unexpected(show(value), expected))
    }

    /// Returns the fields of the object in field `name`; no fields where it is absent.
    pub(crate) fn object(&self, name: &str) -> Result<Self, Error> {
        let map = match self.get(name) {
            None => None,
            Some(Value::Object(map)) => Some(map),
            Some(other) => return Err(self.unexpected(name, other, "a map of fields")),
        };
        Ok(Self { site: self.site, path: self.path_of(name), map })
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, Error> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(other @ (Value::Number(_) | Value::Bool(_))) => {
                Err(self.unexpected(name, other, format!("it in quotes, as \"{other}\"")))
            }
            Some(other) => Err(self.unexpected(name, other, "a text")),
        }
    }

    pub(crate) fn required_text(&self, name: &str, expected: &str) -> Result<&'a str, Error> {
        self.text(name)?.ok_or_else(|| self.error(name, Reason::missing(expected)))
    }

    /// Reads a text that is a `T`.
    pub(crate) fn parsed<T>(&self, name: &str) -> Result<Option<T>, Error>
    where
        T: FromStr<Err: Into<Reason>>,
    {
        self.text(name)?.map(|text| self.parse(name, text)).transpose()
    }

    pub(crate) fn required<T>(&self, name: &str, expected: &str) -> Result<T, Error>
    where
        T: FromStr<Err: Into<Reason>>,
    {
        self.parse(name, self.required_text(name, expected)?)
    }

    fn parse<T>(&self, name: &str, text: &str) -> Result<T, Error>
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
    ) -> Result<Option<T>, Error>
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
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Error> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.unexpected(name, other, "true or false")),
        }
    }

    /// Reads one of the words of an enum. A YAML 1.1 writer leaves `on` and `off` without quotes, which
    /// some readers take for booleans: these are read as the words.
    pub(crate) fn choice<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
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
    pub(crate) fn list<T>(&self, name: &str) -> Result<Vec<T>, Error>
    where
        T: FromStr<Err: Into<Reason>>,
    {
        let items = match self.get(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(other) => return Err(self.unexpected(name, other, "a list of texts")),
        };
        let mut list = Vec::with_capacity(items.len());
        for (position, item) in items.iter().enumerate() {
            let name = format!("{name}[{position}]");
            let Value::String(text) = item else {
                return Err(self.unexpected(&name, item, "a text in quotes"));
            };
            list.push(self.parse(&name, text)?);
        }
        Ok(list)
    }

    /// Reads a map of texts, as labels and annotations are; absent is empty.
    pub(crate) fn text_map(&self, name: &str) -> Result<BTreeMap<String, String>, Error> {
        let mut texts = BTreeMap::new();
        for (key, value) in self.object(name)?.map.into_iter().flatten() {
            let Value::String(text) = value else {
                let expected = format!("it in quotes, as {:?}", value.to_string());
                return Err(self.unexpected(&format!("{name}[{key:?}]"), value, expected));
            };
            texts.insert(key.clone(), text.clone());
        }
        Ok(texts)
    }
}

/// Returns a value as an error shows it: JSON, cut where it becomes long.
pub(crate) fn show(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("{start}…")
}
