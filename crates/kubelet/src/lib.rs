//! The kubelet's interfaces, gRPC on unix sockets: which devices a pod has been given (PodResources), and
//! offering devices to pods (device plugin).
//!
//! - [`PodResources`] asks the kubelet for the devices of one pod, [`PodDevices`].
//! - [`DevicePlugin`] is what a device plugin knows and decides; [`offer`] serves it to the kubelet and
//!   registers it, again after each restart of the kubelet.
//! - [`proto`] has the messages and services themselves: a test plays the kubelet with them.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod device_plugin;
mod error;
mod offer;
mod pace;
mod pod_devices;
mod pod_resources;
pub mod proto;
mod serve;

pub use device_plugin::{
    AllocateError, Allocation, Device, DeviceNode, DevicePlugin, Health, Mount, Preference,
};
pub use error::Error;
pub use offer::{PluginSocket, offer, register};
pub use pod_devices::{ClaimDevice, PodDevices};
pub use pod_resources::PodResources;

/// The folder of the kubelet's own files, where nothing else is configured.
pub const KUBELET_DIR: &str = "/var/lib/kubelet";
