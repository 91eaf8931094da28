//! The IPAM plugin `host-local`: addresses from configured ranges, leases as files on this host.
//!
//! Its files are the reference plugin's (`plugins/ipam/host-local` of containernetworking), so that
//! a node's plugin can be replaced in both directions while containers run: a directory for each
//! network, in it a file for each lease, named after the address, with container ID and interface
//! name; the address leased last of each range set; and a lock.
//!
//! The lease of an address is its file; the next free address is the first one in the range's order
//! without a file. Which addresses an attachment has is inside the files alone: ADD, and a DEL without
//! them in `prevResult`, read them all.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod add;
mod check;
mod config;
mod del;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gc;
mod holder;
mod lease;
mod orphans;
mod plugin;
#[cfg(test)]
mod properties;
mod range;
mod resolv_conf;
mod status;
#[cfg(test)]
mod testing;

pub use holder::Holder;
pub use lease::{Lease, leases};
pub use orphans::{Orphan, orphans};
pub use plugin::HostLocal;
