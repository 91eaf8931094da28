//! Attaching a pod to its networks: from the networks annotation and each NetworkAttachmentDefinition (NAD)
//! to calls of CNI plugins in order, undone in reverse, and to the network-status annotation.
//!
//! - **What**: [`parse_networks`] reads the annotation; [`Chain::resolve`] looks up the NADs and returns
//!   the attachments in order. Both are pure: a chain is data, to be planned or run.
//! - **ADD, DEL**: [`Attacher::add`] calls the plugins, and undoes all in reverse when one fails.
//!   [`Attacher::delete`] needs nothing but the records.
//! - **CHECK, GC, STATUS**: [`Attacher::check`], [`Attacher::gc`], [`Attacher::unready`].
//! - **Status**: [`NetworkStatus`] is an entry of the pod's network-status annotation.
//!
//! The caller provides the NADs ([`Source`]) and chooses devices ([`Devices`]).

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod add;
mod attacher;
mod chain;
mod check;
mod cni_args;
mod default_route;
mod del;
mod device_info;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gc;
mod network_status;
mod passed_over;
mod selections;
mod status;
#[cfg(test)]
mod testing;
mod traits;

pub use add::Added;
pub use attacher::{Attacher, Sandbox};
pub use chain::{
    Attachment, Chain, DefaultNetwork, DeviceRequest, Place, Undeclared, configuration_on_disk,
    default_network,
};
pub use check::Checked;
pub use device_info::DeviceInfoFiles;
pub use error::{AttachmentId, ConfigError, ElementError, Error, NetworksError, TakenBy};
pub use network_status::{DeviceInfo, NetworkStatus, annotation, statuses_of};
pub use passed_over::{PassedOver, unread_annotations};
pub use selections::{DefaultRoute, Selection, parse_networks};
pub use traits::{Device, Devices, Source};
