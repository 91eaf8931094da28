//! The administrator's file, and lines of the log made of any text.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use podbond_state::settings::Settings;

fuzz_target!(|text: &str| {
    let settings = Settings::of(Path::new("config.toml"), text.to_owned());
    podbond_bond::fuzzing::rules(&settings);
    podbond_log::fuzzing::config(&settings);
    podbond_log::fuzzing::line(text);
});
