//! Where things are in this repository.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The instruction counts that the repository keeps, relative to its root.
pub(crate) const INSTRUCTION_COUNTS: &str = "crates/bench/instructions.txt";

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// cargo's target directory, as cargo would choose it.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR").map(PathBuf::from) {
        Some(dir) if dir.is_absolute() => dir,
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}
