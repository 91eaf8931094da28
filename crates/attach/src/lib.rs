//! A pod's networks: which ones it asks for, in which order they are attached, and what is written
//! down so that they can be taken away again.
//!
//! - **Asking**: [`parse_networks`] reads the pod's annotation; [`Chain::resolve`] looks up the NADs
//!   and gives the attachments in order. Both are pure: a chain is data, to be planned or run.
//! - **Running**: [`Attacher::add`] calls the plugins, and undoes all in reverse when one fails.
//!   [`Attacher::delete`] needs nothing but the [`Record`]s.
//! - **Looking after**: [`Attacher::check`] compares what is with what was made;
//!   [`Attacher::take_away`] removes what outlived its namespace; [`Attacher::unready`] tells why
//!   nothing could be made.
//! - **Telling**: [`NetworkStatus`] is the pod's network-status annotation.
//!
//! Where NADs come from ([`Source`]) and who picks a device ([`Devices`]) is for the caller to say.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod chain;
mod default_network;
mod default_route;
mod delegated;
mod element;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod json;
mod nad;
mod netns;
mod networks;
mod ports;
mod readiness;
mod record;
mod run;
mod status;
mod sweep;
#[cfg(test)]
mod testing;
mod traits;

pub use chain::{Attachment, Chain, DeviceRequest};
pub use default_network::{DefaultNetwork, default_network};
pub use error::{AttachmentId, ConfigError, ElementError, Error, NetworksError, TakenBy};
pub use netns::NetnsRef;
pub use networks::{Bandwidth, PortMapping, Protocol, Selection, parse_networks};
pub use record::{Record, Records};
pub use run::{Added, Attacher, Sandbox};
pub use status::{DeviceInfo, NetworkStatus, StatusDns, annotation};
pub use sweep::{Attachments, Checked};
pub use traits::{Devices, Holder, Source};
