//! A pod's attachments as data: their NetworkAttachmentDefinition, interface, device and plugin
//! configurations.

use podbond_api::{ObjectKey, ResourceName};
use podbond_cni::{Args, CniResult, NetConf};
use podbond_names::{LinkName, PciAddress};

use super::nad::{GcCalls, Network, set_device};
use crate::error::{ConfigError, Error};
use crate::passed_over::PassedOver;
use crate::selections::DefaultRoute;

/// A pod's attachments in the order of their ADDs. Plain data: no plugin has been called, and no device
/// is chosen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chain {
    /// eth0 first, where there is a default network; then the annotation's, in its order.
    pub attachments: Vec<Attachment>,
}

/// One network of one pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Attachment {
    /// The NAD; none for a network of the node's or of a meta-plugin's configuration.
    pub nad: Option<ObjectKey>,
    /// Whether it is the pod's default network.
    pub place: Place,
    /// The network's name in its CNI configuration.
    pub network: String,
    /// The interface in the pod.
    pub ifname: LinkName,
    /// The device that it needs.
    pub device: DeviceRequest,
    /// The NAD's annotation `k8s.v1.cni.cncf.io/resourceName`, by which a device plugin names its files.
    pub(crate) resource_name: Option<String>,
    /// The resource by its name without prefix, for the record.
    pub(crate) resource: Option<ResourceName>,
    /// The device that the annotation names beside the network's resource.
    pub(crate) wanted_device: Option<PciAddress>,
    /// What another meta-plugin has recorded as the result of its ADD.
    pub(crate) earlier_result: Option<CniResult>,
    /// Keys of the annotation that have no effect: worth a warning.
    pub passed_over: Vec<PassedOver>,
    /// Which of the pod's default routes lead through this attachment; mostly it does not say.
    pub default_route: DefaultRoute,
    pub(crate) gc: GcCalls,
    pub(crate) configs: Vec<NetConf>,
    /// `CNI_ARGS` of who called, beside what names the pod; mostly none.
    pub(crate) args: Args,
}

/// The place of a network among those of its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The pod's default network, which Kubernetes knows.
    Default,
    /// One beside it.
    Secondary,
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
    /// Returns whether an attachment of the chain has this interface.
    pub(crate) fn has_interface(&self, ifname: &LinkName) -> bool {
        self.attachments.iter().any(|attachment| attachment.ifname == *ifname)
    }
}

impl Attachment {
    /// Returns an attachment to a network of the node's configuration.
    pub(super) fn of_network(
        network: &Network,
        ifname: LinkName,
        place: Place,
    ) -> Result<Self, ConfigError> {
        let configs = network.configs()?;
        let attachment = Self::of_configs(network.name.clone(), ifname, place, configs);
        Ok(Self { gc: network.gc, ..attachment })
    }

    /// Returns an attachment that no NAD describes.
    fn of_configs(network: String, ifname: LinkName, place: Place, configs: Vec<NetConf>) -> Self {
        Self {
            nad: None,
            place,
            network,
            ifname,
            device: DeviceRequest::None,
            resource_name: None,
            resource: None,
            wanted_device: None,
            earlier_result: None,
            passed_over: Vec::new(),
            default_route: DefaultRoute::NotAsked,
            gc: GcCalls::Allowed,
            configs,
            args: Args::default(),
        }
    }

    /// Returns the network's name in the pod's status: `namespace/name` of the NAD, or the default
    /// network's own name.
    pub fn name(&self) -> String {
        self.nad.as_ref().map_or_else(|| self.network.clone(), ToString::to_string)
    }

    /// Gives its plugins a device, by the ID that the device plugin has given it: mostly a PCI address.
    pub(crate) fn give_device(&mut self, id: &str) {
        for config in &mut self.configs {
            set_device(&mut config.raw, id);
        }
        // What is not on the PCI bus concerns the plugin alone.
        self.device = id.parse().map_or(DeviceRequest::None, DeviceRequest::This);
    }

    /// Returns the configurations for its plugins, in order, with the device that was chosen for it.
    /// `device` is ignored where the attachment takes none of a resource.
    pub fn configs(&self, device: Option<PciAddress>) -> Vec<NetConf> {
        let mut configs = self.configs.clone();
        if let (DeviceRequest::OneOf(_), Some(device)) = (&self.device, device) {
            for config in &mut configs {
                set_device(&mut config.raw, &device.to_string());
            }
        }
        configs
    }
}

/// Returns an interface name that podbond chooses. Up to a million networks it is well-formed; beyond
/// that there are too many.
pub(crate) fn interface_name(text: &str) -> Result<LinkName, Error> {
    text.parse().map_err(|error| Error::TooManyNetworks { error })
}
