mod details;
mod overview;
#[cfg(test)]
mod testing;

use std::fmt;

use podbond_api::ObjectKey;
use podbond_attach::statuses_of;
use podbond_bond::{Finding, bond_findings};
use podbond_kernel::{Aggregator, Kernel, LacpPort, Link, LinkRef, LinkState, Netns, VlanProtocol};
use podbond_names::{LinkName, Mac, PciAddress};
use serde::Serialize;
use serde_json::Value;

use crate::cli::{Output, PodsArgs};
use crate::error::Error;
use crate::node::Node;
use crate::output::say;
use crate::pending::PendingLease;
use crate::pods::{Pod, Pods};
use crate::unreadable;

use details::Wanted;

/// The pods as they are now, and what is left of others.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    pods: Vec<PodStatus>,
    /// Leases that IPAM plugins have not taken back.
    pending_leases: Vec<PendingLease>,
    /// What is wrong beside the pods' bonds.
    findings: Vec<Finding>,
}

/// A pod as it is now.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PodStatus {
    /// Its Kubernetes namespace; empty where the runtime told none.
    namespace: String,
    /// Its name, or its container's ID.
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
    function: Option<FunctionStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vlan: Option<VlanStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bond: Option<BondStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<PortStatus>,
}

/// The PCI function behind an interface.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FunctionStatus {
    pci: PciAddress,
    /// The PF's link; none where the function is no VF, or its PF has no link on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pf: Option<LinkName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vf: Option<u16>,
}

/// A VLAN interface. The bond beneath it is an interface of its own.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VlanStatus {
    id: u16,
    protocol: VlanProtocol,
    /// The link beneath.
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
    /// What is not as it should be.
    findings: Vec<Finding>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AggregatorStatus {
    id: u16,
    ports: u16,
    actor_key: u16,
    partner_key: u16,
    /// None: no LACPDU tells of a partner.
    partner_mac: Option<Mac>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PortStatus {
    bond: Option<LinkName>,
    active: bool,
    /// Whether the bond counts the link as up, which delays and ARP monitoring put off.
    counts_as_up: bool,
    link_failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    lacp: Option<LacpStatus>,
}

/// What LACP knows of a port; the states in words.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LacpStatus {
    aggregator: u16,
    actor: Vec<&'static str>,
    partner: Vec<&'static str>,
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

impl fmt::Display for PodStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

impl PodStatus {
    /// The ports of one of its bonds.
    fn ports_of<'s>(
        &'s self,
        bond: &'s InterfaceStatus,
    ) -> impl Iterator<Item = &'s InterfaceStatus> {
        let of_this = move |port: &PortStatus| port.bond.as_ref() == Some(&bond.name);
        self.interfaces.iter().filter(move |one| one.port.as_ref().is_some_and(of_this))
    }
}

/// Shows pods with their bonds, ports, VFs and addresses; of one pod, what its bonds know of each
/// port as well.
pub(crate) fn status(node: &Node<'_>, args: &PodsArgs) -> Result<(), Error> {
    let mut all = Pods::of(node)?;
    if let Some(name) = &args.pod {
        let namespace = args.namespace.clone().unwrap_or_default();
        let key = ObjectKey { namespace, name: name.clone() };
        all.retain(|pod| *pod == key);
        if all.pods.is_empty() {
            return Err(Error::NoSuchPod { key });
        }
    } else if let Some(namespace) = &args.namespace {
        all.retain(|pod| pod.namespace == *namespace);
    }
    let (mut pods, mut errors) = (Vec::new(), Vec::new());
    for pod in &all.pods {
        match look_at(pod) {
            Ok(pod) => pods.push(pod),
            // One pod's misfortune is not the next one's.
            Err(error) => {
                errors.push(Error::NotSeen { pod: pod.name.clone(), source: Box::new(error) });
            }
        }
    }
    let pending_leases: Vec<PendingLease> =
        all.pods.iter().flat_map(|pod| &pod.records).filter_map(PendingLease::of).collect();
    let mut findings = if args.pod.is_none() && args.namespace.is_none() {
        unreadable::findings(node, &all.unreadable)
    } else {
        all.pods.iter().filter_map(finding_of).collect()
    };
    findings.extend(pending_leases.iter().map(PendingLease::finding));
    match args.output {
        Output::Json => {
            let status = Status { pods, pending_leases, findings };
            say(serde_json::to_string_pretty(&status).unwrap_or_default());
        }
        Output::Text => {
            if all.pods.is_empty() {
                say("no pods here");
            } else {
                overview::table(&pods).lines().iter().for_each(say);
            }
            let wanted = if args.pod.is_some() { Wanted::All } else { Wanted::Findings };
            details::lines(&pods, wanted).iter().for_each(say);
            details::beside(&findings).iter().for_each(say);
        }
    }
    Error::gather(errors)
}

/// Returns the finding for what was noted of a pod that `apply` made and cannot be read.
fn finding_of(pod: &Pod) -> Option<Finding> {
    unreadable::finding(pod.applied.as_ref()?.as_ref().err()?)
}

fn look_at(pod: &Pod) -> Result<PodStatus, Error> {
    let interfaces = match &pod.netns {
        Some(netns) => interfaces(&mut Kernel::with_pod(netns)?)?,
        None => Vec::new(),
    };
    let (namespace, name) = match &pod.key {
        Some(key) => (key.namespace.to_string(), key.name.to_string()),
        None => (String::new(), pod.name.clone()),
    };
    Ok(PodStatus {
        namespace,
        name,
        netns: pod.netns.as_ref().map(|netns| netns.display().to_string()),
        interfaces,
        network_status: network_status(pod),
    })
}

/// Returns the pod's network status, as `apply` noted it or as its records tell it.
fn network_status(pod: &Pod) -> Value {
    match &pod.applied {
        Some(Ok(applied)) => applied.network_status.clone(),
        Some(Err(_)) => Value::Null,
        None => {
            let statuses: Vec<_> = pod.records.iter().flat_map(statuses_of).collect();
            if statuses.is_empty() {
                Value::Null
            } else {
                serde_json::to_value(statuses).unwrap_or_default()
            }
        }
    }
}

fn interfaces(kernel: &mut Kernel) -> Result<Vec<InterfaceStatus>, Error> {
    let links = kernel.links(Netns::Pod)?;
    let named = |index: Option<u32>| {
        index
            .and_then(|index| links.iter().find(|link| link.index == index))
            .map(|link| link.name.clone())
    };
    let mut interfaces = Vec::new();
    for link in links.iter().filter(|link| link.name.as_str() != "lo") {
        let addresses = kernel.addresses(&LinkRef::pod(link.name.clone()))?;
        interfaces.push(InterfaceStatus {
            name: link.name.clone(),
            state: link.state,
            carrier: link.carrier,
            mac: link.mac,
            mtu: link.mtu,
            addresses: addresses.iter().map(ToString::to_string).collect(),
            function: function(kernel, link)?,
            vlan: link.vlan.map(|vlan| VlanStatus {
                id: vlan.tag.id,
                protocol: vlan.tag.protocol,
                on: named(Some(vlan.lower)),
            }),
            bond: link.bond.as_ref().map(|bond| BondStatus {
                mode: bond.mode.name(),
                active_port: named(bond.active_port),
                aggregator: link.aggregator.as_ref().map(AggregatorStatus::from),
                findings: bond_findings(link, &links),
            }),
            port: link.port.as_ref().map(|port| PortStatus {
                bond: named(link.master),
                active: port.active,
                counts_as_up: port.mii_up,
                link_failures: port.link_failures,
                lacp: port.lacp.as_ref().map(LacpStatus::from),
            }),
        });
    }
    Ok(interfaces)
}

fn function(kernel: &Kernel, link: &Link) -> Result<Option<FunctionStatus>, Error> {
    let Some(pci) = link.parent else { return Ok(None) };
    let sysfs = kernel.sysfs();
    let Some(pf) = sysfs.pf_of(pci)? else {
        return Ok(Some(FunctionStatus { pci, pf: None, vf: None }));
    };
    let vf = sysfs.vf_index(pf, pci)?;
    Ok(Some(FunctionStatus { pci, pf: sysfs.links_of(pf)?.into_iter().next(), vf }))
}
