//! Records that neither ADD nor the incumbent wrote: whatever they hold, DEL reads them or takes
//! them for none.

use crate::state::Record;

/// Reads a record.
///
/// # Panics
/// When a record that can be read is not the same once it is written again.
pub fn record(bytes: &[u8]) {
    let Some(record) = Record::read(bytes) else { return };
    let _ = (record.network(), record.config());
    assert_eq!(Record::read(&record.to_json()), Some(record));
}
