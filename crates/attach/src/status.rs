use std::net::IpAddr;

use podbond_cni::{CniResult, Dns, Interface};
use podbond_names::{LinkName, Mac, PciAddress};
use podbond_record::Record;
use serde::{Serialize, Serializer};
use serde_json::json;

/// The version of the Device Information Specification that `device-info` follows.
const DEVICE_INFO_VERSION: &str = "1.1.0";

/// One entry of the annotation `k8s.v1.cni.cncf.io/network-status` (multi-net-spec 1.3, section 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkStatus {
    /// `namespace/name` of the NAD, or the default network's name.
    pub name: String,
    /// The interface in the pod.
    pub interface: LinkName,
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

/// `device-info` of a status: a PCI device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its address.
    pub pci_address: PciAddress,
}

impl Serialize for DeviceInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({
            "type": "pci",
            "version": DEVICE_INFO_VERSION,
            "pci": {"pci-address": self.pci_address},
        })
        .serialize(serializer)
    }
}

/// The annotation's text.
pub fn annotation(statuses: &[NetworkStatus]) -> String {
    // Texts and numbers only: serializing them cannot fail.
    serde_json::to_string(statuses).unwrap_or_default()
}

/// Returns the status of a chain's attachment; empty where its ADD did not come to its end.
pub fn statuses_of(record: &Record) -> Vec<NetworkStatus> {
    let Some(chain) = &record.chain else { return Vec::new() };
    let Some(result) = &chain.result else { return Vec::new() };
    let subject = Subject {
        name: record.network_name(),
        ifname: &record.ifname,
        is_default: chain.nad.is_none(),
        device: chain.device,
    };
    statuses(&subject, result)
}

/// Whose status it is.
pub(crate) struct Subject<'a> {
    pub(crate) name: String,
    pub(crate) ifname: &'a LinkName,
    pub(crate) is_default: bool,
    pub(crate) device: Option<PciAddress>,
}

/// The status of an attachment: an entry for each interface in the pod, and one of the attachment's
/// own name where the result tells of none.
pub(crate) fn statuses(subject: &Subject<'_>, result: &CniResult) -> Vec<NetworkStatus> {
    let inside: Vec<(usize, &Interface)> = result
        .interfaces
        .iter()
        .enumerate()
        .filter(|(_, interface)| interface.sandbox.as_ref().is_some_and(|path| !path.is_empty()))
        .collect();
    let entry = |interface: Option<&Interface>, ips, is_default| {
        let pci_id = || interface.and_then(|interface| interface.pci_id.as_ref()?.parse().ok());
        NetworkStatus {
            name: subject.name.clone(),
            interface: interface.map_or(subject.ifname, |interface| &interface.name).clone(),
            ips,
            mac: interface.and_then(|interface| interface.mac),
            mtu: interface.and_then(|interface| interface.mtu),
            default: is_default,
            dns: dns(&result.dns),
            device_info: subject
                .device
                .or_else(pci_id)
                .map(|pci_address| DeviceInfo { pci_address }),
            gateway: gateways(result),
        }
    };
    let all_ips = || result.ips.iter().map(|ip| ip.address.addr()).collect();
    match inside.as_slice() {
        [] => vec![entry(None, all_ips(), subject.is_default)],
        [(_, interface)] if result.interfaces.len() == 1 => {
            vec![entry(Some(interface), all_ips(), subject.is_default)]
        }
        several => {
            let default = subject.is_default.then(|| default_interface(several, result)).flatten();
            let last = several.last().map(|(index, _)| *index);
            several
                .iter()
                .map(|&(index, interface)| {
                    // An address that names no interface is given to the last one, as in Multus.
                    let is_its = |of: Option<usize>| of.or(last) == Some(index);
                    let ips = result.ips.iter().filter(|ip| is_its(ip.interface));
                    let ips = ips.map(|ip| ip.address.addr()).collect();
                    entry(Some(interface), ips, default == Some(index))
                })
                .collect()
        }
    }
}

/// Which of several interfaces the default network's entry is about: the first one that has an
/// address with a gateway, or just the first one.
fn default_interface(inside: &[(usize, &Interface)], result: &CniResult) -> Option<usize> {
    let with_gateway = result.ips.iter().filter(|ip| ip.gateway.is_some());
    with_gateway
        .filter_map(|ip| ip.interface)
        .find(|index| inside.iter().any(|(inside, _)| inside == index))
        .or_else(|| inside.first().map(|(index, _)| *index))
}

/// The next hops of the default routes. A route without one leaves through its address's gateway;
/// a route on the link itself has none at all.
fn gateways(result: &CniResult) -> Vec<IpAddr> {
    let mut gateways = Vec::new();
    for route in result.routes.iter().filter(|route| route.dst.prefix_len() == 0) {
        let is_its = |gateway: &IpAddr| gateway.is_ipv4() == route.dst.addr().is_ipv4();
        let of_address = || result.ips.iter().filter_map(|ip| ip.gateway).find(is_its);
        let gateway = route.gw.or_else(of_address);
        if let Some(gateway) = gateway
            && !gateways.contains(&gateway)
        {
            gateways.push(gateway);
        }
    }
    gateways
}

fn dns(dns: &Dns) -> StatusDns {
    let Dns { nameservers, domain, search, options } = dns.clone();
    StatusDns { nameservers, domain, search, options }
}

#[cfg(test)]
mod tests;
