//! The operation log: one logfmt line for each CNI operation, on standard error and in a file.
//!
//! Which file is said by `[log]` of the administrator's `/etc/podbond/config.toml`
//! (`docs/log.md`). A failure of the log is never a failure of an operation.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod config;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod line;
mod log;

pub use log::{Caller, Log};
