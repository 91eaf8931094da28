//! What `podbond status` shows of each pod: its interfaces, bonds, ports and VLANs.

use podbond_bond::Finding;
use podbond_kernel::{LacpPort, LinkFunction, LinkState, VlanProtocol};
use podbond_names::{LinkName, Mac};
use serde::Serialize;
use serde_json::Value;

use crate::node::PendingLease;

/// The answer as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) pods: Vec<PodStatus>,
    /// The leases that are pending at IPAM plugins.
    pub(super) pending_leases: Vec<PendingLease>,
    /// All findings but those about bonds.
    pub(super) findings: Vec<Finding>,
}

/// A pod as it is now.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodStatus {
    /// How people are shown it.
    #[serde(skip)]
    pub(super) title: String,
    /// Its Kubernetes namespace; empty where the runtime gave none.
    pub(super) namespace: String,
    /// Its name, or the ID of its container.
    pub(super) name: String,
    /// The path of its network namespace; none when that is gone.
    pub(super) netns: Option<String>,
    pub(super) interfaces: Vec<InterfaceStatus>,
    /// What the annotation `k8s.v1.cni.cncf.io/network-status` holds in a cluster.
    pub(super) network_status: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InterfaceStatus {
    pub(super) name: LinkName,
    pub(super) state: LinkState,
    pub(super) carrier: bool,
    pub(super) mac: Option<Mac>,
    pub(super) mtu: u32,
    pub(super) addresses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function: Option<LinkFunction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vlan: Option<VlanStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bond: Option<BondStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<PortStatus>,
}

/// A VLAN interface. Its bond is an interface of its own.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VlanStatus {
    pub(super) id: u16,
    pub(super) protocol: VlanProtocol,
    /// The lower link.
    pub(super) on: Option<LinkName>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BondStatus {
    pub(super) mode: &'static str,
    pub(super) active_port: Option<LinkName>,
    /// The aggregator in use of an 802.3ad bond.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) aggregator: Option<AggregatorStatus>,
    /// What is wrong with it.
    pub(super) findings: Vec<Finding>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AggregatorStatus {
    pub(super) id: u16,
    pub(super) ports: u16,
    pub(super) actor_key: u16,
    pub(super) partner_key: u16,
    /// None while no LACPDU has come.
    pub(super) partner_mac: Option<Mac>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PortStatus {
    pub(super) bond: Option<LinkName>,
    pub(super) active: bool,
    /// The MII state, which the bond's delays and ARP monitoring put off.
    pub(super) counts_as_up: bool,
    pub(super) link_failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lacp: Option<LacpStatus>,
}

/// The LACP states of both ends of a port, in words.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LacpStatus {
    pub(super) aggregator: u16,
    pub(super) actor: Vec<&'static str>,
    pub(super) partner: Vec<&'static str>,
}

impl InterfaceStatus {
    /// Returns the bond that it is a port of.
    pub(super) fn bond_name(&self) -> Option<&LinkName> {
        self.port.as_ref()?.bond.as_ref()
    }
}

impl From<&LacpPort> for LacpStatus {
    fn from(port: &LacpPort) -> Self {
        let [actor, partner] = [port.actor, port.partner].map(|state| state.words().collect());
        Self { aggregator: port.aggregator, actor, partner }
    }
}

impl PodStatus {
    /// Returns the ports of one of its bonds.
    pub(super) fn ports_of<'s>(
        &'s self,
        bond: &'s InterfaceStatus,
    ) -> impl Iterator<Item = &'s InterfaceStatus> {
        self.interfaces.iter().filter(|one| one.bond_name() == Some(&bond.name))
    }
}
