//! The pages that are made from code.

use std::{fs, path::Path};

use super::Finding;
use crate::docs;

/// Finds pages that are not what `cargo xtask docs` writes.
pub(super) fn check(root: &Path) -> Vec<Finding> {
    let stale = docs::pages()
        .into_iter()
        .filter(|(path, made)| fs::read_to_string(root.join(path)).unwrap_or_default() != *made);
    stale
        .map(|(path, _)| Finding::new(path, "is not what the code gives: run `cargo xtask docs`"))
        .collect()
}
