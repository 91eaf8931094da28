//! The bond plugin: links of a pod become the ports of one bond.
//!
//! Four stages, each in its own file: [`Config`] is what was asked for (pure), [`plan`] turns it and
//! what the kernel shows into steps (pure), [`Bond`] applies them in one transaction, and CHECK
//! compares the same wish with what is. Before links of the node are planned with, the
//! administrator's rules say which of them a bond may take ([`Bond::guard`]).

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod apart;
mod away;
mod beneath;
mod check;
mod compare;
mod config;
mod digest;
mod error;
mod findings;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gc;
mod glob;
mod guard;
mod home;
mod host_links;
mod left;
mod macs;
mod made;
mod plan;
mod plugin;
mod prepare;
mod readiness;
mod record;
mod removal;
mod rules;

pub use compare::compare;
pub use config::{Config, KEYS, Key, LinksAre};
pub use error::{Clash, Error};
pub use findings::{
    Finding, Kind, LacpBond, Object, OtherBond, Reason, Refused, Requirement, Severity,
    Surroundings, TABLE, bond_findings, findings,
};
pub use guard::Refusal;
pub use left::LeftBehind;
pub use plan::{Plan, plan};
pub use plugin::Bond;
