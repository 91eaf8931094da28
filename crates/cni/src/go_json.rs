//! JSON as Go's encoding/json reads it into structures, so that a configuration means here what it means to
//! the plugins replaced: keys of structures are found without regard to case, the last in the document wins,
//! null leaves what was there, and objects that are given twice are merged. Keys of maps stay exact.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserialize, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

/// Returns true for the same key of a structure. As Go folds letters: the Kelvin sign is a k, and the long s
/// an s.
pub fn is_key(written: &str, name: &str) -> bool {
    if written.len() == name.len() && written.eq_ignore_ascii_case(name) {
        return true;
    }
    // These two letters take more bytes than those that they stand for.
    written.len() > name.len() && written.chars().map(fold).eq(name.chars().map(fold))
}

fn fold(letter: char) -> char {
    match letter {
        '\u{212a}' => 'k',
        '\u{17f}' => 's',
        other => other.to_ascii_lowercase(),
    }
}

/// Returns the value that a structure's field of this name gets from an object, if it gets one.
pub fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let mut from_the_last = object.iter().rev();
    from_the_last.find(|(key, value)| !value.is_null() && is_key(key, name)).map(|(_, value)| value)
}

/// Sets a structure's field, however it was written before; none removes it.
pub fn set_field(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    object.retain(|key, _| !is_key(key, name));
    if let Some(value) = value {
        object.insert(name.to_owned(), value);
    }
}

/// Merges objects that stand under one key of a structure in several spellings, into the last of them.
pub(crate) fn merge_spellings(object: &mut Map<String, Value>) {
    if object.values().filter(|value| value.is_object()).count() < 2 {
        return;
    }
    let keys: Vec<String> = object.keys().cloned().collect();
    let next = next_spellings(&keys);
    for (key, later) in keys.iter().zip(next) {
        let Some(later) =
            later.filter(|later| object[*later].is_object() && object[key].is_object())
        else {
            continue;
        };
        let (first, second) = (object.shift_remove(key), object.shift_remove(later));
        let mut merged = first.unwrap_or_default();
        merge(&mut merged, second.unwrap_or_default());
        object.insert(later.clone(), merged);
    }
}

/// Overwrites what was there by what is given later in the document.
/// Returns for each key the next one that is the same key of a structure. A tenant may write tens of thousands
/// of keys: not each is compared with each.
fn next_spellings(keys: &[String]) -> Vec<Option<&String>> {
    let mut next_of = BTreeMap::new();
    let next =
        keys.iter().rev().map(|key| next_of.insert(key.chars().map(fold).collect::<String>(), key));
    let mut next: Vec<_> = next.collect();
    next.reverse();
    next
}

fn merge(value: &mut Value, later: Value) {
    match (value, later) {
        (_, Value::Null) => {}
        (Value::Object(object), Value::Object(later)) => {
            later.into_iter().for_each(|(key, value)| put(object, key, value));
        }
        (value, later) => *value = later,
    }
}

/// Puts an entry at the end of an object: the order of the entries says which is the last in the document.
fn put(object: &mut Map<String, Value>, key: String, later: Value) {
    let mut value = object.shift_remove(&key).unwrap_or_default();
    merge(&mut value, later);
    object.insert(key, value);
}

/// A document whose entries that are given twice are merged.
pub(crate) struct Document(pub(crate) Value);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor).map(Self)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Document(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(all.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Document(value))) = entries.next_entry()? {
            put(&mut object, key, value);
        }
        Ok(object.into())
    }
}

/// What structures take their fields from by [`field`].
#[derive(Clone, Copy)]
pub(crate) enum Fields<'a> {
    Object(&'a Map<String, Value>),
    Value(&'a Value),
}

impl<'a> Fields<'a> {
    fn of(value: &'a Value) -> Self {
        value.as_object().map_or(Self::Value(value), Self::Object)
    }
}

impl<'de> Deserializer<'de> for Fields<'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self {
            Self::Value(Value::Array(items)) => {
                visitor.visit_seq(SeqDeserializer::new(items.iter().map(Fields::of)))
            }
            Self::Value(value) => value.deserialize_any(visitor),
            Self::Object(map) => {
                let entries = map.iter().map(|(key, value)| (key.as_str(), Fields::of(value)));
                visitor.visit_map(MapDeserializer::new(entries))
            }
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self {
            Self::Value(value) => value.deserialize_struct(name, fields, visitor),
            Self::Object(object) => {
                let value = |name| Some((name, Fields::of(field(object, name)?)));
                let given = fields.iter().copied().filter_map(value);
                visitor.visit_map(MapDeserializer::new(given))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self {
            Self::Value(Value::Null) => visitor.visit_none(),
            other => visitor.visit_some(other),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self {
            Self::Value(value) => value.deserialize_enum(name, variants, visitor),
            Self::Object(object) => object.deserialize_enum(name, variants, visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, serde_json::Error> for Fields<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Inner {
        subnet: String,
        range_start: Option<String>,
    }

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Outer {
        mtu: Option<u32>,
        ipam: Inner,
        all: Vec<Inner>,
        map: BTreeMap<String, u32>,
    }

    /// Reads as a configuration is read.
    fn read(text: &str) -> Outer {
        let Document(mut value) = serde_json::from_str(text).unwrap();
        merge_spellings(value.as_object_mut().unwrap());
        Outer::deserialize(Fields::of(&value)).unwrap()
    }

    // The values are what encoding/json of Go 1.26 gives for these texts and structures.
    /// Promise: keys-as-go-reads-them
    #[test]
    fn key_is_found_in_any_case_and_the_last_wins() {
        assert_eq!(read(r#"{"MTU": 1}"#).mtu, Some(1));
        assert_eq!(read(r#"{"mtu": 1, "Mtu": 2}"#).mtu, Some(2));
        assert_eq!(read(r#"{"Mtu": 2, "mtu": 1}"#).mtu, Some(1));
        assert_eq!(read(r#"{"mtu": 1, "MTU": 2, "mtu": 3}"#).mtu, Some(3));
        assert_eq!(read(r#"{"mtu": 1, "MTU": 2}"#).mtu, Some(2));
    }

    #[test]
    fn null_leaves_what_was_there() {
        assert_eq!(read(r#"{"mtu": 1, "mtu": null}"#).mtu, Some(1));
        assert_eq!(read(r#"{"mtu": 1, "MTU": null}"#).mtu, Some(1));
        assert_eq!(read(r#"{"mtu": null}"#).mtu, None);
    }

    #[test]
    fn objects_given_twice_are_merged() {
        for text in [
            r#"{"ipam": {"subnet": "a"}, "ipam": {"rangestart": "b"}}"#,
            r#"{"ipam": {"subnet": "a"}, "IPAM": {"rangeStart": "b"}}"#,
            r#"{"Ipam": {"SUBNET": "x", "rangeStart": "b"}, "ipam": {"subnet": "a"}}"#,
        ] {
            let ipam = read(text).ipam;
            assert_eq!((&*ipam.subnet, ipam.range_start.as_deref()), ("a", Some("b")), "{text}");
        }
    }

    #[test]
    fn structures_in_lists_are_folded_and_maps_are_not() {
        let read = read(r#"{"All": [{"Subnet": "a"}], "map": {"a": 1, "A": 2}}"#);
        assert_eq!(read.all[0].subnet, "a");
        assert_eq!(read.map, BTreeMap::from([("A".to_owned(), 2), ("a".to_owned(), 1)]));
    }

    #[test]
    fn letters_are_folded_as_go_does() {
        assert!(is_key("lin\u{212a}\u{17f}", "links"));
        assert!(!is_key("m\u{131}imon", "miimon"));
    }

    #[test]
    fn field_is_set_under_its_own_name_alone() {
        let mut object = json!({"PrevResult": 1, "prevresult": 2, "a": 3});
        let object = object.as_object_mut().unwrap();
        set_field(object, "prevResult", Some(json!(4)));
        assert_eq!(*object, *json!({"a": 3, "prevResult": 4}).as_object().unwrap());
    }

    /// Promise: input-limits
    #[test]
    fn spellings_are_found_among_many_keys() {
        let mut object: Map<String, Value> =
            (0..50_000).map(|n| (format!("k{n}"), json!({}))).collect();
        for (key, value) in
            [("ipam", json!({"a": 1})), ("IPAM", json!({"b": 2})), ("IpAm", json!({"c": 3}))]
        {
            object.insert(key.to_owned(), value);
        }
        let start = std::time::Instant::now();
        merge_spellings(&mut object);
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
        assert_eq!(field(&object, "ipam"), Some(&json!({"a": 1, "b": 2, "c": 3})));
        assert_eq!(object.len(), 50_001);
    }
}
