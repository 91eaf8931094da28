//! A pod's chain: its attachments in order, from its annotation, from a meta-plugin's configuration and
//! from the default network.

mod attachment;
mod default_network;
mod delegated;
mod multus;
mod nad;
mod on_disk;
mod ports;
mod resolve;
mod rules;
mod undeclared;

pub use attachment::{Attachment, Chain, DeviceRequest, Place};
pub use default_network::{NodeNetwork, default_network, network_at};
pub use multus::AttachedByMultus;
#[cfg(feature = "fuzzing")]
pub(crate) use nad::Network;
pub(crate) use nad::{GcCalls, set_runtime_config};
pub use on_disk::{configuration_on_disk, network_named};
pub(crate) use ports::links_in_pod;
pub use rules::{Asked, ConfiguredNetwork, Isolation, MULTUS_NAMESPACE, Rules};
pub use undeclared::Undeclared;

#[cfg(test)]
mod tests;
