//! What DEL does: the bond goes, and its ports are as ADD found them.

use podbond_kernel::{Link, LinkRef, LinkState, Netns, Step, View};
use podbond_names::{LinkName, Mac};

use crate::beneath::bond_beneath;
use crate::config::{Links, LinksAre};
use crate::home::{find, home};
use crate::macs::{Station, doubles};
use crate::made::Made;

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
        let (at, lower) = (LinkRef::pod(ifname.clone()), bond.name.clone());
        steps.push(Step::RemoveVlan { at, lower, tag: vlan.tag, mtu: link.mtu });
    }
    if let Some(options) = bond.bond.clone() {
        // The driver frees and closes its ports with the bond: one message instead of one a port.
        let (at, mtu) = (LinkRef::pod(bond.name.clone()), bond.mtu);
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
/// `now` what is left after it, with the links of the node that [`home`] has to know where ports came
/// from there. Pure.
///
/// The driver gives a port back what it had when it was enslaved, unless somebody changed that
/// meanwhile. Two ports are never left with one address: the later gets that of its hardware, or
/// one of its own.
pub(crate) fn giving_back(
    links: &Links,
    ifname: &LinkName,
    before: &View,
    now: &View,
    made: &Made,
) -> Vec<Step> {
    let bond = bond_of(ifname, before, made).map(|bond| bond.index);
    let left = Left { are: links.are, before, now, made, bond };
    let macs = left.macs(&links.names);
    let steps = links.names.iter().map(|name| {
        let mac = macs.iter().find(|(port, _)| port == name).map(|(_, mac)| *mac);
        match links.are {
            LinksAre::InPod => left.back_in_pod(name, mac),
            LinksAre::OnHost => left.back_on_host(name, mac),
        }
    });
    steps.flatten().collect()
}

/// What is left of a bond's ports.
struct Left<'v> {
    are: LinksAre,
    before: &'v View,
    now: &'v View,
    made: &'v Made,
    /// The index that the bond had.
    bond: Option<u32>,
}

impl<'v> Left<'v> {
    fn was_port(&self, name: &LinkName) -> bool {
        let port = self.before.link(Netns::Pod, name);
        self.bond.is_some() && port.is_some_and(|port| port.master == self.bond)
    }

    /// The port, if it is in the pod: a link that the bond had, or that ADD took, as its record tells.
    /// Any other link by such a name is left alone.
    fn in_pod(&self, name: &LinkName) -> Option<&'v Link> {
        if self.are == LinksAre::OnHost && self.made.function(name).is_some() {
            return find(Netns::Pod, name, self.made, self.now);
        }
        let ours = self.was_port(name) || self.made.took(name, self.are);
        self.now.link(Netns::Pod, name).filter(|_| ours)
    }

    /// The port, if it is in the pod and not another bond's by now: what we did not enslave we do not
    /// take.
    fn free(&self, name: &LinkName) -> Option<&'v Link> {
        self.in_pod(name).filter(|port| port.master.is_none())
    }

    /// The address that each port gets.
    fn macs(&self, names: &[LinkName]) -> Vec<(LinkName, Mac)> {
        let station = |name: &LinkName| {
            let link = self.free(name)?;
            let found = self.made.port(name).and_then(|port| port.mac);
            // As the driver noted it, for a bond of which there is no record.
            let noted = || {
                let port = self.before.link(Netns::Pod, name).filter(|_| self.was_port(name))?;
                port.port.as_ref()?.permanent_mac
            };
            let mac = found.or_else(noted).or(link.mac)?;
            Some(Station { port: name.clone(), mac, spare: link.permanent_mac })
        };
        let stations: Vec<Station> = names.iter().filter_map(station).collect();
        let doubles = doubles(&stations, None);
        let mac = |station: Station| {
            let double = doubles.iter().find(|double| double.port == station.port);
            (station.port, double.map_or(station.mac, |double| double.instead))
        };
        stations.into_iter().map(mac).collect()
    }

    fn back_in_pod(&self, name: &LinkName, mac: Option<Mac>) -> Vec<Step> {
        let Some(port) = self.free(name) else { return Vec::new() };
        let here = LinkRef::pod(name.clone());
        let mut steps = self.own(name, &here, port, mac);
        let was_up = if self.made.is_empty() {
            // Without a record: the earlier attachments that made them left them up.
            self.was_port(name)
        } else {
            self.made.brought_down(&here)
        };
        if was_up && port.state == LinkState::Down {
            steps.push(Step::SetState { at: here, to: LinkState::Up });
        }
        steps
    }

    fn back_on_host(&self, name: &LinkName, mac: Option<Mac>) -> Vec<Step> {
        let mut steps = Vec::new();
        let (from, link) = match (self.free(name), self.in_pod(name)) {
            (Some(port), _) => (LinkRef::pod(port.name.clone()), port),
            (None, Some(_)) => return steps,
            (None, None) => match find(Netns::Host, name, self.made, self.now) {
                Some(link) => (LinkRef::host(link.name.clone()), link),
                None => return steps,
            },
        };
        let home = home(name, &from, link, self.now);
        let mut state = link.state;
        if from.netns == Netns::Pod {
            if state == LinkState::Up {
                steps.push(Step::SetState { at: from.clone(), to: LinkState::Down });
            }
            state = LinkState::Down;
            steps.extend(self.own(name, &from, link, mac));
        }
        // On the node, what is up is somebody's by now.
        if state == LinkState::Down {
            if from != home {
                steps.push(Step::Move { from, to: home.clone() });
            }
            if self.made.brought_down(&LinkRef::host(name.clone())) {
                steps.push(Step::SetState { at: home, to: LinkState::Up });
            }
        }
        steps
    }

    /// The steps that give a port of the pod the MTU that it had by its name then, and this address.
    fn own(&self, name: &LinkName, at: &LinkRef, port: &Link, mac: Option<Mac>) -> Vec<Step> {
        let from = port.mtu;
        let mtu = self.made.port(name).map(|found| found.mtu).filter(|to| *to != from);
        let mtu = mtu.map(|to| Step::SetMtu { at: at.clone(), from, to });
        let mac = port.mac.zip(mac).filter(|(from, to)| from != to);
        let mac = mac.map(|(from, to)| Step::SetMac { at: at.clone(), from, to });
        mtu.into_iter().chain(mac).collect()
    }
}

/// Whether a step gives a port what its hardware may refuse to take. A VF that is not trusted any
/// more keeps its address: that must not keep a pod from being deleted.
pub(crate) fn may_be_refused(step: &Step) -> bool {
    matches!(step, Step::SetMac { .. } | Step::SetMtu { .. })
}

#[cfg(test)]
mod tests;
