//! What DEL does: the bond goes, and its ports are as ADD found them.

use podbond_kernel::{At, Link, LinkState, Netns, Step, View};
use podbond_names::{LinkName, Mac};

use crate::beneath::bond_beneath;
use crate::config::{Links, LinksAre};
use crate::macs::{Station, doubles};
use crate::record::Made;

/// The steps that take the bond away, and the VLAN interface on it. Pure.
///
/// The view must hold, where they exist, the pod's links `ifname` and [`bond_beneath`] it.
pub(crate) fn dissolution(ifname: &LinkName, view: &View, made: &Made) -> Vec<Step> {
    let Some(bond) = bond_of(ifname, view, made) else { return Vec::new() };
    let mut steps = Vec::new();
    let on_bond = view.link(Netns::Pod, ifname).filter(|link| stands_on(link, bond));
    if let Some(link) = on_bond
        && let Some(vlan) = link.vlan
    {
        let (at, lower) = (At::pod(ifname.clone()), bond.name.clone());
        steps.push(Step::RemoveVlan { at, lower, tag: vlan.tag, mtu: link.mtu });
    }
    if let Some(options) = bond.bond.clone() {
        // The driver frees and closes its ports with the bond: one message instead of one a port.
        let (at, mtu) = (At::pod(bond.name.clone()), bond.mtu);
        steps.push(Step::RemoveBond { at, options, mtu, mac: None });
    }
    steps
}

/// The bond of an attachment: the pod's link `ifname`, or the one beneath it. The latter is ours
/// where a VLAN interface `ifname` stands on it, or where ADD noted that it would make it.
fn bond_of<'v>(ifname: &LinkName, view: &'v View, made: &Made) -> Option<&'v Link> {
    let is_bond = |link: &&Link| link.bond.is_some();
    let link = view.link(Netns::Pod, ifname);
    let beneath = || {
        let bond = view.link(Netns::Pod, &bond_beneath(ifname)).filter(is_bond)?;
        let ours = link.is_some_and(|link| stands_on(link, bond)) || made.has_bond(&bond.name);
        ours.then_some(bond)
    };
    link.filter(is_bond).or_else(beneath)
}

fn stands_on(link: &Link, bond: &Link) -> bool {
    link.vlan.is_some_and(|vlan| vlan.lower == bond.index)
}

/// The steps that make the ports what they were, once the bond is gone: with their MTU and address,
/// in their place, and up if they were. `before` is the view that [`dissolution`] was made from,
/// `now` what is left after it. Pure.
///
/// Ports are those links that the bond had, or that ADD took, as `made`, its record, tells: any other
/// link of the pod by such a name is left alone. The driver gives a port back what it had when it
/// was enslaved, unless somebody changed that meanwhile. Two ports are never left with one address:
/// the later gets that of its hardware, or one of its own.
pub(crate) fn giving_back(
    links: &Links,
    ifname: &LinkName,
    before: &View,
    now: &View,
    made: &Made,
) -> Vec<Step> {
    let index = bond_of(ifname, before, made).map(|bond| bond.index);
    let was_port = |name: &LinkName| {
        let port = before.link(Netns::Pod, name);
        index.is_some() && port.is_some_and(|port| port.master == index)
    };
    let in_pod = |name: &LinkName| {
        let port = now.link(Netns::Pod, name);
        port.filter(|_| was_port(name) || made.took(name, links.are))
    };
    // Another bond's by now: what we did not enslave we do not take.
    let free = |name: &LinkName| in_pod(name).filter(|port| port.master.is_none());
    let own_mac = |name: &LinkName| {
        let known = made.port(name).and_then(|port| port.mac);
        let to_driver = || before.link(Netns::Pod, name)?.port.as_ref()?.permanent_mac;
        known.or_else(|| to_driver().filter(|_| was_port(name))).or_else(|| free(name)?.mac)
    };
    let station = |name: &LinkName| {
        let (port, mac) = (name.clone(), own_mac(name)?);
        free(name).map(|link| Station { port, mac, spare: link.permanent_mac })
    };
    let stations: Vec<Station> = links.names.iter().filter_map(station).collect();
    let doubles = doubles(&stations, None);
    let mac_of = |name: &LinkName| {
        let double = doubles.iter().find(|double| double.port == *name);
        double.map(|double| double.instead).or_else(|| own_mac(name))
    };

    let mut steps = Vec::new();
    for name in &links.names {
        let (here, home) = (At::pod(name.clone()), At::host(name.clone()));
        let port = free(name);
        if port.is_none() && in_pod(name).is_some() {
            continue;
        }
        let mut state = port.map(|port| port.state);
        let down = |at: &At, steps: &mut Vec<Step>| {
            steps.push(Step::SetState { at: at.clone(), to: LinkState::Down });
            Some(LinkState::Down)
        };
        if links.are == LinksAre::OnHost && state == Some(LinkState::Up) {
            state = down(&here, &mut steps);
        }
        if let Some(port) = port {
            let mtu = made.port(name).map_or(port.mtu, |found| found.mtu);
            steps.extend(own(&here, port, mac_of(name), mtu));
        }
        let (at, up_again) = match links.are {
            // Without a record: the earlier attachments that made them left them up.
            LinksAre::InPod if made.is_empty() => (here, was_port(name)),
            LinksAre::InPod => (here.clone(), made.brought_down(&here)),
            LinksAre::OnHost => {
                if port.is_some() {
                    steps.push(Step::Move { from: here, to: home.clone() });
                } else {
                    state = now.link(Netns::Host, name).map(|link| link.state);
                }
                (home.clone(), made.brought_down(&home))
            }
        };
        if up_again && state == Some(LinkState::Down) {
            steps.push(Step::SetState { at, to: LinkState::Up });
        }
    }
    steps
}

/// The steps that give a link this address and MTU.
fn own(at: &At, link: &Link, mac: Option<Mac>, mtu: u32) -> impl Iterator<Item = Step> {
    let mtu = (mtu != link.mtu).then(|| Step::SetMtu { at: at.clone(), from: link.mtu, to: mtu });
    let change = link.mac.zip(mac).filter(|(from, to)| from != to);
    let mac = change.map(|(from, to)| Step::SetMac { at: at.clone(), from, to });
    mtu.into_iter().chain(mac)
}

/// Whether a step gives a port what its hardware may refuse to take. A VF that is not trusted any
/// more keeps its address: that must not keep a pod from being deleted.
pub(crate) fn may_be_refused(step: &Step) -> bool {
    matches!(step, Step::SetMac { .. } | Step::SetMtu { .. })
}

#[cfg(test)]
mod tests;
