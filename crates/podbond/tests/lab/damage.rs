//! What may befall a state file.

use std::fs::{self, File};
use std::path::Path;

use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// As after a loss of power.
    Empty,
    Torn,
    Garbage,
    /// Somebody's core dump.
    Huge,
    Removed,
    /// Written by a later podbond, in a form of its own.
    Newer,
}

impl Damage {
    pub(crate) const ALL: [Self; 6] =
        [Self::Empty, Self::Torn, Self::Garbage, Self::Huge, Self::Removed, Self::Newer];

    pub(crate) fn befall(self, path: &Path) {
        let text = fs::read(path).unwrap();
        match self {
            Self::Empty => fs::write(path, "").unwrap(),
            Self::Torn => fs::write(path, &text[..text.len() / 2]).unwrap(),
            Self::Garbage => fs::write(path, b"\0\xff{]\0").unwrap(),
            Self::Huge => File::create(path).unwrap().set_len(2 << 20).unwrap(),
            Self::Removed => fs::remove_file(path).unwrap(),
            Self::Newer => newer(path, &text),
        }
    }
}

/// All versions raised; what has none, as a namespace's path, is another one's.
fn newer(path: &Path, text: &[u8]) {
    if serde_json::from_slice::<Value>(text).is_err() {
        return fs::write(path, "/run/netns/of-a-later-podbond").unwrap();
    }
    fs::write(path, serde_json::json!({"version": 2, "all": "elsewhere"}).to_string()).unwrap();
}
