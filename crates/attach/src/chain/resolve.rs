//! From a pod's networks annotation to its attachments: each NetworkAttachmentDefinition looked up, each
//! configuration read. Pure but for the source of the definitions.

use std::collections::BTreeMap;

use podbond_api::{
    DEFAULT_NETWORK_ANNOTATION, NETWORKS_ANNOTATION, Nad, ObjectKey, Pod, RESOURCE_NAME_ANNOTATION,
};
use podbond_cni::{Args, Code, Failure};
use podbond_names::LinkName;

use super::attachment::{Attachment, Chain, DeviceRequest, Place, interface_name};
use super::default_network::DefaultNetwork;
use super::nad::Network;
use super::ports::keep_bond_ports_down;
use crate::error::{Error, NetworksError, TakenBy};
use crate::passed_over::PassedOver;
use crate::selections::{DefaultRoute, Selection, parse_networks};
use crate::traits::Source;

/// The interface of the default network.
const ETH0: &str = "eth0";

/// The namespace of a default network that the pod's annotation names without one, as Multus has it.
const MULTUS_NAMESPACE: &str = "kube-system";

impl Chain {
    /// Returns the attachments that a pod asks for: eth0 by the default network, if there is one, then
    /// those of its annotation. The default network is the one that the pod's annotation
    /// `v1.multus-cni.io/default-network` names, or else that of the node.
    pub fn resolve(
        pod: &Pod,
        source: &dyn Source,
        default_network: Option<&DefaultNetwork>,
    ) -> Result<Self, Error> {
        let mut attachments = Vec::new();
        let mut names = BTreeMap::new();
        if let Some(text) = pod.default_network() {
            let attachment = default_by_annotation(pod, text, source)?;
            names.insert(attachment.ifname.clone(), TakenBy::DefaultNetwork);
            attachments.push(attachment);
        } else if let Some(default) = default_network {
            attachments.push(Attachment::of_configs(
                default.name.clone(),
                interface_name(ETH0)?,
                Place::Default,
                default.configs.clone(),
            ));
        }
        let text = pod.annotations.get(NETWORKS_ANNOTATION).map_or("", String::as_str);
        let selections = parse(pod, NETWORKS_ANNOTATION, text)?;
        for (number, selection) in (1..).zip(&selections) {
            let wanted = Wanted { pod, annotation: NETWORKS_ANNOTATION, number, selection };
            let namespace = &pod.key.namespace;
            let nad = wanted.look_up(namespace.clone(), "the pod's own", source)?;
            let ifname = match &selection.interface {
                Some(name) => name.clone(),
                None => interface_name(&format!("net{number}"))?,
            };
            let earlier = names.insert(ifname.clone(), TakenBy::Element(number));
            if let Some(taken) = taken_by(&ifname, earlier) {
                let (pod, nad) = (pod.key.clone(), Box::new(nad.key));
                return Err(Error::IfnameTaken { pod, number, nad, ifname, taken });
            }
            attachments.push(wanted.attachment(nad, ifname, Place::Secondary, source)?);
        }
        refuse_second_default_route(pod, &attachments)?;
        keep_bond_ports_down(&mut attachments);
        Ok(Self { attachments })
    }
}

fn parse(pod: &Pod, annotation: &'static str, text: &str) -> Result<Vec<Selection>, Error> {
    parse_networks(text).map_err(|reason| {
        let (pod, reason) = (pod.key.clone(), Box::new(reason));
        Error::Networks { pod, annotation, reason }
    })
}

/// Returns the attachment to the default network that a pod's annotation names. It is called eth0 as that of
/// the node is, if the annotation names no interface.
fn default_by_annotation(pod: &Pod, text: &str, source: &dyn Source) -> Result<Attachment, Error> {
    let annotation = DEFAULT_NETWORK_ANNOTATION;
    let selections = parse(pod, annotation, text)?;
    let [selection] = &selections[..] else {
        let reason = Box::new(NetworksError::NotOne { number: selections.len() });
        return Err(Error::Networks { pod: pod.key.clone(), annotation, reason });
    };
    let wanted = Wanted { pod, annotation, number: 1, selection };
    let namespace = MULTUS_NAMESPACE.parse().map_err(|error| {
        let failure = Box::new(Failure::new(Code::DEFECT, error));
        Error::Source { pod: pod.key.clone(), nad: pod.key.clone(), failure }
    })?;
    let nad = wanted.look_up(namespace, MULTUS_NAMESPACE, source)?;
    let ifname = selection.interface.clone().map_or_else(|| interface_name(ETH0), Ok)?;
    wanted.attachment(nad, ifname, Place::Default, source)
}

/// Refuses a default-route of the default network's annotation beside one of the networks annotation, which
/// refuses two of its own itself.
fn refuse_second_default_route(pod: &Pod, attachments: &[Attachment]) -> Result<(), Error> {
    let asks = |attachment: &&Attachment| attachment.default_route != DefaultRoute::NotAsked;
    let mut asking = attachments.iter().filter(asks);
    match (asking.next(), asking.next()) {
        (Some(first), Some(second)) => {
            let attachments = [first, second].map(|attachment| attachment.ifname.clone());
            Err(Error::TwoDefaultRoutes { pod: pod.key.clone(), attachments })
        }
        _ => Ok(()),
    }
}

/// Returns what has an interface name already, where `earlier` is what it was given to before.
/// "If the requested interface name is already used by a previous network attachment, the implementation
/// must fail the current network attachment" (multi-net-spec 1.3, section 4.1.2.1.5). eth0 is refused even
/// without a default network: a pod that a cluster would refuse is refused here.
fn taken_by(name: &LinkName, earlier: Option<TakenBy>) -> Option<TakenBy> {
    match name.as_str() {
        "lo" => Some(TakenBy::Loopback),
        ETH0 => Some(TakenBy::DefaultNetwork),
        _ => earlier,
    }
}

/// An element of one of the pod's annotations.
struct Wanted<'a> {
    pod: &'a Pod,
    annotation: &'static str,
    /// From 1.
    number: usize,
    selection: &'a Selection,
}

impl Wanted<'_> {
    /// Returns the NAD. `implied` is its namespace where the element names none, `meant` how to call that.
    fn look_up(
        &self,
        implied: podbond_api::Namespace,
        meant: &'static str,
        source: &dyn Source,
    ) -> Result<Nad, Error> {
        let Self { annotation, number, .. } = *self;
        let (namespace, implied) = match &self.selection.namespace {
            Some(namespace) => (namespace.clone(), None),
            None => (implied, Some(meant)),
        };
        let key = ObjectKey { namespace, name: self.selection.name.clone() };
        let pod = self.pod.key.clone();
        match source.nad(&key) {
            Ok(Some(nad)) => Ok(nad),
            Ok(None) => {
                let nad = Box::new(key);
                Err(Error::NadMissing { pod, nad, annotation, number, implied })
            }
            Err(failure) => Err(Error::Source { pod, nad: key, failure: Box::new(failure) }),
        }
    }

    /// Returns the attachment of an interface to a NAD's network.
    fn attachment(
        &self,
        nad: Nad,
        ifname: LinkName,
        place: Place,
        source: &dyn Source,
    ) -> Result<Attachment, Error> {
        let selection = self.selection;
        let config = self.config(&nad, source)?;
        let wrong = |reason| Error::NadConfig { nad: nad.key.clone(), reason };
        let mut network = Network::parse(&config, Some(nad.key.name.as_str())).map_err(wrong)?;
        let mut passed_over = network.apply_selection(selection).map_err(wrong)?;
        let device = match (&nad.resource, selection.device) {
            (Some(resource), wanted) => {
                // The resource takes precedence, as in a cluster, where kubelet chooses the device.
                passed_over.extend(wanted.map(|_| PassedOver::DeviceOfResource));
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
            resource_name: nad.annotations.get(RESOURCE_NAME_ANNOTATION).cloned(),
            nad: Some(nad.key),
            place,
            network: network.name,
            ifname,
            device,
            passed_over,
            default_route: selection.default_route.clone(),
            gc: network.gc,
            configs,
            args: Args::default(),
        })
    }

    /// Returns the text of a NAD's configuration: its own, or else the node's of its name.
    fn config(&self, nad: &Nad, source: &dyn Source) -> Result<String, Error> {
        if let Some(config) = &nad.config {
            return Ok(config.clone());
        }
        match source.configuration(&nad.key.name) {
            Ok(Some(config)) => Ok(config),
            Ok(None) => Err(Error::NoConfig { nad: nad.key.clone() }),
            Err(failure) => {
                let (pod, nad) = (self.pod.key.clone(), nad.key.clone());
                Err(Error::Source { pod, nad, failure: Box::new(failure) })
            }
        }
    }
}
