mod details;
mod overview;
#[cfg(test)]
mod testing;

use podbond_api::ObjectKey;
use podbond_bond::{Finding, bond_findings};
use podbond_kernel::{
    Aggregator, Kernel, LacpPort, Link, LinkRef, LinkState, NamedNetns, Netns, VlanProtocol,
};
use podbond_names::{LinkName, Mac, PciAddress};
use serde::Serialize;
use serde_json::Value;

use crate::cli::{Output, PodsArgs};
use crate::damage;
use crate::error::Error;
use crate::node::Node;
use crate::output::say;
use crate::owed::{self, OwedLease};
use crate::store::{PodRecord, Stored};

use details::Wanted;

/// The pods as they are now, and what is left of others.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    pods: Vec<PodStatus>,
    /// Leases that IPAM plugins have not taken back.
    owed_leases: Vec<OwedLease>,
    /// What is wrong beside the pods' bonds.
    findings: Vec<Finding>,
}

/// A pod as it is now.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PodStatus {
    namespace: String,
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
    let mut stored = node.store.pods(args.namespace.as_ref())?;
    if let Some(name) = &args.pod {
        let namespace = args.namespace.clone().unwrap_or_default();
        let key = ObjectKey { namespace, name: name.clone() };
        stored.retain(|(pod, _)| *pod == key);
        if stored.is_empty() {
            return Err(Error::NoSuchPod { key });
        }
    }
    let (mut pods, mut errors) = (Vec::new(), Vec::new());
    for (key, record) in &stored {
        match look_at(key, record.as_ref().ok()) {
            Ok(pod) => pods.push(pod),
            // One pod's misfortune is not the next one's.
            Err(error) => errors.push(Error::NotSeen { key: key.clone(), source: Box::new(error) }),
        }
    }
    let beside = Beside::of(node, args, &stored);
    match args.output {
        Output::Json => {
            let status = Status { pods, owed_leases: beside.owed, findings: beside.findings };
            say(serde_json::to_string_pretty(&status).unwrap_or_default());
        }
        Output::Text => {
            if stored.is_empty() {
                say("no pods here");
            } else {
                overview::table(&pods).lines().iter().for_each(say);
            }
            let wanted = if args.pod.is_some() { Wanted::All } else { Wanted::Findings };
            details::lines(&pods, wanted).iter().for_each(say);
            details::beside(&beside.findings).iter().for_each(say);
        }
    }
    Error::gather(errors)
}

/// What is wrong beside the pods' bonds, of those pods that were asked for.
struct Beside {
    owed: Vec<OwedLease>,
    findings: Vec<Finding>,
}

impl Beside {
    fn of(node: &Node<'_>, args: &PodsArgs, stored: &[Stored]) -> Self {
        let mut owed = owed::leases();
        let mut findings = if args.pod.is_none() && args.namespace.is_none() {
            damage::findings(node)
        } else {
            owed.retain(|lease| {
                lease.is_of(|pod| match args.pod {
                    Some(_) => stored.iter().any(|(key, _)| key == pod),
                    None => Some(&pod.namespace) == args.namespace.as_ref(),
                })
            });
            stored
                .iter()
                .filter_map(|(_, record)| damage::finding(record.as_ref().err()?))
                .collect()
        };
        findings.extend(owed.iter().map(OwedLease::finding));
        Self { owed, findings }
    }
}

/// A pod, whether or not its record can be read.
fn look_at(key: &ObjectKey, record: Option<&PodRecord>) -> Result<PodStatus, Error> {
    let netns = NamedNetns::find(&PodRecord::netns_name(key))?;
    let interfaces = match &netns {
        Some(netns) => interfaces(&mut Kernel::with_pod(netns.path())?)?,
        None => Vec::new(),
    };
    Ok(PodStatus {
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        netns: netns.map(|netns| netns.path().display().to_string()),
        interfaces,
        network_status: record.map(|record| record.network_status.clone()).unwrap_or_default(),
    })
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
