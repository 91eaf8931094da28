//! The Kubernetes objects that podbond works with, as plain data: reading them from manifests,
//! and rendering the [`Nad`] of a [`SriovNetwork`].
//!
//! Pure: text in, data out. What [`read_manifests`] returns is valid, field by field and in the
//! combination of its fields; whether a card or a NAD of that name exists is for others to see.
//!
//! Fields that podbond does not read are accepted whatever they hold, since real manifests carry
//! many. A field that it does read is refused when a cluster would refuse it too, and the error
//! names object, field and what to write instead.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod error;
mod fields;
mod json_text;
mod manifest;
mod nad;
mod network;
mod pod;
mod policy;
mod render;
mod selector;
mod write;

pub use error::{Error, FieldError, Reason};
pub use fields::{Fields, excerpt};
pub use manifest::{Object, read_manifests};
pub use nad::{Nad, RESOURCE_NAME_ANNOTATION};
pub use network::{LinkState, LogLevel, SriovNetwork, Switch, Vlan, VlanProto};
pub use pod::{DEFAULT_NETWORK_ANNOTATION, NETWORKS_ANNOTATION, Pod};
pub use podbond_names::{Namespace, ObjectKey, ObjectName, ResourceName};
pub use policy::{DeviceType, LinkType, Management, SriovNetworkNodePolicy};
pub use render::{RESOURCE_PREFIX, render};
pub use selector::{NicSelector, PciId, PfSelector, VfRange};
