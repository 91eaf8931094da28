//! A network selection element: which NetworkAttachmentDefinition a pod asks for, and with which
//! addresses, device, ports and routes.

use std::net::IpAddr;

use podbond_api::{Namespace, ObjectName};
use podbond_names::{LinkName, Mac, PciAddress};
use serde_json::{Map, Value};

/// One element of the networks annotation: a network that a pod asks for, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// `name`: of the NAD.
    pub name: ObjectName,
    /// `namespace`: of the NAD; the pod's own where absent.
    pub namespace: Option<Namespace>,
    /// `interface`: in the pod.
    pub interface: Option<LinkName>,
    /// `ips`: addresses asked for, each with or without a prefix length.
    pub ips: Vec<String>,
    /// `mac`: asked for.
    pub mac: Option<Mac>,
    /// `infiniband-guid`, for a plugin that takes it.
    pub infiniband_guid: Option<String>,
    /// `portMappings`, for a plugin that takes them.
    pub port_mappings: Vec<Value>,
    /// `bandwidth`, for a plugin that takes it.
    pub bandwidth: Option<Map<String, Value>>,
    /// `deviceID`: the device asked for.
    pub device: Option<PciAddress>,
    /// `cni-args`: merged into the configuration's `args.cni`.
    pub cni_args: Map<String, Value>,
    /// `default-route`: whether the pod's default routes lead through this network; at most one selection
    /// asks for it.
    pub default_route: DefaultRoute,
    /// `ipam-claim-reference`: the `IPAMClaim` whose addresses the network's IPAM plugin shall give.
    pub ipam_claim: Option<ObjectName>,
    /// Keys that nobody knows.
    pub unknown: Vec<String>,
}

/// Which default routes an attachment asks for (`default-route`, multi-net-spec 1.3, section 4.1.2.1.9).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DefaultRoute {
    /// None: all default routes stay as the networks make them.
    #[default]
    NotAsked,
    /// `[]`: the pod's default routes are those that the attachment's own network makes.
    Own,
    /// Those by these gateways through the attachment: at most one for IPv4 and one for IPv6.
    Gateways(Vec<IpAddr>),
}

impl Selection {
    /// Returns a selection of a network by its name alone.
    pub(crate) fn of(name: ObjectName) -> Self {
        Self {
            name,
            namespace: None,
            interface: None,
            ips: Vec::new(),
            mac: None,
            infiniband_guid: None,
            port_mappings: Vec::new(),
            bandwidth: None,
            device: None,
            cni_args: Map::new(),
            default_route: DefaultRoute::NotAsked,
            ipam_claim: None,
            unknown: Vec::new(),
        }
    }
}
