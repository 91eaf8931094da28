//! The IPAM plugin `host-local`: addresses from configured ranges, leases as files on this host.
//!
//! Its files are the reference plugin's (`plugins/ipam/host-local` of containernetworking), so that
//! a node's plugin can be exchanged in both directions while containers live: a directory for each
//! network, in it a file for each lease, named after the address, holding container ID and
//! interface name; the address given last of each range set; and a lock.
//!
//! A lease is found by its address, which is its file's name; the next free address by trying the
//! range's addresses in order. Which addresses an attachment has stands inside of the files alone:
//! ADD, and a DEL whose `prevResult` does not tell, read them all.

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
