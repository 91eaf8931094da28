//! What podbond remembers between two calls: files that are written whole, and locks with a time
//! limit that name their holder.
//!
//! A process may be killed at any point: a reader finds the old file or the new one. Nothing is
//! synced to the disk: a machine that loses power loses the kernel's links with it, and what is
//! torn by then is tolerated by whoever reads it.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod error;
mod file;
mod holder;
mod lock;
mod look;

/// Where a node keeps what outlives a restart, each crate in a directory of its own.
pub const DIR: &str = "/var/lib/podbond";

pub use error::Error;
pub use file::{
    MAX_SIZE, create, is_unfinished, make_dir, names, read, remove, sweep, unfinished, write,
};
pub use lock::Lock;
pub use look::{abandoned, is_before_boot, writable};
