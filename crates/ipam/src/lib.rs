//! What an IPAM result means for a link, for the plugins that make one: the steps that give the
//! link its addresses and routes, the result to answer with, and the order in which link and lease
//! are made and given back.
//!
//! It is the one place where the protocol and the kernel meet; neither knows the other.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod answer;
mod attach;
mod configure;
mod dad;
mod error;
mod observed;
mod readiness;
mod release;
#[cfg(test)]
mod testing;

pub use answer::result;
pub use attach::{Addresses, NotAttached, attach, lease_needs_link};
pub use dad::{announce, dad};
pub use error::failure;
pub use observed::Observed;
pub use readiness::readiness;
pub use release::{Ipam, Released};
