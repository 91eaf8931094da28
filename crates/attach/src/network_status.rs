//! The pod annotation `k8s.v1.cni.cncf.io/network-status`, from the results of a chain's plugins.

use std::net::IpAddr;

use podbond_cni::{CniResult, Dns, Interface};
use podbond_names::{LinkName, PciAddress};
use podbond_record::Record;
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};

/// The version of the Device Information Specification that `device-info` follows.
const DEVICE_INFO_VERSION: &str = "1.1.0";

/// One entry of the annotation `k8s.v1.cni.cncf.io/network-status` (multi-net-spec 1.3, section 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkStatus {
    /// `namespace/name` of the NAD, or the default network's name.
    pub name: String,
    /// The interface in the pod, as its plugin calls it.
    pub interface: String,
    /// Its addresses, without prefix lengths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<IpAddr>,
    /// Its hardware address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Its MTU in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Whether this is the pod's default network.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// The resolver's configuration; written even where it is empty, as by Multus.
    pub dns: Dns,
    /// The device of the interface.
    #[serde(rename = "device-info", skip_serializing_if = "Option::is_none")]
    pub device_info: Option<DeviceInfo>,
    /// The gateways of its default routes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gateway: Vec<IpAddr>,
}

/// `device-info` of a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceInfo {
    /// A PCI device of which no file says more.
    Pci(PciAddress),
    /// What the device information file says, in the form of its specification.
    File(Map<String, Value>),
}

impl Serialize for DeviceInfo {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Pci(address) => json!({
                "type": "pci",
                "version": DEVICE_INFO_VERSION,
                "pci": {"pci-address": address},
            })
            .serialize(serializer),
            Self::File(said) => said.serialize(serializer),
        }
    }
}

/// Returns the annotation's text in Multus' form, which people and scripts see: each entry indented by four, one
/// after the other in a list.
pub fn annotation(statuses: &[NetworkStatus]) -> String {
    let entries: Vec<String> = statuses.iter().map(indented).collect();
    format!("[{}]", entries.join(","))
}

fn indented(status: &NetworkStatus) -> String {
    let mut text = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"    ");
    // Texts and numbers only: serializing them cannot fail, and they are UTF-8.
    let _ = status.serialize(&mut Serializer::with_formatter(&mut text, formatter));
    String::from_utf8(text).unwrap_or_default()
}

/// Returns the entries of a chain's attachment; none before all its plugins have succeeded.
pub fn statuses_of(record: &Record) -> Vec<NetworkStatus> {
    let Some(chain) = &record.chain else { return Vec::new() };
    let Some(result) = &chain.result else { return Vec::new() };
    let subject = Subject {
        name: record.network_name(),
        ifname: &record.ifname,
        is_default: chain.is_default(),
        device: chain.device,
        device_info: chain.device_info.as_ref(),
    };
    subject.statuses(result)
}

/// The attachment that entries are about.
struct Subject<'a> {
    name: String,
    ifname: &'a LinkName,
    is_default: bool,
    device: Option<PciAddress>,
    device_info: Option<&'a Map<String, Value>>,
}

impl Subject<'_> {
    /// Returns an entry for each interface in the pod, and one of the attachment's own name where the
    /// result has none.
    fn statuses(&self, result: &CniResult) -> Vec<NetworkStatus> {
        let in_pod: Vec<(usize, &Interface)> = result
            .interfaces
            .iter()
            .enumerate()
            .filter(|(_, interface)| {
                interface.sandbox.as_ref().is_some_and(|path| !path.is_empty())
            })
            .collect();
        let is_only_one = result.interfaces.len() == 1;
        let (Some((last, interface)), Some((first, _))) = (in_pod.last(), in_pod.first()) else {
            return vec![self.status(None, result, all_ips(result), self.is_default)];
        };
        if is_only_one {
            return vec![self.status(Some(interface), result, all_ips(result), self.is_default)];
        }
        let default = default_interface(&in_pod, result).unwrap_or(*first);
        let mut statuses = Vec::new();
        for (index, interface) in &in_pod {
            // An address that names no interface is given to the last one, as in Multus.
            let ips = result.ips.iter().filter(|ip| ip.interface.unwrap_or(*last) == *index);
            let ips = ips.map(|ip| ip.address.addr()).collect();
            let is_default = self.is_default && default == *index;
            statuses.push(self.status(Some(interface), result, ips, is_default));
        }
        statuses
    }

    fn status(
        &self,
        interface: Option<&Interface>,
        result: &CniResult,
        ips: Vec<IpAddr>,
        is_default: bool,
    ) -> NetworkStatus {
        let pci_id = interface.and_then(|interface| interface.pci_id.as_ref()?.parse().ok());
        NetworkStatus {
            name: self.name.clone(),
            interface: interface
                .map_or_else(|| self.ifname.to_string(), |interface| interface.name.clone()),
            ips,
            mac: interface.and_then(|interface| interface.mac.clone()),
            mtu: interface.and_then(|interface| interface.mtu),
            default: is_default,
            dns: result.dns.clone(),
            device_info: match self.device_info {
                Some(said) => Some(DeviceInfo::File(said.clone())),
                None => self.device.or(pci_id).map(DeviceInfo::Pci),
            },
            gateway: gateways(result),
        }
    }
}

fn all_ips(result: &CniResult) -> Vec<IpAddr> {
    result.ips.iter().map(|ip| ip.address.addr()).collect()
}

/// Returns which of several interfaces the default network's entry is about: the first one that has an
/// address with a gateway.
fn default_interface(in_pod: &[(usize, &Interface)], result: &CniResult) -> Option<usize> {
    let with_gateway = result.ips.iter().filter(|ip| ip.gateway.is_some());
    with_gateway
        .filter_map(|ip| ip.interface)
        .find(|index| in_pod.iter().any(|(in_pod, _)| in_pod == index))
}

/// Returns the next hops of the default routes, each once. A route without one has its address's gateway;
/// a route on the link itself has none.
fn gateways(result: &CniResult) -> Vec<IpAddr> {
    let mut gateways = Vec::new();
    for route in result.routes.iter().filter(|route| route.dst.prefix_len() == 0) {
        let is_v4 = route.dst.addr().is_ipv4();
        let mut of_addresses = result.ips.iter().filter_map(|ip| ip.gateway);
        let gateway = route.gw.or_else(|| of_addresses.find(|gateway| gateway.is_ipv4() == is_v4));
        gateways.extend(gateway.filter(|gateway| !gateways.contains(gateway)));
    }
    gateways
}

#[cfg(test)]
mod tests;
