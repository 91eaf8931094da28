//! Fuzz target: PF records that podbond has not written are read or refused.

use crate::pf_record::PfRecord;

/// Reads a record as that of a PF.
///
/// # Panics
/// When a record that can be read is not the same once it is written again.
pub fn record(text: &str) {
    let Ok(record) = PfRecord::parse(text) else { return };
    let bytes = record.to_bytes();
    assert_eq!(PfRecord::parse(&String::from_utf8_lossy(&bytes)), Ok(record));
}
