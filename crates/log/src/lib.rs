//! The log of a node: one line for each operation of a plugin, for people and for machines.
//!
//! Where it goes is the administrator's to say, in `[log]` of `/etc/podbond/config.toml`
//! (`docs/log.md`). Nothing that goes wrong with it is an operation's failure.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod config;
mod file;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod level;
mod line;
mod log;
mod time;

pub use log::{Caller, Log};
