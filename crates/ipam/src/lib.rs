//! IPAM for plugins that create a link: calls of the IPAM plugin, addresses and routes of its result on the
//! link, the plugin's own result, duplicate address detection, and leases whose release failed.
//!
//! CNI results become steps of the kernel here alone; neither crate depends on the other.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod answer;
mod attach;
mod check;
mod configure;
mod dad;
mod error;
mod gc;
mod joined;
mod lease;
mod observed;
mod readiness;
#[cfg(test)]
mod testing;

pub use attach::{Addresses, attach};
pub use check::check;
pub use error::failure;
pub use gc::gc;
pub use joined::{ROUTE_JOINED, ROUTE_JOINED_REMEDY, joined_routes, joined_routes_of_lease};
pub use lease::{Ipam, NotAttached};
pub use observed::Observed;
pub use readiness::readiness;
