use std::net::IpAddr;

use ipnet::IpNet;
use podbond_names::{LinkName, Mac};
use serde::Deserialize;
use serde_json::Value;

use crate::{Failure, Version};

mod read;
mod write;

/// The result of an ADD, in the newest version's terms; older versions are made from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CniResult {
    /// The interfaces that the attachment made.
    pub interfaces: Vec<Interface>,
    /// The addresses.
    pub ips: Vec<IpConfig>,
    /// The routes.
    pub routes: Vec<Route>,
    /// The resolver's configuration.
    pub dns: Dns,
}

/// One interface of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: LinkName,
    /// Its address.
    pub mac: Option<Mac>,
    /// Its MTU in bytes (1.1.0).
    pub mtu: Option<u32>,
    /// The namespace path, for an interface inside the container.
    pub sandbox: Option<String>,
    /// Path of a socket of a user-space interface (1.1.0).
    pub socket_path: Option<String>,
    /// PCI address of the device behind it (1.1.0).
    pub pci_id: Option<String>,
}

/// One address of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpConfig {
    /// The address and its prefix length.
    pub address: IpNet,
    /// The gateway of its subnet.
    pub gateway: Option<IpAddr>,
    /// Which of `interfaces` carries it.
    pub interface: Option<usize>,
}

/// One route of a result, and of the configuration of IPAM plugins.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "read::WireRoute")]
pub struct Route {
    /// Destination.
    pub dst: IpNet,
    /// Next hop; none lets the address's gateway serve.
    pub gw: Option<IpAddr>,
    /// MTU in bytes (1.1.0).
    pub mtu: Option<u32>,
    /// Advertised MSS in bytes (1.1.0).
    pub advmss: Option<u32>,
    /// Metric (1.1.0).
    pub priority: Option<u32>,
    /// Routing table (1.1.0).
    pub table: Option<u32>,
    /// Scope (1.1.0).
    pub scope: Option<u8>,
}

/// The resolver's configuration of a result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dns {
    /// Name servers, in order.
    pub nameservers: Vec<String>,
    /// The local domain.
    pub domain: Option<String>,
    /// Search domains, in order.
    pub search: Vec<String>,
    /// Options for the resolver.
    pub options: Vec<String>,
}

impl CniResult {
    /// The result as this version of the specification writes it, `cniVersion` included. What the
    /// version cannot say is left out: interfaces, second addresses of a family and routes of a
    /// family without address before 0.3.0, what 1.1.0 added to interfaces and routes before it.
    pub fn to_value(&self, version: Version) -> Value {
        write::result(self, version)
    }

    /// Reads a result of any version; without `cniVersion` it is of `assumed`. Keys that are not
    /// the specification's are ignored, and so is a hardware address that is no Ethernet address,
    /// like InfiniBand's.
    pub fn from_value(value: &Value, assumed: Version) -> Result<Self, Failure> {
        read::result(value, assumed)
    }
}
