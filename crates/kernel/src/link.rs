//! A network interface as `RTM_GETLINK` shows it, and how it is named: namespace and name.

use std::fmt;

use podbond_names::{LinkName, Mac, PciAddress};
use serde::{Deserialize, Serialize};

use crate::bond::{Aggregator, BondOptions, PortState};
use crate::{LinkAttributes, Vlan};

/// The two network namespaces that a plugin deals with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Netns {
    /// The node's own, in which the plugin is started.
    Host,
    /// The pod's, given by `CNI_NETNS`.
    Pod,
}

impl fmt::Display for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Pod => "pod",
        })
    }
}

/// Names a link: the namespace that it is in, and its name there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LinkRef {
    /// The namespace that holds the link.
    pub netns: Netns,
    /// The link's name in it.
    pub name: LinkName,
}

impl LinkRef {
    /// Names a link of the node.
    pub fn host(name: LinkName) -> Self {
        Self { netns: Netns::Host, name }
    }

    /// Names a link of the pod.
    pub fn pod(name: LinkName) -> Self {
        Self { netns: Netns::Pod, name }
    }
}

impl fmt::Display for LinkRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.netns)
    }
}

/// The administrative state of a link: the kernel's `IFF_UP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// `IFF_UP` is set.
    Up,
    /// `IFF_UP` is not set.
    Down,
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// A link of another namespace, as the kernel names it to those of one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkElsewhere {
    /// The number that the other namespace has in this one.
    pub netns_id: i32,
    /// The link's index in it.
    pub index: u32,
}

/// A network interface as `RTM_GETLINK` shows it, without statistics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// `ifi_index`.
    pub index: u32,
    /// `IFLA_IFNAME`.
    pub name: LinkName,
    /// `IFLA_PROP_LIST`: further names, up to 127 bytes each.
    pub altnames: Vec<String>,
    /// `IFLA_INFO_KIND`: `bond`, `vlan`, …; none for a hardware link.
    pub kind: Option<String>,
    /// `IFLA_ADDRESS`, where it is an Ethernet address.
    pub mac: Option<Mac>,
    /// `IFLA_PERM_ADDRESS`: what the hardware or driver gave it.
    pub permanent_mac: Option<Mac>,
    /// `IFLA_MTU` in bytes.
    pub mtu: u32,
    /// `IFLA_MAX_MTU` in bytes; 0 when the driver sets no limit.
    pub max_mtu: u32,
    /// `IFF_UP`.
    pub state: LinkState,
    /// `IFLA_CARRIER`: the link's other end is there. False while the link is down.
    pub carrier: bool,
    /// `IFLA_MASTER`: the index of the bond or bridge that this link is a port of.
    pub master: Option<u32>,
    /// `IFLA_LINK`: the index of the link that this one stands on, in the same namespace; a veth's is its
    /// other end.
    #[serde(default)]
    pub lower: Option<u32>,
    /// `IFLA_LINK` and `IFLA_LINK_NETNSID`, where that link is in another namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower_elsewhere: Option<LinkElsewhere>,
    /// Flags, queue, alias and group.
    #[serde(default)]
    pub attributes: LinkAttributes,
    /// `IFLA_PARENT_DEV_NAME`: the PCI function behind the link. Before Linux 5.14, ethtool's `bus-info`.
    pub parent: Option<PciAddress>,
    /// `IFLA_INFO_DATA` and `IFLA_LINK` of a VLAN interface.
    pub vlan: Option<Vlan>,
    /// `IFLA_INFO_DATA` of a bond.
    pub bond: Option<BondOptions>,
    /// `IFLA_BOND_AD_INFO` of an 802.3ad bond; none while no aggregator of it is in use.
    #[serde(default)]
    pub aggregator: Option<Aggregator>,
    /// `IFLA_INFO_SLAVE_DATA` of a bond's port.
    pub port: Option<PortState>,
}

impl Link {
    /// Returns a link that is down and of which nothing else is shown.
    pub fn new(index: u32, name: LinkName) -> Self {
        Self {
            index,
            name,
            altnames: Vec::new(),
            kind: None,
            mac: None,
            permanent_mac: None,
            mtu: 0,
            max_mtu: 0,
            state: LinkState::Down,
            carrier: false,
            master: None,
            lower: None,
            lower_elsewhere: None,
            attributes: LinkAttributes::default(),
            parent: None,
            vlan: None,
            bond: None,
            aggregator: None,
            port: None,
        }
    }

    /// Returns its ports among the links of its namespace, where it is a bond or a bridge.
    pub fn ports<'l>(&self, links: &'l [Self]) -> impl Iterator<Item = &'l Self> + use<'l> {
        let index = self.index;
        links.iter().filter(move |link| link.master == Some(index))
    }

    /// Returns the name of the link with this index.
    pub fn name_at(index: Option<u32>, links: &[Self]) -> Option<LinkName> {
        let link = links.iter().find(|link| Some(link.index) == index)?;
        Some(link.name.clone())
    }
}
