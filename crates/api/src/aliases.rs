//! A short text whose aliases stand for each other can mean more than fits any memory.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Values that any text may hold, however short: about 100 MB of memory.
const LEAST: usize = 1 << 20;

/// Whether the documents of a text hold more values than it has characters, aliases followed, and
/// more than a million. That takes aliases: without them each value has a character of its own.
pub(crate) fn explode(text: &str) -> bool {
    text.contains('*') && holds_more(text, text.len().max(LEAST))
}

fn holds_more(text: &str, most: usize) -> bool {
    let left = Cell::new(most);
    for document in yaml_serde::Deserializer::from_str(text) {
        // What is wrong with the text in any other way is found when it is read.
        let read = Counter(&left).deserialize(document);
        if read.is_err() {
            break;
        }
    }
    left.get() == 0
}

/// Counts values down, and keeps none.
#[derive(Clone, Copy)]
struct Counter<'c>(&'c Cell<usize>);

impl Counter<'_> {
    fn one<E: Error>(self) -> Result<(), E> {
        self.0.set(self.0.get().saturating_sub(1));
        if self.0.get() == 0 { Err(E::custom("too many values")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Counter<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counter<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.one()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.one()
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<(), E> {
        self.one()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.one()
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<(), E> {
        self.one()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.one()
    }

    /// A long text that is repeated takes as much as many short ones.
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.set(self.0.get().saturating_sub(text.len() / 2));
        self.one()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.one()
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.one()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        self.one()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while entries.next_entry_seed(self, self)?.is_some() {}
        self.one()
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        let (Tag, value) = tagged.variant()?;
        value.newtype_variant_seed(self)
    }
}

/// A tag, whatever it is.
struct Tag;

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|_| Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_that_repeat_little_are_let_be() {
        let text = "a: &a {x: 1, y: [2, 3]}\nb: *a\nc: !tag [*a, 1.5, true, null]\n---\nd: 5\n";
        assert!(!holds_more(text, 100));
        assert!(holds_more(text, 20));
        assert!(!explode("a: *nothing"));
    }

    #[test]
    fn what_is_repeated_counts_each_time() {
        let list = format!("a: &a [{}]\nb: [{}]\n", "x, ".repeat(200), "*a, ".repeat(200));
        assert!(holds_more(&list, 39_000) && !holds_more(&list, 42_000));
        let text = format!("a: &a '{}'\nb: [{}]\n", "x".repeat(400), "*a, ".repeat(200));
        assert!(holds_more(&text, 40_000) && !holds_more(&text, 42_000));
    }
}
