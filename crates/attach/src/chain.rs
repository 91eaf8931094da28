use std::collections::BTreeMap;
use std::net::IpAddr;

use podbond_api::{NETWORKS_ANNOTATION, Nad, ObjectKey, Pod, ResourceName};
use podbond_cni::{Args, NetConf};
use podbond_names::{LinkName, PciAddress};

use crate::nad::{Network, set_device};
use crate::ports::leave_ports_down;
use crate::{
    ConfigError, DefaultNetwork, Error, NetworksError, Selection, Source, TakenBy, parse_networks,
};

/// The interface of the default network.
const ETH0: &str = "eth0";

/// A pod's attachments in the order in which they are made. Plain data: nothing is done yet, and
/// no device is chosen.
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
    /// What the annotation asks for and the network does not take, as the annotation's keys:
    /// passed over as Multus does, but worth a warning.
    pub ignored: Vec<&'static str>,
    /// The pod's default routes lead through this attachment, by these gateways; mostly none.
    pub default_route: Vec<IpAddr>,
    pub(crate) configs: Vec<NetConf>,
    /// `CNI_ARGS` of who called, beside what names the pod; mostly none.
    pub(crate) args: Args,
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
        pod: &Pod,
        source: &dyn Source,
        default_network: Option<&DefaultNetwork>,
    ) -> Result<Self, Error> {
        let text = pod.annotations.get(NETWORKS_ANNOTATION).map_or("", String::as_str);
        let wrong = |reason| Error::Networks { pod: pod.key.clone(), reason: Box::new(reason) };
        let selections = parse_networks(text).map_err(wrong)?;
        let mut attachments = Vec::new();
        if let Some(default) = default_network {
            attachments.push(Attachment::of_configs(
                default.name.clone(),
                fixed_name(ETH0).map_err(wrong)?,
                DeviceRequest::None,
                default.configs.clone(),
            ));
        }
        let mut names = Names::default();
        for (position, selection) in selections.iter().enumerate() {
            let number = position + 1;
            let nad = look_up(pod, selection, number, source)?;
            let ifname = match &selection.interface {
                Some(name) => name.clone(),
                None => fixed_name(&format!("net{number}")).map_err(wrong)?,
            };
            names.take(&ifname, number).map_err(|taken| Error::IfnameTaken {
                pod: pod.key.clone(),
                number,
                nad: Box::new(nad.key.clone()),
                ifname: ifname.clone(),
                taken,
            })?;
            attachments.push(attachment(nad, ifname, selection)?);
        }
        leave_ports_down(&mut attachments);
        Ok(Self { pod: pod.key.clone(), attachments })
    }
}

impl Attachment {
    /// An attachment that no NAD describes.
    pub(crate) fn of_configs(
        network: String,
        ifname: LinkName,
        device: DeviceRequest,
        configs: Vec<NetConf>,
    ) -> Self {
        let (nad, ignored, default_route) = (None, Vec::new(), Vec::new());
        let args = Args::default();
        Self { nad, network, ifname, device, ignored, default_route, configs, args }
    }

    /// What the status calls the network: `namespace/name` of the NAD, or the default network's
    /// own name.
    pub fn name(&self) -> String {
        self.nad.as_ref().map_or_else(|| self.network.clone(), ToString::to_string)
    }

    /// The configurations that its plugins are given, in order, once its device is known. Where
    /// the attachment takes no device of a resource, `device` is not looked at.
    pub fn configs(&self, device: Option<PciAddress>) -> Vec<NetConf> {
        let mut configs = self.configs.clone();
        if let (DeviceRequest::OneOf(_), Some(device)) = (&self.device, device) {
            for config in &mut configs {
                set_device(&mut config.raw, device);
            }
        }
        configs
    }
}

/// The interface names that are given out, each with the element that has it.
#[derive(Default)]
struct Names(BTreeMap<LinkName, usize>);

impl Names {
    /// "If the requested interface name is already used by a previous network attachment, the
    /// implementation must fail the current network attachment" (multi-net-spec 1.3, section
    /// 4.1.2.1.5). eth0 is refused even without a default network: a pod that a cluster would
    /// refuse is refused here.
    fn take(&mut self, name: &LinkName, number: usize) -> Result<(), TakenBy> {
        match name.as_str() {
            "lo" => return Err(TakenBy::Loopback),
            ETH0 => return Err(TakenBy::DefaultNetwork),
            _ => {}
        }
        match self.0.insert(name.clone(), number) {
            Some(first) => Err(TakenBy::Element(first)),
            None => Ok(()),
        }
    }
}

/// A name made here. It is well-formed up to a million networks; past that, the annotation is at
/// fault.
pub(crate) fn fixed_name(text: &str) -> Result<LinkName, NetworksError> {
    text.parse().map_err(|error| NetworksError::TooLong { error })
}

fn look_up(
    pod: &Pod,
    selection: &Selection,
    number: usize,
    source: &dyn Source,
) -> Result<Nad, Error> {
    let namespace = selection.namespace.as_ref().unwrap_or(&pod.key.namespace);
    let key = ObjectKey { namespace: namespace.clone(), name: selection.name.clone() };
    let (pod, implied) = (pod.key.clone(), selection.namespace.is_none());
    match source.nad(&key) {
        Ok(Some(nad)) => Ok(nad),
        Ok(None) => Err(Error::NadMissing { pod, nad: key, number, implied }),
        Err(failure) => Err(Error::Source { pod, nad: key, failure: Box::new(failure) }),
    }
}

fn attachment(nad: Nad, ifname: LinkName, selection: &Selection) -> Result<Attachment, Error> {
    let wrong = |reason: ConfigError| Error::NadConfig { nad: nad.key.clone(), reason };
    let mut network = Network::parse(&nad.config, Some(nad.key.name.as_str())).map_err(wrong)?;
    let mut ignored = network.ask(selection).map_err(wrong)?;
    let device = match (&nad.resource, selection.device) {
        (Some(resource), wanted) => {
            // The resource decides, as in a cluster, where kubelet has chosen already.
            ignored.extend(wanted.map(|_| "deviceID"));
            DeviceRequest::OneOf(resource.clone())
        }
        (None, Some(device)) => {
            network.set_device(device);
            DeviceRequest::This(device)
        }
        (None, None) => network.named_device().map_or(DeviceRequest::None, DeviceRequest::This),
    };
    // Read again: what the pod asks for may have made them invalid.
    let configs = network.configs().map_err(wrong)?;
    Ok(Attachment {
        nad: Some(nad.key),
        network: network.name,
        ifname,
        device,
        ignored,
        default_route: selection.default_route.clone(),
        configs,
        args: Args::default(),
    })
}

#[cfg(test)]
mod tests;
