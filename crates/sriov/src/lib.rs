//! The `sriov` CNI plugin: gives a pod a virtual function (VF) of an SR-IOV network card, set as its
//! configuration asks, and puts it back on the node as it was before.
//!
//! - [`Config`]: what is asked for, checked without a look at the kernel.
//! - ADD: [`observe()`] → [`plan`] (pure: the steps from what is to what is wanted) → applied in one
//!   transaction. Before that it finishes the VF that it is given, where its last holder is gone
//!   without a DEL.
//! - DEL: the record → the steps back to what was before ADD (pure), applied until none is left to do;
//!   without a record, by sriov-cni's file, or by the configuration and what the kernel shows.
//! - CHECK: ADD's plan, which must be empty.
//!
//! Its configuration is sriov-cni's, and so are the files that sriov-cni reads: either can delete what
//! the other has added. What it remembers itself is in the attachment's record (`podbond-record`).

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod add;
mod check;
mod config;
mod del;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod igb;
mod observe;
mod orphans;
mod ownership;
mod plugin;
mod record;
mod sriov_cni;
mod status;
#[cfg(test)]
mod testing;
mod vf_settings;

pub use add::plan;
pub use config::Config;
pub use error::Error;
pub use observe::observe;
pub use orphans::ForeignOrphan;
pub use plugin::Sriov;
pub use sriov_cni::DIR;
