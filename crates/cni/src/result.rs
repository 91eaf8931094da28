//! Results of an ADD, in the terms of the newest CNI version; older versions are made from it.

use std::net::IpAddr;

use ipnet::IpNet;
use podbond_names::Mac;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Failure, Version};

mod read;
mod write;

/// Keys that are not the specification's, of whatever else a plugin says: they pass through unchanged.
pub type Unknown = Map<String, Value>;

/// The result of an ADD.
///
/// What another plugin says of its interfaces passes through as it is, whether or not a link could have such
/// a name or address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CniResult {
    /// The interfaces that the attachment made.
    #[serde(deserialize_with = "read::or_default", skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
    /// The addresses.
    #[serde(deserialize_with = "read::or_default", skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<IpConfig>,
    /// The routes.
    #[serde(deserialize_with = "read::or_default", skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// The resolver's configuration.
    #[serde(deserialize_with = "read::or_default", skip_serializing_if = "Dns::is_empty")]
    pub dns: Dns,
    /// Other keys.
    #[serde(skip)]
    pub unknown: Unknown,
}

/// One interface of a result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Interface {
    /// Its name, as its plugin gives it.
    #[serde(deserialize_with = "read::or_default")]
    pub name: String,
    /// Its hardware address, as its plugin gives it: an Ethernet address, InfiniBand's 20 bytes, or whatever
    /// text.
    #[serde(default, deserialize_with = "read::text", skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Its MTU in bytes (1.1.0).
    #[serde(default, deserialize_with = "read::mtu", skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The namespace path, for an interface inside the container.
    #[serde(default, deserialize_with = "read::text", skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// Path of a socket of a user-space interface (1.1.0).
    #[serde(default, deserialize_with = "read::text", skip_serializing_if = "Option::is_none")]
    pub socket_path: Option<String>,
    /// PCI address of the device behind it (1.1.0).
    #[serde(
        rename = "pciID",
        default,
        deserialize_with = "read::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub pci_id: Option<String>,
    /// Other keys.
    #[serde(skip)]
    pub unknown: Unknown,
}

impl Interface {
    /// Returns its Ethernet address; none where it has none, or one of another kind.
    pub fn ethernet(&self) -> Option<Mac> {
        self.mac.as_ref()?.parse().ok()
    }
}

/// One address of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpConfig {
    /// The address and its prefix length.
    #[serde(deserialize_with = "read::prefix")]
    pub address: IpNet,
    /// The gateway of its subnet.
    #[serde(default, deserialize_with = "read::text", skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Which of `interfaces` carries it; none too where a plugin writes a negative number.
    #[serde(default, deserialize_with = "read::index", skip_serializing_if = "Option::is_none")]
    pub interface: Option<usize>,
    /// Other keys.
    #[serde(skip)]
    pub unknown: Unknown,
}

impl IpConfig {
    /// Returns an address without gateway, of no interface yet.
    pub fn new(address: IpNet) -> Self {
        Self { address, gateway: None, interface: None, unknown: Unknown::new() }
    }
}

/// One route of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Destination.
    #[serde(deserialize_with = "read::prefix")]
    pub dst: IpNet,
    /// Next hop; none lets the address's gateway serve.
    #[serde(default, deserialize_with = "read::text", skip_serializing_if = "Option::is_none")]
    pub gw: Option<IpAddr>,
    /// MTU in bytes (1.1.0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Advertised MSS in bytes (1.1.0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advmss: Option<u32>,
    /// Metric (1.1.0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// Routing table (1.1.0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// Scope (1.1.0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<u8>,
    /// Other keys.
    #[serde(skip)]
    pub unknown: Unknown,
}

impl Route {
    /// Returns a route with nothing but its destination and next hop.
    pub fn new(dst: IpNet, gw: Option<IpAddr>) -> Self {
        Self {
            dst,
            gw,
            mtu: None,
            advmss: None,
            priority: None,
            table: None,
            scope: None,
            unknown: Unknown::new(),
        }
    }
}

/// The resolver's configuration of a result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// Name servers, in order.
    #[serde(deserialize_with = "read::or_default", skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// The local domain.
    #[serde(deserialize_with = "read::text", skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Search domains, in order.
    #[serde(deserialize_with = "read::or_default", skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options for the resolver.
    #[serde(deserialize_with = "read::or_default", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Other keys.
    #[serde(skip)]
    pub unknown: Unknown,
}

impl Dns {
    /// Returns these settings, with those of `other` in each field that is empty.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let first = |own: Vec<String>, other| if own.is_empty() { other } else { own };
        Self {
            nameservers: first(self.nameservers, other.nameservers),
            domain: self.domain.or(other.domain),
            search: first(self.search, other.search),
            options: first(self.options, other.options),
            unknown: other.unknown.into_iter().chain(self.unknown).collect(),
        }
    }
}

impl CniResult {
    /// Returns the result as this version of the specification writes it, `cniVersion` included. What the
    /// version cannot say is left out: interfaces, second addresses of a family and routes of a
    /// family without address before 0.3.0, and what 1.1.0 added: to interfaces before it, to routes before 0.3.0.
    pub fn to_value(&self, version: Version) -> Value {
        write::result(self, version)
    }

    /// Reads a result of any version; without `cniVersion` it is of `assumed`. Keys that are not
    /// the specification's are kept, each where it stands.
    pub fn from_value(value: &Value, assumed: Version) -> Result<Self, Failure> {
        read::result(value, assumed)
    }
}

impl Dns {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
