//! The IPAM plugin `host-local`: addresses from configured ranges, leases as files on this host.
//!
//! Its files are the reference plugin's (`plugins/ipam/host-local` of containernetworking), so that
//! a node's plugin can be exchanged in both directions while containers live: a directory for each
//! network, in it a file for each lease, named after the address, holding container ID and
//! interface name; the address given last of each range set; and a lock.
//!
//! What address is next is decided in `plan`, from data. `store` is the one place that touches
//! files. It reads every lease of a network for each command, as the format forces it to: a lease
//! is found by its address in the file name, but by its container only inside of the file. An index
//! by container would be a matter of `store` alone.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod config;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod lease;
mod left;
mod plan;
mod plugin;
#[cfg(test)]
mod properties;
mod range;
mod resolv;
mod store;

pub use left::{LeftBehind, give_back, left_behind};
pub use plugin::HostLocal;
