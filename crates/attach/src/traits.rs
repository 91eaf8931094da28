use podbond_api::{Nad, ObjectKey, ResourceName};
use podbond_cni::Failure;
use podbond_names::PciAddress;
use podbond_state::Lock;

/// Where NADs come from: manifest files, or a cluster.
pub trait Source {
    /// Returns the NAD of this key; none when there is no such NAD.
    fn nad(&self, key: &ObjectKey) -> Result<Option<Nad>, Failure>;
}

/// Who picks the device of an attachment. That it is held, the attachment's record tells.
pub trait Devices {
    /// Chooses a free device of a resource.
    fn choose(&self, resource: &ResourceName) -> Result<Device, Failure>;

    /// Chooses the device that a configuration names, whether or not it is in a pool.
    fn choose_this(&self, device: PciAddress) -> Result<Device, Failure>;
}

/// A device that was chosen. While it lives nobody else chooses one: until the attachment's record
/// names the device.
#[derive(Debug)]
pub struct Device {
    /// Its address.
    pub address: PciAddress,
    /// Keeps others from choosing.
    pub lock: Option<Lock>,
}
