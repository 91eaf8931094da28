//! The bond plugin: links of a pod become the ports of one bond.
//!
//! Four stages, each in its own file: [`Config`] is what was asked for (pure), [`plan`] turns it and
//! what the kernel shows into steps (pure), [`Bond`] applies them in one transaction, and CHECK
//! compares the same wish with what is.

mod check;
mod config;
mod error;
mod plan;
mod plugin;
mod record;

pub use config::{Config, KEYS, Key, LinksAre};
pub use error::Error;
pub use plan::{Plan, Warning, plan};
pub use plugin::Bond;
