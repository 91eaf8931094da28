//! Reads a pod's interfaces from the kernel and its network status from the records.

use podbond_attach::statuses_of;
use podbond_bond::bond_findings;
use podbond_kernel::{Kernel, Link, LinkFunction, LinkRef, Netns};
use serde_json::Value;

use super::report::{
    AggregatorStatus, BondStatus, InterfaceStatus, LacpStatus, PodStatus, PortStatus, VlanStatus,
};
use crate::error::Error;
use crate::node::Pod;

/// Returns the status of a pod, without interfaces where its network namespace is gone.
pub(super) fn pod(pod: &Pod) -> Result<PodStatus, Error> {
    let interfaces = match &pod.netns {
        Some(netns) => interfaces(&mut Kernel::with_pod(netns)?)?,
        None => Vec::new(),
    };
    let (namespace, name) = match (&pod.key, pod.records.first()) {
        (Some(key), _) => (key.namespace.to_string(), key.name.to_string()),
        (None, Some(record)) => (String::new(), record.container_id.to_string()),
        (None, None) => (String::new(), pod.name.clone()),
    };
    Ok(PodStatus {
        title: pod.name.clone(),
        namespace,
        name,
        netns: pod.netns.as_ref().map(|netns| netns.display().to_string()),
        interfaces,
        network_status: network_status(pod),
    })
}

/// Returns the pod's network status as `podbond apply` recorded it, or as its records have it.
fn network_status(pod: &Pod) -> Value {
    match &pod.applied {
        Some(Ok(applied)) => applied.network_status.clone(),
        Some(Err(_)) => Value::Null,
        None => {
            let statuses: Vec<_> = pod.records.iter().flat_map(statuses_of).collect();
            let json = (!statuses.is_empty()).then(|| serde_json::to_value(statuses));
            json.and_then(Result::ok).unwrap_or_default()
        }
    }
}

fn interfaces(kernel: &mut Kernel) -> Result<Vec<InterfaceStatus>, Error> {
    let links = kernel.shown_links(Netns::Pod)?;
    let mut interfaces = Vec::new();
    for link in links.iter().filter(|link| link.name.as_str() != "lo") {
        interfaces.push(interface(kernel, link, &links)?);
    }
    Ok(interfaces)
}

fn interface(kernel: &mut Kernel, link: &Link, links: &[Link]) -> Result<InterfaceStatus, Error> {
    let addresses = kernel.addresses(&LinkRef::pod(link.name.clone()))?;
    Ok(InterfaceStatus {
        name: link.name.clone(),
        state: link.state,
        carrier: link.carrier,
        mac: link.mac,
        mtu: link.mtu,
        addresses: addresses.iter().map(ToString::to_string).collect(),
        function: LinkFunction::of(link, kernel.sysfs())?,
        vlan: link.vlan.map(|vlan| VlanStatus {
            id: vlan.tag.id,
            protocol: vlan.tag.protocol,
            on: Link::name_at(Some(vlan.lower), links),
        }),
        bond: link.bond.as_ref().map(|bond| BondStatus {
            mode: bond.mode.name(),
            active_port: Link::name_at(bond.active_port, links),
            aggregator: link.aggregator.as_ref().map(|aggregator| AggregatorStatus {
                id: aggregator.id,
                ports: aggregator.ports,
                actor_key: aggregator.actor_key,
                partner_key: aggregator.partner_key,
                partner_mac: aggregator.partner,
            }),
            findings: bond_findings(link, links),
        }),
        port: link.port.as_ref().map(|port| PortStatus {
            bond: Link::name_at(link.master, links),
            active: port.active,
            counts_as_up: port.mii_up,
            link_failures: port.link_failures,
            lacp: port.lacp.as_ref().map(LacpStatus::from),
        }),
    })
}
