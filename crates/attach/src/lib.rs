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
//! The caller provides the NADs ([`Source`]) and chooses devices ([`Devices`]). In a cluster both are in the answer
//! of the node's agent: [`AnsweredNads`], and [`assign_devices`] before ADD.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod add;
mod answered;
mod assigned_devices;
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
pub use answered::{AnsweredNads, answered_nad, answered_pod};
pub use assigned_devices::{SharedPf, assign_devices};
pub use attacher::{Attacher, Sandbox};
pub use chain::{
    Asked, AttachedByMultus, Attachment, Chain, ConfiguredNetwork, DeviceRequest, Isolation,
    MULTUS_NAMESPACE, NodeNetwork, Place, Rules, Undeclared, configuration_on_disk,
    default_network, network_at, network_named,
};
pub use check::Checked;
pub use device_info::DeviceInfoFiles;
pub use error::{
    AttachmentId, ConfigError, ElementError, Error, MissingDevice, NetworksError, NoDevice, TakenBy,
};
pub use network_status::{DeviceInfo, NetworkStatus, annotation, statuses_of};
pub use passed_over::{PassedOver, unread_annotations};
pub use selections::{DefaultRoute, Selection, parse_networks};
pub use traits::{Device, Devices, Source};
