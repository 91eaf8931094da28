//! From a pod's networks annotation to its attachments: each NetworkAttachmentDefinition looked up, each
//! configuration read. Pure but for the source of the definitions.

use std::collections::BTreeMap;

use podbond_api::{NETWORKS_ANNOTATION, Nad, ObjectKey, Pod};
use podbond_cni::Args;
use podbond_names::LinkName;

use super::attachment::{Attachment, Chain, DeviceRequest, interface_name};
use super::default_network::DefaultNetwork;
use super::nad::Network;
use super::ports::keep_bond_ports_down;
use crate::error::{Error, TakenBy};
use crate::selections::{Selection, parse_networks};
use crate::traits::Source;

/// The interface of the default network.
const ETH0: &str = "eth0";

impl Chain {
    /// Returns the attachments that a pod asks for: eth0 by the default network, if there is one, then
    /// those of its annotation.
    pub fn resolve(
        pod: &Pod,
        source: &dyn Source,
        default_network: Option<&DefaultNetwork>,
    ) -> Result<Self, Error> {
        let text = pod.annotations.get(NETWORKS_ANNOTATION).map_or("", String::as_str);
        let selections = parse_networks(text)
            .map_err(|reason| Error::Networks { pod: pod.key.clone(), reason: Box::new(reason) })?;
        let mut attachments = Vec::new();
        if let Some(default) = default_network {
            attachments.push(Attachment::of_configs(
                default.name.clone(),
                interface_name(ETH0)?,
                default.configs.clone(),
            ));
        }
        let mut names = BTreeMap::new();
        for (number, selection) in (1..).zip(&selections) {
            let nad = look_up(pod, selection, number, source)?;
            let ifname = match &selection.interface {
                Some(name) => name.clone(),
                None => interface_name(&format!("net{number}"))?,
            };
            if let Some(taken) = taken_by(&ifname, names.insert(ifname.clone(), number)) {
                let (pod, nad) = (pod.key.clone(), Box::new(nad.key));
                return Err(Error::IfnameTaken { pod, number, nad, ifname, taken });
            }
            attachments.push(attachment(nad, ifname, selection)?);
        }
        keep_bond_ports_down(&mut attachments);
        Ok(Self { attachments })
    }
}

/// Returns what has an interface name already, where `earlier` is the element that it was given to before.
/// "If the requested interface name is already used by a previous network attachment, the implementation
/// must fail the current network attachment" (multi-net-spec 1.3, section 4.1.2.1.5). eth0 is refused even
/// without a default network: a pod that a cluster would refuse is refused here.
fn taken_by(name: &LinkName, earlier: Option<usize>) -> Option<TakenBy> {
    match name.as_str() {
        "lo" => Some(TakenBy::Loopback),
        ETH0 => Some(TakenBy::DefaultNetwork),
        _ => earlier.map(TakenBy::Element),
    }
}

/// Returns the NAD of a selection.
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

/// Returns the attachment of an interface to a NAD's network.
fn attachment(nad: Nad, ifname: LinkName, selection: &Selection) -> Result<Attachment, Error> {
    let wrong = |reason| Error::NadConfig { nad: nad.key.clone(), reason };
    let mut network = Network::parse(&nad.config, Some(nad.key.name.as_str())).map_err(wrong)?;
    let mut ignored = network.apply_selection(selection).map_err(wrong)?;
    let device = match (&nad.resource, selection.device) {
        (Some(resource), wanted) => {
            // The resource takes precedence, as in a cluster, where kubelet chooses the device.
            ignored.extend(wanted.map(|_| "deviceID"));
            DeviceRequest::OneOf(resource.clone())
        }
        (None, Some(device)) => {
            network.set_device(device);
            DeviceRequest::This(device)
        }
        (None, None) => network.device().map_or(DeviceRequest::None, DeviceRequest::This),
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
