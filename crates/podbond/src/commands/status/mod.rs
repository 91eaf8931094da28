//! `podbond status`: shows pods with their bonds, ports, VFs and addresses.

mod details;
mod observe;
mod overview;
#[cfg(test)]
mod testing;

use podbond_bond::Finding;
use podbond_kernel::{Aggregator, LacpPort, LinkState, VlanProtocol};
use podbond_names::{LinkName, Mac};
use serde::Serialize;
use serde_json::Value;

use self::details::Details;
use super::links::Function;
use crate::arguments::{Output, PodsArgs, Selection};
use crate::error::Error;
use crate::node::{Node, PendingLease, Pod, Pods, unreadable_file, unreadable_files};
use crate::output::{say, say_json};

/// The answer as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    pods: Vec<PodStatus>,
    /// The leases that are pending at IPAM plugins.
    pending_leases: Vec<PendingLease>,
    /// All findings but those about bonds.
    findings: Vec<Finding>,
}

/// A pod as it is now.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PodStatus {
    /// How people are shown it.
    #[serde(skip)]
    title: String,
    /// Its Kubernetes namespace; empty where the runtime gave none.
    namespace: String,
    /// Its name, or the ID of its container.
    name: String,
    /// The path of its network namespace; none when that is gone.
    netns: Option<String>,
    interfaces: Vec<InterfaceStatus>,
    /// What the annotation `k8s.v1.cni.cncf.io/network-status` holds in a cluster.
    network_status: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InterfaceStatus {
    name: LinkName,
    state: LinkState,
    carrier: bool,
    mac: Option<Mac>,
    mtu: u32,
    addresses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<Function>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vlan: Option<VlanStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bond: Option<BondStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<PortStatus>,
}

/// A VLAN interface. Its bond is an interface of its own.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VlanStatus {
    id: u16,
    protocol: VlanProtocol,
    /// The lower link.
    on: Option<LinkName>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BondStatus {
    mode: &'static str,
    active_port: Option<LinkName>,
    /// The aggregator in use of an 802.3ad bond.
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregator: Option<AggregatorStatus>,
    /// What is wrong with it.
    findings: Vec<Finding>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AggregatorStatus {
    id: u16,
    ports: u16,
    actor_key: u16,
    partner_key: u16,
    /// None while no LACPDU has come.
    partner_mac: Option<Mac>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PortStatus {
    bond: Option<LinkName>,
    active: bool,
    /// The MII state, which the bond's delays and ARP monitoring put off.
    counts_as_up: bool,
    link_failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    lacp: Option<LacpStatus>,
}

/// The LACP states of both ends of a port, in words.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LacpStatus {
    aggregator: u16,
    actor: Vec<&'static str>,
    partner: Vec<&'static str>,
}

impl InterfaceStatus {
    /// Returns the bond that it is a port of.
    fn bond_name(&self) -> Option<&LinkName> {
        self.port.as_ref()?.bond.as_ref()
    }
}

impl From<&Aggregator> for AggregatorStatus {
    fn from(aggregator: &Aggregator) -> Self {
        Self {
            id: aggregator.id,
            ports: aggregator.ports,
            actor_key: aggregator.actor_key,
            partner_key: aggregator.partner_key,
            partner_mac: aggregator.partner,
        }
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
    fn ports_of<'s>(
        &'s self,
        bond: &'s InterfaceStatus,
    ) -> impl Iterator<Item = &'s InterfaceStatus> {
        self.interfaces.iter().filter(|one| one.bond_name() == Some(&bond.name))
    }
}

/// Shows pods with their bonds, ports, VFs and addresses; of one pod each port of its bonds as well. A
/// pod of which only pending leases are left is not shown, but its leases are.
pub(crate) fn status(node: &Node<'_>, args: &PodsArgs) -> Result<(), Error> {
    let selection = args.selection();
    let Pods { pods, unreadable } = Pods::read(node, &selection)?;
    let (mut shown, mut errors) = (Vec::new(), Vec::new());
    for pod in pods.iter().filter(|pod| !pod.is_over()) {
        match observe::pod(pod) {
            Ok(pod) => shown.push(pod),
            // A pod that cannot be read does not keep the others from being shown.
            Err(error) => {
                let source = Box::new(error);
                errors.push(Error::PodUnreadable { pod: pod.name.clone(), source });
            }
        }
    }
    let mut findings = match selection {
        Selection::All => unreadable_files(node, &unreadable),
        _ => pods.iter().filter_map(finding_of).collect(),
    };
    let pending_leases = PendingLease::of_all(&pods);
    findings.extend(pending_leases.iter().map(PendingLease::finding));
    match args.output {
        Output::Json => say_json(&Status { pods: shown, pending_leases, findings }),
        Output::Text => {
            if shown.is_empty() && errors.is_empty() {
                say("no pods here");
            } else {
                overview::table(&shown).lines().iter().for_each(say);
            }
            let details = match selection {
                Selection::Pod(_) => Details::BondsAndFindings,
                Selection::All | Selection::Namespace(_) => Details::Findings,
            };
            details::lines(&shown, details).iter().for_each(say);
            details::finding_paragraphs(&findings).iter().for_each(say);
        }
    }
    Error::gather(errors)
}

/// Returns the finding for what `podbond apply` recorded of a pod, if that cannot be read.
fn finding_of(pod: &Pod) -> Option<Finding> {
    unreadable_file(pod.applied.as_ref()?.as_ref().err()?)
}
