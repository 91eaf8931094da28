//! What an IPAM result means for a link, for the plugins that make one: the steps that give the
//! link its addresses and routes, the result to answer with, and the order in which link and lease
//! are made and given back; and what an IPAM plugin owes that could not take a lease back.
//!
//! It is the one place where the protocol and the kernel meet; neither knows the other.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod answer;
mod attach;
mod debts;
mod error;
mod found;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod lease;
mod meaning;
mod readiness;
mod settle;
#[cfg(test)]
mod testing;

pub use answer::result;
pub use attach::{Addresses, NotAttached, attach, lease_needs_link};
pub use debts::{Debt, DebtError, Debts};
pub use error::failure;
pub use found::Found;
pub use lease::{Ipam, Lease, collect};
pub use readiness::readiness;
pub use settle::{announce, dad};
