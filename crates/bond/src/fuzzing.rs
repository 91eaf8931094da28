//! Records that ADD did not write: whatever they hold, DEL reads them or takes them for none.

use crate::record::{Content, parse, to_bytes};

/// Reads a record.
///
/// # Panics
/// When a record that can be read is not the same once it is written again.
pub fn record(bytes: &[u8]) {
    let Content::Whole(made) = parse(bytes) else { return };
    let again = to_bytes(&made).map(|bytes| parse(&bytes));
    assert_eq!(again.ok(), Some(Content::Whole(made)));
}
