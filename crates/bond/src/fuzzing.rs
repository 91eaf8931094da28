//! What an administrator may have written.

use podbond_state::settings::Settings;

use crate::add::host_link_policy::Rules;

/// Reads what the administrator's file says of the node's links.
pub fn rules(settings: &Settings) {
    if let Err(error) = Rules::of(settings) {
        let _ = error.to_string();
    }
}
