//! Plans how a link of the node is taken back from what a pod has made of it: links stacked on it, the pod's
//! own bond or bridge, flags, alias, altnames. Pure.

use podbond_kernel::{Link, LinkRef, Netns, NewStacked, Step, View};

use crate::record::{BondRecord, PortBefore};

/// The kinds of links that stand on another, and go on standing on it in whatever namespace that is.
const STACKED: [&str; 7] = ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec", "ipoib"];

/// Returns the steps that remove what stands on the ports that ADD has taken from the node, and take them out
/// of a bond or bridge of the pod's own. The view holds all links of the pod, without the attachment's bond.
pub(super) fn reclaim_ports(view: &View, recorded: &BondRecord) -> Vec<Step> {
    let mut steps = Vec::new();
    for before in &recorded.ports {
        let is_taken = recorded.has_moved(&before.name) && before.link.is_some();
        let port = recorded.find_port(Netns::Pod, &before.name, view).filter(|_| is_taken);
        let Some(port) = port else { continue };
        steps.extend(view.pod.iter().filter(|link| is_stacked_on(link, port)).map(|link| {
            let (at, lower) = (LinkRef::pod(link.name.clone()), port.name.clone());
            let kind = link.kind.clone().unwrap_or_default();
            Step::RemoveStacked(NewStacked { at, lower, kind })
        }));
        let master = view.pod.iter().find(|link| Some(link.index) == port.master);
        steps.extend(master.map(|master| Step::Release {
            port: LinkRef::pod(port.name.clone()),
            bond: master.name.clone(),
        }));
    }
    steps
}

fn is_stacked_on(link: &Link, port: &Link) -> bool {
    let is_stacked = link.kind.as_deref().is_some_and(|kind| STACKED.contains(&kind));
    is_stacked && link.lower == Some(port.index)
}

/// Returns the steps that give a port of the pod the flags, queue, alias and group again that it had, and
/// take from it the altnames that it had not, or that a link of the node has: with those the kernel
/// would not move it there.
pub(super) fn restore_attributes(
    at: &LinkRef,
    port: &Link,
    before: &PortBefore,
    view: &View,
) -> Vec<Step> {
    let Some(link) = &before.link else { return Vec::new() };
    let is_unwanted =
        |altname: &&String| !link.altnames.contains(altname) || is_on_host(altname, view);
    let altnames = port.altnames.iter().filter(is_unwanted);
    let mut steps: Vec<Step> = altnames
        .map(|altname| Step::RemoveAltname { at: at.clone(), altname: altname.clone() })
        .collect();
    if link.attributes != port.attributes {
        let (from, to) = (port.attributes.clone(), link.attributes.clone());
        steps.push(Step::SetAttributes { at: at.clone(), from, to });
    }
    steps
}

/// Returns the steps that give a VF's new link on the node those altnames again that it had, as far as no
/// other link has them.
pub(super) fn restore_altnames(
    at: &LinkRef,
    port: &Link,
    before: &PortBefore,
    view: &View,
) -> Vec<Step> {
    let altnames = before.link.iter().flat_map(|before| &before.altnames);
    let missing = altnames.filter(|altname| {
        !port.altnames.contains(altname)
            && !is_on_host(altname, view)
            && altname.as_str() != at.name.as_str()
    });
    missing.map(|altname| Step::AddAltname { at: at.clone(), altname: altname.clone() }).collect()
}

/// Returns whether a link of the node has a name, or has it as an altname.
pub(super) fn is_on_host(name: &str, view: &View) -> bool {
    view.host.iter().any(|link| {
        link.name.as_str() == name || link.altnames.iter().any(|altname| altname == name)
    })
}
