//! The bond plugin: links of a pod become the ports of one bond.
//!
//! By the life of an attachment: [`Config`] is what was asked for (pure), [`plan`] turns it and
//! what the kernel shows into steps (pure), ADD applies them in one transaction, CHECK compares the
//! same configuration with what is, and DEL plans the way back from the attachment's record. Before
//! links of the node are planned with, the administrator's rules decide which of them a bond may
//! take ([`refuse_host_links`]).

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod add;
mod check;
mod config;
mod del;
mod digest;
mod error;
mod finding;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod inspect;
mod plugin;
mod pod_bond;
mod pod_links;
mod port_identity;
mod port_macs;
mod record;
mod status;

pub use add::host_link_policy::{
    Functions, HostLinksTaken, VfOwner, host_link_findings, refuse_host_links,
};
pub use add::plan::{Plan, plan};
pub use config::{Config, KEYS, Key, LinksAre, UntrustedPorts};
pub use error::{AllowLine, Clash, Error, Refusal};
pub use finding::{Finding, Kind, Object, Refused, Requirement, Severity, TABLE, kind};
pub use inspect::{OtherBond, Surroundings, bond_findings};
pub use plugin::{Bond, surroundings};
pub use pod_bond::{PodBond, RecordedBond, recorded_bonds};
pub use pod_links::with_own_link_names;
