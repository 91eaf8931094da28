//! The CNI protocol, pure but for the exec of a foreign plugin: configuration, requests, results
//! in every version of the specification, errors, and delegation.
//!
//! A plugin implements [`Plugin`]; [`serve()`] turns a process's environment and standard input into
//! a [`Request`], calls the plugin, and writes the answer. A plugin that calls another one goes
//! through [`Delegates`], which knows whether that other one is ourselves.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod call;
mod config;
mod delegate;
mod error;
mod exec;
mod go_json;
mod journal;
mod json_fields;
mod mac;
mod nesting;
mod pod;
mod request;
mod result;
mod serve;
mod shown;
mod version;

pub use config::{NetConf, RuntimeConfig};
pub use delegate::{Delegates, FailedAdd, Lookup, META_PLUGINS, Plugin};
pub use error::{Code, Failure};
pub use go_json::{field, is_key, set_field};
pub use journal::{Journal, Operation, Subject};
pub use mac::{MacError, MacSource};
pub use nesting::nests_too_deep;
pub use pod::PodRef;
pub use request::{Args, Attachment, Command, ContainerId, NodeRequest, Request};
pub use result::{CniResult, Dns, Interface, IpConfig, Route, Unknown};
pub use serve::serve;
pub use shown::{MAX_LINE, json_text, print_error_line};
pub use version::Version;
