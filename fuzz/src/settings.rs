//! The administrator's file, and lines of the log made of any text.

use std::path::Path;

use podbond_state::settings::Settings;

/// Reads the administrator's file, and writes log lines of the text.
///
/// # Panics
/// When a log line is more than one line.
pub(crate) fn read(text: &str) {
    let settings = Settings::of(Path::new("config.toml"), text.to_owned());
    podbond_bond::fuzzing::rules(&settings);
    podbond_log::fuzzing::config(&settings);
    podbond_log::fuzzing::line(text);
}
