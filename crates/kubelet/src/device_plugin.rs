//! What a device plugin knows and decides: its devices and their health, which a container had better get,
//! and what it needs for them. Without gRPC.

use std::collections::BTreeMap;

use tokio::sync::watch;

/// A device plugin: the devices of one resource.
pub trait DevicePlugin: Send + Sync + 'static {
    /// Returns the devices and each later state of them, all at once. To be given no more containers, send
    /// an empty list.
    fn devices(&self) -> watch::Receiver<Vec<Device>>;

    /// Returns what a container needs for the devices that it gets.
    ///
    /// # Errors
    /// The kubelet refuses the pod for good.
    fn allocate(&self, ids: &[String]) -> Result<Allocation, AllocateError>;

    /// Returns which of the available devices a container had better get. The kubelet asks it of each
    /// container and resource, where there are more than it needs; none leaves the choice to the kubelet.
    fn preferred(&self, preference: &Preference) -> Vec<String> {
        let _ = preference;
        Vec::new()
    }
}

/// A device of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its ID, at most 63 characters: for a VF its PCI address.
    pub id: String,
    /// Whether a container may get it.
    pub health: Health,
    /// The NUMA node that it is near, where that is to count.
    pub numa_node: Option<u32>,
}

/// Whether a device may be given to a container. One that a running container has is not taken from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It may.
    Healthy,
    /// It may not.
    Unhealthy,
}

/// What a container gets beside a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allocation {
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// Files and folders of the host.
    pub mounts: Vec<Mount>,
    /// Device nodes of the host.
    pub device_nodes: Vec<DeviceNode>,
    /// Annotations that the container runtime is given.
    pub annotations: BTreeMap<String, String>,
}

/// A file or folder of the host in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its path in the container.
    pub container_path: String,
    /// Its path on the host.
    pub host_path: String,
    /// Whether the container may only read it.
    pub read_only: bool,
}

/// A device node of the host in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceNode {
    /// Its path in the container.
    pub container_path: String,
    /// Its path on the host.
    pub host_path: String,
    /// What the container may do, of `r`, `w` and `m` (mknod).
    pub permissions: String,
}

/// What a container is to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preference {
    /// The devices that are free, and those that it must get.
    pub available: Vec<String>,
    /// Those that it must get.
    pub required: Vec<String>,
    /// How many it gets in all.
    pub count: usize,
}

/// Why a container cannot have a device.
#[derive(Debug, thiserror::Error)]
pub enum AllocateError {
    /// The kubelet names a device that there is none of.
    #[error("there is no device {id}: it went after the kubelet was told of it")]
    UnknownDevice {
        /// What the kubelet named.
        id: String,
    },
    /// A device cannot be made ready.
    #[error("device {id} cannot be made ready: {source}")]
    NotReady {
        /// The device.
        id: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
