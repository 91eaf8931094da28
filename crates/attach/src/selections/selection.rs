//! A network selection element: which NetworkAttachmentDefinition a pod asks for, and with which
//! addresses, device, ports and routes.

use std::net::IpAddr;

use podbond_api::{Namespace, ObjectName};
use podbond_names::{LinkName, Mac, PciAddress};
use serde::Serialize;
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
    /// `infiniband-guid`: eight bytes as `24:8a:07:03:00:8d:ae:2f`.
    pub infiniband_guid: Option<String>,
    /// `portMappings`: ports of the host that lead into the pod.
    pub port_mappings: Vec<PortMapping>,
    /// `bandwidth`: limits asked for.
    pub bandwidth: Option<Bandwidth>,
    /// `deviceID`: the device asked for.
    pub device: Option<PciAddress>,
    /// `cni-args`: merged into the configuration's `args.cni`.
    pub cni_args: Map<String, Value>,
    /// `default-route`: the pod's default routes lead through this network, by these gateways: at
    /// most one for IPv4 and one for IPv6, and at most one selection has any.
    pub default_route: Vec<IpAddr>,
}

/// One of `portMappings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PortMapping {
    /// Port on the host, from 1.
    pub host_port: u16,
    /// Port in the pod, from 1.
    pub container_port: u16,
    /// TCP where absent.
    pub protocol: Protocol,
    /// Address on the host; any where absent.
    #[serde(rename = "hostIP", skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<IpAddr>,
}

/// Protocol of a port mapping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP
    #[default]
    Tcp,
    /// UDP
    Udp,
    /// SCTP
    Sctp,
}

/// `bandwidth`: rates in bit/s, bursts in bits. A burst has its rate beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bandwidth {
    /// Into the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_rate: Option<u64>,
    /// Into the pod, at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_burst: Option<u64>,
    /// Out of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_rate: Option<u64>,
    /// Out of the pod, at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_burst: Option<u64>,
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
            default_route: Vec::new(),
        }
    }
}
