//! Output of the crash tests: rows that `cargo xtask crash` gathers, and how far it has come.

use std::fmt::Display;

/// Whether everything is asked for that takes long: `cargo xtask test --full`.
pub(crate) fn is_full() -> bool {
    std::env::var_os("PODBOND_TEST_FULL").is_some_and(|value| value == "1")
}

/// A row of the first table.
pub(crate) fn row(
    operation: &str,
    what: &str,
    adds: usize,
    dels: usize,
    tried: usize,
    leaks: usize,
) {
    println!("crash: {operation} | {what} | {adds} | {dels} | {tried} | {leaks}");
}

/// A row of the second table.
pub(crate) fn undo_row(operation: &str, by: &str, kind: &str, noticed: &str) {
    println!("undo: {operation} | {by} | {kind} | {noticed}");
}

/// How far it has come, on standard error.
pub(crate) fn progress(what: impl Display) {
    eprintln!("{what}");
}
