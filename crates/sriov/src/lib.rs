//! The `sriov` plugin: it gives a pod a virtual function (VF) of an SR-IOV network card, set as its
//! configuration asks, and puts it back on the node as it was.
//!
//! Four stages: [`Config`] (what is asked for) → [`plan`] (pure: the steps from what is to what is
//! wanted) → apply (in the one transaction) → check (the same plan, which must be empty). DEL is a
//! plan too, from whatever the kernel shows back to what was recorded before ADD changed anything;
//! it is applied until nothing of it is left to do.
//!
//! Configuration and files on disk are those of the SR-IOV CNI plugin, so that either can delete
//! what the other has added.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod check;
mod config;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gc;
mod heir;
mod left;
mod observe;
mod plan;
mod plugin;
mod readiness;
mod release;
mod settings;
mod state;
mod store;
#[cfg(test)]
mod testing;

pub use config::Config;
pub use error::Error;
pub use left::LeftBehind;
pub use observe::observe;
pub use plan::plan;
pub use plugin::{DIR, Sriov};
