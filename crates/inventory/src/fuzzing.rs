//! Fuzz target: PF records that podbond has not written are read or refused.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::files::{parse, to_bytes};
use crate::pf_record::PfRecord;

/// Reads a record as that of a PF.
///
/// # Panics
/// When a record that can be read is not the same once it is written again.
pub fn record(text: &str) {
    again::<PfRecord>(text);
}

fn again<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(text: &str) {
    let Ok(record) = parse::<T>(text) else { return };
    let bytes = to_bytes(&record);
    assert_eq!(parse(&String::from_utf8_lossy(&bytes)), Ok(record));
}
