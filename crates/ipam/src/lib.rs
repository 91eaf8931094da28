//! What an IPAM result means for a link, for the plugins that make one: the steps that give the
//! link its addresses and routes, the result to answer with, and the order in which link and lease
//! are made and given back.
//!
//! It is the one place where the protocol and the kernel meet; neither knows the other.

mod attach;
mod error;
mod meaning;

pub use attach::{Addresses, attach};
pub use error::failure;
pub use meaning::{Found, announce, result, steps};
