//! Records in sriov-cni's place: whatever they hold, they are read or treated as missing.

use crate::sriov_cni::SriovCniRecord;

/// Reads a record.
///
/// # Panics
/// When a record that can be read is not the same once it is written again.
pub fn record(bytes: &[u8]) {
    let Some(record) = SriovCniRecord::read(bytes) else { return };
    let _ = record.conf();
    assert_eq!(SriovCniRecord::read(&record.to_json()), Some(record));
}
