use std::net::IpAddr;

use podbond_cni::CniResult;
use podbond_names::{LinkName, Mac, PciAddress};
use serde::Serialize;

/// One entry of the annotation `k8s.v1.cni.cncf.io/network-status` (multi-net-spec 1.3, section 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkStatus {
    /// `namespace/name` of the NAD, or the default network's name.
    pub name: String,
    /// The interface in the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<LinkName>,
    /// Its addresses, without prefix lengths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<IpAddr>,
    /// Its hardware address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Its MTU in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Whether this is the pod's default network.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// The resolver's configuration; written even where it is empty, as Multus does.
    pub dns: StatusDns,
    /// The device behind the interface.
    #[serde(rename = "device-info", skip_serializing_if = "Option::is_none")]
    pub device_info: Option<DeviceInfo>,
    /// The gateways of its default routes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gateway: Vec<IpAddr>,
}

/// `dns` of a status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StatusDns {
    /// Name servers, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// The local domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Search domains, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options for the resolver.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// `device-info` of a status (Device Information Specification 1.1.0): a PCI device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its address.
    pub pci_address: PciAddress,
}

impl Serialize for DeviceInfo {
    fn serialize<S: serde::Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        todo!()
    }
}

/// The annotation's text.
pub fn annotation(statuses: &[NetworkStatus]) -> String {
    // Texts and numbers only: serializing them cannot fail.
    serde_json::to_string(statuses).unwrap_or_default()
}

pub(crate) fn statuses(_name: &str, _result: &CniResult) -> Vec<NetworkStatus> {
    todo!()
}
