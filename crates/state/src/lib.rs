//! Files that podbond keeps between two calls: atomic writes, reads with a size limit, locks with a
//! timeout that name their holder, and the administrator's configuration file.
//!
//! A process may be killed at any point: a reader finds the old file or the new one. What a plugin writes
//! is not synced to the disk: a machine that loses power loses the kernel's links too, and a file that is
//! cut short by it is treated as missing. What a person's command writes is: [`write_synced`].

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod age;
mod dir;
mod error;
mod file;
mod lock;
mod regular;
pub mod settings;

/// The directory of what outlives a restart of the node, each crate in a directory of its own.
pub const DIR: &str = "/var/lib/podbond";

pub use age::abandoned;
pub use error::Error;
pub use file::{
    MAX_SIZE, create, names, read, read_following_links, remove, unfinished, unfinished_of,
    writable, write, write_synced,
};
pub use lock::Lock;
pub use regular::{Access, open_regular};
