//! The rules by which a pod's chain is made: the networks of every pod, whose NADs a pod may name, and what the
//! runtime asks for. They are those of a meta-plugin's configuration, or of the node alone.

use std::collections::BTreeSet;

use podbond_api::{Nad, Namespace};
use podbond_cni::{Args, Code, Failure};
use podbond_names::LinkName;
use serde_json::{Map, Value};

use super::attachment::interface_name;
use super::default_network::NodeNetwork;
use crate::error::Error;

/// The interface of the default network.
pub(super) const ETH0: &str = "eth0";

/// `multusNamespace` where a configuration does not say: the namespace of a default network that a pod's
/// annotation names without one.
pub const MULTUS_NAMESPACE: &str = "kube-system";

/// The rules by which a pod's chain is made.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The interface of the default network.
    pub ifname: LinkName,
    /// The network that gives every pod that interface.
    pub default_network: Option<ConfiguredNetwork>,
    /// What every pod is attached to after that: net1, net2, ….
    pub more: Vec<ConfiguredNetwork>,
    /// The namespace of a default network that the pod's annotation names without one.
    pub multus_namespace: Namespace,
    /// Whose NADs a pod may name.
    pub isolation: Isolation,
    /// What the runtime asks of the meta-plugin that it calls; none where no runtime calls.
    pub asked: Option<Asked>,
}

/// A network that every pod is attached to.
#[derive(Debug, Clone)]
pub enum ConfiguredNetwork {
    /// By a configuration of the node.
    OnNode(NodeNetwork),
    /// By a NAD.
    Nad(Nad),
}

/// Whose NADs a pod may name: `namespaceIsolation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// Everybody's.
    Off,
    /// Those of its own namespace and of these.
    On(BTreeSet<Namespace>),
}

/// What a runtime asks of a meta-plugin. Its `runtimeConfig` goes to all networks, each plugin gets what it
/// declares; `CNI_ARGS` too, and with the MAC address and the address that the pod asks for as `MAC` and `IP`,
/// as Multus gives them.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The configuration of the meta-plugin.
    pub config: Map<String, Value>,
    /// `CNI_ARGS` of its call.
    pub args: Args,
}

impl Rules {
    /// Returns the rules where no meta-plugin is called: eth0 by the node's default network, if there is one.
    pub(super) fn of_node(default_network: Option<&NodeNetwork>) -> Result<Self, Error> {
        let defect = |error| Error::Defect { failure: Box::new(Failure::new(Code::DEFECT, error)) };
        Ok(Self {
            ifname: interface_name(ETH0)?,
            default_network: default_network.cloned().map(ConfiguredNetwork::OnNode),
            more: Vec::new(),
            multus_namespace: MULTUS_NAMESPACE.parse().map_err(defect)?,
            isolation: Isolation::Off,
            asked: None,
        })
    }
}

impl Isolation {
    /// Returns whether a pod of a namespace may name a NAD of another one.
    pub(super) fn allows(&self, pod: &Namespace, nad: &Namespace) -> bool {
        match self {
            Self::Off => true,
            Self::On(global) => pod == nad || global.contains(nad),
        }
    }
}
