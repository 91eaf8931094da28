//! What the caller provides: where NADs are looked up, and free devices of a resource.

use podbond_api::{Nad, ObjectKey, ObjectName, ResourceName};
use podbond_cni::Failure;
use podbond_names::PciAddress;
use podbond_state::Lock;

/// Where NADs are looked up: in manifest files, or in a cluster.
pub trait Source {
    /// Returns the NAD of this key; none where there is no such NAD.
    fn nad(&self, key: &ObjectKey) -> Result<Option<Nad>, Failure>;

    /// Returns the text of the node's CNI configuration of this name, for a NAD without one.
    fn configuration(&self, _: &ObjectName) -> Result<Option<String>, Failure> {
        Ok(None)
    }
}

/// What chooses the device of an attachment. That a device is held is in the attachment's record.
pub trait Devices {
    /// Returns a free device of a resource.
    fn choose(&self, resource: &ResourceName) -> Result<Device, Failure>;

    /// Returns the device that a configuration names, whether or not it is in a pool, if it is free.
    fn choose_this(&self, device: PciAddress) -> Result<Device, Failure>;
}

/// A chosen device. Its lock keeps other processes from choosing one until the attachment's record names
/// the device.
#[derive(Debug)]
pub struct Device {
    /// Its address.
    pub address: PciAddress,
    /// The lock under which it was chosen.
    pub lock: Option<Lock>,
}
