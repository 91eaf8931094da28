//! Fuzz targets: functions that give bytes to what reads configurations, manifests, records and netlink.
//!
//! `cargo xtask fuzz` runs libFuzzer on them (`main.rs`); the test here gives each the inputs of its corpus.

mod config;
mod manifests;
mod networks;
mod records;
mod result;
mod settings;

/// A fuzz target: panics on an input that shows a fault.
pub type Target = fn(&[u8]);

/// The fuzz targets by name; each has a directory `fuzz/corpus/NAME`.
pub const TARGETS: [(&str, Target); 7] = [
    ("config", config::read),
    ("manifests", |bytes| manifests::read(text(bytes))),
    ("netlink", podbond_kernel::fuzzing::answer),
    ("networks", |bytes| networks::read(text(bytes))),
    ("records", records::read),
    ("result", result::read),
    ("settings", |bytes| settings::read(text(bytes))),
];

/// Returns the target with this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|(found, _)| *found == name).map(|(_, target)| target)
}

/// Returns the bytes up to the first that is not UTF-8.
fn text(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn every_input_of_the_corpus_is_read() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        for (name, target) in TARGETS {
            let mut count = 0;
            for entry in fs::read_dir(corpus.join(name)).unwrap() {
                let path = entry.unwrap().path();
                // Shown with the panic of a target that does not bear its input.
                println!("{}", path.display());
                target(&fs::read(&path).unwrap());
                count += 1;
            }
            assert!(count > 0, "{name} has no corpus");
        }
    }
}
