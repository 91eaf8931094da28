//! Finds out what of a bond is legal and will not do what it is meant to do: a bond that carries no
//! traffic, or that will not survive the loss that it is there to survive. A user learns it before
//! that day.
//!
//! [`findings`] is pure: what was asked for, what the kernel shows, and what stands around it, in;
//! findings out; [`bond_findings`] is the same for a bond that is there. `podbond plan` and the log
//! of an ADD report those of a bond about to be made, `podbond status` and `podbond doctor` those
//! of bonds that stand. Keys of the configuration turn some of them into refusals
//! ([`Requirement`](crate::Requirement)).

mod lacp;
mod live;
mod observe;
mod rules;

pub use live::bond_findings;
pub(crate) use observe::observe_surroundings;
pub(crate) use rules::findings;
pub use rules::{OtherBond, Surroundings};
