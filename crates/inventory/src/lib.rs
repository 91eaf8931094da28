//! PFs and VFs as sysfs shows them, the pool that each VF belongs to by policy, and who holds it.
//!
//! - **Seeing**: [`Inventory::read`] takes the cards from sysfs, as data.
//! - **Pools**: [`assign`] says which PF gets how many VFs, and which VF belongs to which
//!   resource. [`Assignment::plan`] turns that into steps; nothing left to do is an empty plan.
//! - **Making and taking back**: [`Policies`] keeps the policies of the node, makes their VFs and
//!   takes them back when a policy is deleted, never while a pod holds one.
//! - **Holding**: [`Holdings`] tells by the records of attachments which pod holds which VF.
//!
//! A VF is known by its PCI address and by its PF and index alone. Its link is renamed by udev and
//! by plugins, and is not seen from the host at all while a pod has it.

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
mod in_force;
mod plan;
mod policies;
mod record;

pub use assign::{Assignment, Overridden, PfAssignment, VfGroup, assign};
pub use cards::{Cards, Inventory, NetLink, Pf, Vf};
pub use error::Error;
pub use holder::{Holders, Occupant};
pub use holdings::Holdings;
pub use policies::{Applied, Deleted, Policies};
