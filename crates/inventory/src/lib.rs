//! PFs and VFs as sysfs shows them, the resource that each VF belongs to by policy, and who holds it.
//!
//! - **Observe**: [`Inventory::read`] returns the cards of sysfs, as data.
//! - **Pools**: [`assign`] returns which PF gets how many VFs, and which VF belongs to which resource;
//!   `Assignment::plan` the steps to that.
//! - **Policies**: [`Policies`] stores the policies of the node, creates their VFs, and restores each PF
//!   when a policy is deleted, never while a pod holds a VF.
//! - **Holders**: [`Holdings`] finds a free VF by the records of attachments.
//!
//! A VF is identified by its PCI address, or by its PF and index. Its link is renamed by udev and by plugins,
//! and does not show on the host while a pod has it.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod assign;
mod cards;
mod error;
mod files;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod holder;
mod holdings;
mod pf_record;
mod plan;
mod policies;
mod policy_files;

pub use assign::{Assignment, Overridden, PfAssignment, VfGroup, assign};
pub use cards::{Cards, Inventory, NetLink, Pf, Vf};
pub use error::Error;
pub use holder::{Holders, Occupant, Owner};
pub use holdings::Holdings;
pub use policies::{Applied, Deleted, Policies};
