//! Debts that no DEL has noted: whatever they hold, they are read or left out.

use crate::debts::{Content, parse, to_bytes};

/// Reads a debt.
///
/// # Panics
/// When one that can be read is not the same once it is written again.
pub fn debt(bytes: &[u8]) {
    let Content::Whole(debt) = parse(bytes) else { return };
    let _ = debt.ipam();
    let again = to_bytes(&debt).ok().map(|bytes| parse(&bytes));
    assert_eq!(again, Some(Content::Whole(debt)));
}
