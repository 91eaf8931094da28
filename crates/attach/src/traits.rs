use podbond_api::{Nad, ObjectKey, ResourceName};
use podbond_cni::{ContainerId, Failure};
use podbond_names::{LinkName, PciAddress};
use serde::{Deserialize, Serialize};

/// Where NADs come from: manifest files, or a cluster.
pub trait Source {
    /// The NAD of this key; none when there is no such NAD.
    fn nad(&self, key: &ObjectKey) -> Result<Option<Nad>, Failure>;
}

/// Who picks the device of an attachment and remembers that it is held.
pub trait Devices {
    /// Takes a free device of a resource for `holder`. A holder that has one of this resource
    /// already gets the same one again.
    fn allocate(&self, resource: &ResourceName, holder: &Holder) -> Result<PciAddress, Failure>;

    /// Takes the device that a configuration names, whether or not it is in a pool.
    fn claim(&self, device: PciAddress, holder: &Holder) -> Result<(), Failure>;

    /// Gives a device back. Success when `holder` does not have it.
    fn release(&self, device: PciAddress, holder: &Holder) -> Result<(), Failure>;
}

/// The attachment that holds a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// The pod, for messages: not part of the key, since a pod may have two sandboxes at once.
    pub pod: ObjectKey,
    /// The sandbox.
    pub container_id: ContainerId,
    /// The interface within it.
    pub ifname: LinkName,
}
