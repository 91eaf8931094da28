//! A pod's chain: its attachments in order, from its annotation, from a meta-plugin's configuration and
//! from the default network.

mod attachment;
mod default_network;
mod delegated;
mod nad;
mod ports;
mod resolve;

pub use attachment::{Attachment, Chain, DeviceRequest};
pub use default_network::{DefaultNetwork, default_network};
#[cfg(feature = "fuzzing")]
pub(crate) use nad::Network;

#[cfg(test)]
mod tests;
