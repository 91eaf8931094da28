//! From a pod's networks annotation to its attachments: each NetworkAttachmentDefinition looked up, each
//! configuration read. Pure but for the source of the definitions.

use std::collections::BTreeMap;

use podbond_api::{
    DEFAULT_NETWORK_ANNOTATION, NETWORKS_ANNOTATION, Nad, Namespace, ObjectKey, Pod,
    RESOURCE_NAME_ANNOTATION,
};
use podbond_cni::Args;
use podbond_names::LinkName;

use super::attachment::{Attachment, Chain, DeviceRequest, Place, interface_name};
use super::default_network::NodeNetwork;
use super::delegated::args_for;
use super::nad::Network;
use super::ports::keep_bond_ports_down;
use super::rules::{ConfiguredNetwork, ETH0, Rules};
use crate::error::{Error, NetworksError, TakenBy};
use crate::passed_over::PassedOver;
use crate::selections::{DefaultRoute, Selection, parse_networks};
use crate::traits::Source;

impl Chain {
    /// Returns the attachments that a pod asks for where no meta-plugin is called: eth0 by the node's
    /// default network, if there is one, and the rest as [`Self::resolve_by`] has it.
    pub fn resolve(
        pod: &Pod,
        source: &dyn Source,
        default_network: Option<&NodeNetwork>,
    ) -> Result<Self, Error> {
        Self::resolve_by(pod, source, &Rules::of_node(default_network)?)
    }

    /// Returns the attachments of a pod: its default network, what else every pod is attached to, then those
    /// of its annotation. The default network is the one that the pod's annotation
    /// `v1.multus-cni.io/default-network` names, or else that of the rules. Interfaces without a name of their
    /// own are `net<position>`.
    pub fn resolve_by(pod: &Pod, source: &dyn Source, rules: &Rules) -> Result<Self, Error> {
        let resolution = Resolution { pod, source, rules };
        let mut attachments = Vec::new();
        let mut names = BTreeMap::new();
        if let Some(text) = pod.default_network() {
            let attachment = resolution.default_by_annotation(text)?;
            names.insert(attachment.ifname.clone(), TakenBy::DefaultNetwork);
            attachments.push(attachment);
        } else if let Some(network) = &rules.default_network {
            let ifname = rules.ifname.clone();
            attachments.push(resolution.configured(network, ifname, Place::Default)?);
        }
        for (position, network) in (1..).zip(&rules.more) {
            let ifname = interface_name(&format!("net{position}"))?;
            if ifname == rules.ifname || names.contains_key(&ifname) {
                return Err(Error::DelegateIfname { ifname });
            }
            names.insert(ifname.clone(), TakenBy::NodeNetwork);
            attachments.push(resolution.configured(network, ifname, Place::Secondary)?);
        }
        let text = pod.annotations.get(NETWORKS_ANNOTATION).map_or("", String::as_str);
        let selections = resolution.parse(NETWORKS_ANNOTATION, text)?;
        for (number, selection) in (1..).zip(&selections) {
            let annotation = NETWORKS_ANNOTATION;
            let wanted = Wanted { resolution: &resolution, annotation, number, selection };
            let namespace = &pod.key.namespace;
            let nad = wanted.look_up(namespace.clone(), "the pod's own")?;
            let ifname = match &selection.interface {
                Some(name) => name.clone(),
                None => interface_name(&format!("net{}", rules.more.len() + number))?,
            };
            let earlier = names.insert(ifname.clone(), TakenBy::Element(number));
            if let Some(taken) = resolution.taken_by(&ifname, earlier) {
                let (pod, nad) = (pod.key.clone(), Box::new(nad.key));
                return Err(Error::IfnameTaken { pod, number, nad, ifname, taken });
            }
            attachments.push(resolution.attachment(nad, ifname, Place::Secondary, selection)?);
        }
        refuse_second_default_route(pod, &attachments)?;
        keep_bond_ports_down(&mut attachments);
        Ok(Self { attachments })
    }
}

/// Of what a pod's chain is made.
struct Resolution<'a> {
    pod: &'a Pod,
    source: &'a dyn Source,
    rules: &'a Rules,
}

impl Resolution<'_> {
    fn parse(&self, annotation: &'static str, text: &str) -> Result<Vec<Selection>, Error> {
        parse_networks(text).map_err(|reason| {
            let (pod, reason) = (self.pod.key.clone(), Box::new(reason));
            Error::Networks { pod, annotation, reason }
        })
    }

    /// Returns the attachment to the default network that the pod's annotation names. It is called as that of
    /// the node is, if the annotation names no interface.
    fn default_by_annotation(&self, text: &str) -> Result<Attachment, Error> {
        let annotation = DEFAULT_NETWORK_ANNOTATION;
        let selections = self.parse(annotation, text)?;
        let [selection] = &selections[..] else {
            let reason = Box::new(NetworksError::NotOne { number: selections.len() });
            return Err(Error::Networks { pod: self.pod.key.clone(), annotation, reason });
        };
        let wanted = Wanted { resolution: self, annotation, number: 1, selection };
        let namespace = &self.rules.multus_namespace;
        let nad = wanted.look_up(namespace.clone(), namespace.as_str())?;
        let ifname = selection.interface.clone().unwrap_or_else(|| self.rules.ifname.clone());
        self.attachment(nad, ifname, Place::Default, selection)
    }

    /// Returns the attachment to a network that every pod has.
    fn configured(
        &self,
        network: &ConfiguredNetwork,
        ifname: LinkName,
        place: Place,
    ) -> Result<Attachment, Error> {
        match network {
            ConfiguredNetwork::Nad(nad) => {
                let selection = Selection::of(nad.key.name.clone());
                self.attachment(nad.clone(), ifname, place, &selection)
            }
            ConfiguredNetwork::OnNode(node) => {
                let mut network = node.network.clone();
                if let Some(asked) = &self.rules.asked {
                    network.pass_on_runtime_config(&asked.config);
                }
                let attachment = Attachment::of_network(&network, ifname, place);
                let mut attachment = attachment.map_err(|reason| {
                    let network = node.name.clone();
                    Error::NodeNetwork { network, reason }
                })?;
                attachment.args = self.args(place, None);
                Ok(attachment)
            }
        }
    }

    /// Returns what has an interface name already, where `earlier` is what it was given to before.
    /// "If the requested interface name is already used by a previous network attachment, the implementation
    /// must fail the current network attachment" (multi-net-spec 1.3, section 4.1.2.1.5). That of the default
    /// network is refused even without one: a pod that a cluster would refuse is refused here.
    fn taken_by(&self, name: &LinkName, earlier: Option<TakenBy>) -> Option<TakenBy> {
        match name.as_str() {
            "lo" => Some(TakenBy::Loopback),
            ETH0 => Some(TakenBy::DefaultNetwork),
            _ if *name == self.rules.ifname => Some(TakenBy::DefaultNetwork),
            _ => earlier,
        }
    }

    /// Returns `CNI_ARGS` of an attachment beside what names the pod.
    fn args(&self, place: Place, selection: Option<&Selection>) -> Args {
        let Some(asked) = &self.rules.asked else { return Args::default() };
        let mut args = args_for(place, &asked.args);
        if let Some(selection) = selection {
            let mac = selection.mac.map(|mac| mac.to_string());
            args.0.extend(mac.map(|mac| ("MAC".to_owned(), mac)));
            args.0.extend(only_ip(selection).map(|ip| ("IP".to_owned(), ip.to_owned())));
        }
        args
    }

    /// Returns the attachment of an interface to a NAD's network.
    fn attachment(
        &self,
        nad: Nad,
        ifname: LinkName,
        place: Place,
        selection: &Selection,
    ) -> Result<Attachment, Error> {
        let config = self.config(&nad)?;
        let wrong = |reason| Error::NadConfig { nad: nad.key.clone(), reason };
        let mut network = Network::parse(&config, Some(nad.key.name.as_str())).map_err(wrong)?;
        // The pod's own takes precedence.
        if let Some(asked) = &self.rules.asked {
            network.pass_on_runtime_config(&asked.config);
        }
        let mut passed_over = network.apply_selection(selection).map_err(wrong)?;
        if self.rules.asked.is_some() {
            for it in &mut passed_over {
                by_args_only(it, selection);
            }
        }
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
            resource: nad.resource,
            wanted_device: selection.device,
            earlier_result: None,
            nad: Some(nad.key),
            place,
            network: network.name,
            ifname,
            device,
            passed_over,
            default_route: selection.default_route.clone(),
            gc: network.gc,
            configs,
            args: self.args(place, Some(selection)),
        })
    }

    /// Returns the text of a NAD's configuration: its own, or else the node's of its name.
    fn config(&self, nad: &Nad) -> Result<String, Error> {
        if let Some(config) = &nad.config {
            return Ok(config.clone());
        }
        match self.source.configuration(&nad.key.name) {
            Ok(Some(config)) => Ok(config),
            Ok(None) => Err(Error::NoConfig { nad: nad.key.clone() }),
            Err(failure) => {
                let (pod, nad) = (self.pod.key.clone(), nad.key.clone());
                Err(Error::Source { pod, nad, failure: Box::new(failure) })
            }
        }
    }
}

/// Returns the address that a selection asks for, if it is one: `IP` of `CNI_ARGS` holds no more.
fn only_ip(selection: &Selection) -> Option<&str> {
    let [ip] = &selection.ips[..] else { return None };
    Some(ip)
}

/// Changes what is passed over to what is passed on in `CNI_ARGS`, where it is.
fn by_args_only(passed_over: &mut PassedOver, selection: &Selection) {
    if let PassedOver::Undeclared { key, capability } = passed_over
        && (*key == "mac" || *key == "ips" && only_ip(selection).is_some())
    {
        *passed_over = PassedOver::ArgsOnly { key, capability };
    }
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

/// An element of one of the pod's annotations.
struct Wanted<'a> {
    resolution: &'a Resolution<'a>,
    annotation: &'static str,
    /// From 1.
    number: usize,
    selection: &'a Selection,
}

impl Wanted<'_> {
    /// Returns the NAD. `implied` is its namespace where the element names none, `meant` how to call that.
    fn look_up(&self, implied: Namespace, meant: &str) -> Result<Nad, Error> {
        let Self { resolution: Resolution { pod, source, rules }, annotation, number, .. } = *self;
        let (namespace, implied) = match &self.selection.namespace {
            Some(namespace) => (namespace.clone(), None),
            None => (implied, Some(meant.to_owned())),
        };
        let key = ObjectKey { namespace, name: self.selection.name.clone() };
        let is_shared =
            annotation == DEFAULT_NETWORK_ANNOTATION && key.namespace == rules.multus_namespace;
        let pod = pod.key.clone();
        if !is_shared && !rules.isolation.allows(&pod.namespace, &key.namespace) {
            let nad = Box::new(key);
            return Err(Error::Isolated { pod, annotation, number, nad });
        }
        match source.nad(&key) {
            Ok(Some(nad)) => Ok(nad),
            Ok(None) => {
                let nad = Box::new(key);
                Err(Error::NadMissing { pod, nad, annotation, number, implied })
            }
            Err(failure) => Err(Error::Source { pod, nad: key, failure: Box::new(failure) }),
        }
    }
}
