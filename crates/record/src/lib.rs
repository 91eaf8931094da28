//! The record of an attachment: one versioned file for each container ID and interface.
//!
//! It holds what DEL, GC and the commands for people need: the pod, its network namespace, the devices, the
//! ADD's configuration, the links before, and a lease that an IPAM plugin has not taken back. Who holds a
//! VF, what is orphaned and which leases are pending are queries over these files.
//!
//! A record with an IPAM plugin outlives the kernel, as a lease does: it lies in
//! `/var/lib/podbond/attachments`. One without lies in `/run/podbond/attachments`.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod add;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod holder;
mod record;
mod records;
mod result;
mod vf_locks;

pub use add::Begun;
pub use error::Error;
pub use holder::Holder;
pub use record::{Add, ChainPart, LinkPart, Record, State};
pub use records::{Records, Stored, Unreadable, if_possible};
pub use vf_locks::VfLocks;
