//! A pod's networks: which ones it asks for, in which order they are attached, and what is written
//! down so that they can be taken away again.
//!
//! - **Asking**: [`parse_networks`] reads the pod's annotation; [`Chain::resolve`] looks up the NADs
//!   and gives the attachments in order. Both are pure: a chain is data, to be planned or run.
//! - **Running**: [`Attacher::add`] calls the plugins, and undoes all in reverse when one fails.
//!   [`Attacher::delete`] needs nothing but the records.
//! - **Looking after**: [`Attacher::check`] compares what is with what was made;
//!   [`Attacher::end_orphan`] undoes what outlived its namespace; [`Attacher::unready`] tells why
//!   nothing could be made.
//! - **Telling**: [`NetworkStatus`] is the pod's network-status annotation.
//!
//! Where NADs come from ([`Source`]) and who picks a device ([`Devices`]) is for the caller to say.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod add;
mod attacher;
mod chain;
mod check;
mod default_network;
mod default_route;
mod del;
mod delegated;
mod element;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod json;
mod nad;
mod networks;
mod ports;
mod readiness;
mod status;
#[cfg(test)]
mod testing;
mod traits;

pub use add::Added;
pub use attacher::{Attacher, Sandbox};
pub use chain::{Attachment, Chain, DeviceRequest};
pub use check::Checked;
pub use default_network::{DefaultNetwork, default_network};
pub use error::{AttachmentId, ConfigError, ElementError, Error, NetworksError, TakenBy};
pub use networks::{Bandwidth, PortMapping, Protocol, Selection, parse_networks};
pub use status::{DeviceInfo, NetworkStatus, StatusDns, annotation, statuses_of};
pub use traits::{Device, Devices, Source};
