use podbond_api::{ObjectKey, Pod, ResourceName};
use podbond_cni::NetConf;
use podbond_names::{LinkName, PciAddress};
use serde_json::{Map, Value};

use crate::{DefaultNetwork, Error, Source};

/// A pod's attachments in the order in which they are made.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    /// The pod.
    pub pod: ObjectKey,
    /// eth0 first, where there is a default network; then the annotation's, in its order.
    pub attachments: Vec<Attachment>,
}

/// One network of one pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Attachment {
    /// The NAD; none for the default network.
    pub nad: Option<ObjectKey>,
    /// The network's name in its CNI configuration.
    pub network: String,
    /// The interface in the pod.
    pub ifname: LinkName,
    /// The device that it needs.
    pub device: DeviceRequest,
    /// What the annotation asks for and no plugin of the network takes, as the annotation's key:
    /// passed over as Multus does, but worth a warning.
    pub ignored: Vec<&'static str>,
    pub(crate) plugins: Vec<Map<String, Value>>,
}

/// Which device an attachment needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceRequest {
    /// None.
    None,
    /// Any free one of a resource.
    OneOf(ResourceName),
    /// This one: the NAD's configuration or the annotation names it.
    This(PciAddress),
}

impl Chain {
    /// The chain of a pod: its annotation, with each NAD looked up and each configuration read.
    pub fn resolve(
        _pod: &Pod,
        _source: &dyn Source,
        _default_network: Option<&DefaultNetwork>,
    ) -> Result<Self, Error> {
        todo!()
    }
}

impl Attachment {
    /// What the status calls the network: `namespace/name` of the NAD, or the default network's
    /// own name.
    pub fn name(&self) -> String {
        self.nad.as_ref().map_or_else(|| self.network.clone(), ToString::to_string)
    }

    /// The configurations that its plugins are given, in order, once its device is known. For an
    /// attachment that needs no device `device` is not looked at.
    pub fn configs(&self, _device: Option<PciAddress>) -> Result<Vec<NetConf>, Error> {
        let _ = &self.plugins;
        todo!()
    }
}
