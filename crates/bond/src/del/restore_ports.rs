//! Plans the way back of a bond's ports: MAC address, MTU, name, place and state as before ADD.
//! Pure.

use podbond_kernel::{Link, LinkRef, LinkState, Netns, Step, View};
use podbond_names::{LinkName, Mac};

use super::host_name::place_on_host;
use super::reclaim_ports::{restore_altnames, restore_attributes};
use super::teardown_plan::bond_of;
use crate::config::{Links, LinksAre};
use crate::port_macs::{PortMac, mac_conflicts};
use crate::record::BondRecord;

/// Returns the steps that make the ports what they were, once the bond is gone. `before` is the
/// view from which the bond's removal was planned, `now` what is left after it, with all links of
/// the node where the ports came from there.
///
/// The driver gives a port back what it had when it was enslaved, unless somebody changed that
/// meanwhile. Two ports are never left with one address: the later gets that of its hardware, or
/// one of its own.
pub(super) fn restore_ports(
    links: &Links,
    ifname: &LinkName,
    before: &View,
    now: &View,
    recorded: &BondRecord,
) -> Vec<Step> {
    let bond = bond_of(ifname, before, recorded).map(|bond| bond.index);
    let ports = Ports { are: links.are, before, now, recorded, bond };
    let macs = ports.macs(&links.names);
    let steps = links.names.iter().map(|name| {
        let mac = macs.iter().find(|(port, _)| port == name).map(|(_, mac)| *mac);
        match links.are {
            LinksAre::InPod => ports.restore_in_pod(name, mac),
            LinksAre::OnHost => ports.restore_on_host(name, mac),
        }
    });
    steps.flatten().collect()
}

/// Returns whether a step gives a port what its hardware may refuse. A VF that is not trusted any
/// more keeps its address: that must not keep a pod from being deleted.
pub(super) fn may_be_refused(step: &Step) -> bool {
    matches!(
        step,
        Step::SetMac { .. }
            | Step::SetMtu { .. }
            | Step::SetAttributes { .. }
            | Step::AddAltname { .. }
            | Step::RemoveAltname { .. }
    )
}

/// The ports of a bond that is gone.
struct Ports<'v> {
    are: LinksAre,
    before: &'v View,
    now: &'v View,
    recorded: &'v BondRecord,
    /// The index that the bond had.
    bond: Option<u32>,
}

impl<'v> Ports<'v> {
    fn was_port(&self, name: &LinkName) -> bool {
        let port = self.before.link(Netns::Pod, name);
        self.bond.is_some() && port.is_some_and(|port| port.master == self.bond)
    }

    /// Returns the port, if it is in the pod: a link that the bond had, or that ADD took, by its
    /// record. Any other link of such a name is left unchanged.
    fn in_pod(&self, name: &LinkName) -> Option<&'v Link> {
        let is_identified = self.recorded.function(name).is_some() || self.recorded.has_moved(name);
        if self.are == LinksAre::OnHost && is_identified {
            return self.recorded.find_port(Netns::Pod, name, self.now);
        }
        let is_ours = self.was_port(name) || self.recorded.has_taken(name, self.are);
        self.now.link(Netns::Pod, name).filter(|_| is_ours)
    }

    /// Returns the port, if it is in the pod and not another bond's: what we did not enslave we do
    /// not take.
    fn free_in_pod(&self, name: &LinkName) -> Option<&'v Link> {
        self.in_pod(name).filter(|port| port.master.is_none())
    }

    /// Returns the address that each port of the pod gets.
    fn macs(&self, names: &[LinkName]) -> Vec<(LinkName, Mac)> {
        let macs: Vec<PortMac> = names.iter().filter_map(|name| self.mac_before(name)).collect();
        let conflicts = mac_conflicts(&macs, None);
        let mac = |own: PortMac| {
            let conflict = conflicts.iter().find(|conflict| conflict.port == own.port);
            (own.port, conflict.map_or(own.mac, |conflict| conflict.replacement))
        };
        macs.into_iter().map(mac).collect()
    }

    /// Returns the address that a port had by the record, or else by the driver, or else has.
    fn mac_before(&self, name: &LinkName) -> Option<PortMac> {
        let link = self.free_in_pod(name)?;
        let recorded = self.recorded.port(name).and_then(|port| port.mac);
        let mac = recorded.or_else(|| self.mac_of_driver(name)).or(link.mac)?;
        Some(PortMac { port: name.clone(), mac, fallback: link.permanent_mac })
    }

    /// Returns the address that the driver was to give a port back.
    fn mac_of_driver(&self, name: &LinkName) -> Option<Mac> {
        let port = self.before.link(Netns::Pod, name).filter(|_| self.was_port(name))?;
        port.port.as_ref()?.permanent_mac
    }

    fn restore_in_pod(&self, name: &LinkName, mac: Option<Mac>) -> Vec<Step> {
        let Some(port) = self.free_in_pod(name) else { return Vec::new() };
        let at = LinkRef::pod(name.clone());
        let mut steps: Vec<Step> = self.restore_values(name, &at, port, mac).collect();
        let was_up = if self.recorded.is_empty() {
            // The earlier attachments that made them left them up.
            self.was_port(name)
        } else {
            self.recorded.was_up(&at)
        };
        if was_up && port.state == LinkState::Down {
            steps.push(Step::SetState { at, to: LinkState::Up });
        }
        steps
    }

    fn restore_on_host(&self, name: &LinkName, mac: Option<Mac>) -> Vec<Step> {
        match (self.free_in_pod(name), self.in_pod(name)) {
            (Some(port), _) => self.move_to_host(name, port, mac),
            (None, Some(_)) => Vec::new(),
            (None, None) => self.restore_from_lost_netns(name),
        }
    }

    fn move_to_host(&self, name: &LinkName, port: &Link, mac: Option<Mac>) -> Vec<Step> {
        let from = LinkRef::pod(port.name.clone());
        let to = place_on_host(name, &from, port, self.now);
        let mut steps = Vec::new();
        if port.state == LinkState::Up {
            steps.push(Step::SetState { at: from.clone(), to: LinkState::Down });
        }
        steps.extend(self.restore_values(name, &from, port, mac));
        let before = self.recorded.port(name);
        steps.extend(
            before.into_iter().flat_map(|before| restore_attributes(&from, port, before, self.now)),
        );
        steps.push(Step::Move { from, to: to.clone() });
        steps.extend(self.bring_up_on_host(name, to));
        steps
    }

    /// Returns the steps for a port that is on the node, as when the kernel gave it back from a
    /// namespace that is gone: down, and perhaps under another name. One that is up is in use.
    fn restore_from_lost_netns(&self, name: &LinkName) -> Vec<Step> {
        let port = self.recorded.find_port(Netns::Host, name, self.now);
        let Some(port) = port.filter(|port| port.state == LinkState::Down) else {
            return Vec::new();
        };
        let from = LinkRef::host(port.name.clone());
        let to = place_on_host(name, &from, port, self.now);
        let mut steps = Vec::new();
        if from != to {
            steps.push(Step::Move { from, to: to.clone() });
        }
        // The name alone does not tell that it is the same link.
        if let Some(before) = self.recorded.port(name).filter(|port| port.function.is_some()) {
            steps.extend(self.restore_values(name, &to, port, before.mac));
            steps.extend(restore_altnames(&to, port, before, self.now));
        }
        steps.extend(self.bring_up_on_host(name, to));
        steps
    }

    fn bring_up_on_host(&self, name: &LinkName, at: LinkRef) -> Option<Step> {
        let was_up = self.recorded.was_up(&LinkRef::host(name.clone()));
        was_up.then_some(Step::SetState { at, to: LinkState::Up })
    }

    /// Returns the steps that give a port the MTU that it had, and this address.
    fn restore_values(
        &self,
        name: &LinkName,
        at: &LinkRef,
        port: &Link,
        mac: Option<Mac>,
    ) -> impl Iterator<Item = Step> {
        let from = port.mtu;
        let mtu = self.recorded.port(name).map(|before| before.mtu).filter(|to| *to != from);
        let mtu = mtu.map(|to| Step::SetMtu { at: at.clone(), from, to });
        let mac = port.mac.zip(mac).filter(|(from, to)| from != to);
        let mac = mac.map(|(from, to)| Step::SetMac { at: at.clone(), from, to });
        mtu.into_iter().chain(mac)
    }
}
