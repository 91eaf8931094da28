//! How deep JSON from outside may nest: configurations, results, files of devices.

use serde_json::Value;

/// How deep a configuration may nest, in levels. Records and lists of plugins hold it some levels
/// deeper, and `serde_json` reads no more than 128: what was taken can be read again everywhere.
pub(crate) const MAX_DEPTH: usize = 64;

/// Returns true if a value nests deeper than a configuration may: what holds it some levels deeper, as a
/// record, might not be read again.
pub fn nests_too_deep(value: &Value) -> bool {
    nests_deeper(value, MAX_DEPTH)
}

/// Returns true if lists and objects are in each other on more than this many levels.
pub(crate) fn nests_deeper(value: &Value, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else { return value.is_array() || value.is_object() };
    match value {
        Value::Array(items) => items.iter().any(|inner| nests_deeper(inner, below)),
        Value::Object(map) => map.values().any(|inner| nests_deeper(inner, below)),
        _ => false,
    }
}
