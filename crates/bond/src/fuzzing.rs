//! Records that ADD did not write, which DEL reads or takes for none, and what an administrator may
//! have written.

use podbond_state::settings::Settings;

use crate::record::{Content, parse, to_bytes};
use crate::rules::Rules;

/// Reads a record.
///
/// # Panics
/// When a record that can be read is not the same once it is written again.
pub fn record(bytes: &[u8]) {
    let Content::Whole(made) = parse(bytes) else { return };
    let again = to_bytes(&made).map(|bytes| parse(&bytes));
    assert_eq!(again.ok(), Some(Content::Whole(made)));
}

/// Reads what the administrator's file says of the node's links.
pub fn rules(settings: &Settings) {
    if let Err(error) = Rules::of(settings) {
        let _ = error.to_string();
    }
}
