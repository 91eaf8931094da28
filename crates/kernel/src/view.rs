//! What the kernel shows of links and VFs, as data that a plan is made from.

use podbond_names::{LinkName, PciAddress};
use serde::Serialize;

use crate::{
    Link, LinkElsewhere, LinkRef, LinkState, Netns, NewBond, NewStacked, NewVlan, PortRole, Step,
    Vf, Vlan, VlanTag,
};

/// What the kernel shows of the links and VFs that a plan is about. A plan is made from a view
/// alone; applying a plan's steps to a view gives what a later plan would find.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct View {
    /// Links of the node.
    pub host: Vec<Link>,
    /// Links of the pod.
    pub pod: Vec<Link>,
    /// The number that the node's namespace has in the pod's; none where no link of the pod leads to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_netns_id: Option<i32>,
    /// The VFs behind these links, wherever the links are.
    pub vfs: Vec<Vf>,
}

impl View {
    /// Returns the links of one namespace.
    pub fn links(&self, netns: Netns) -> &[Link] {
        match netns {
            Netns::Host => &self.host,
            Netns::Pod => &self.pod,
        }
    }

    /// Returns the link of this name.
    pub fn link(&self, netns: Netns, name: &LinkName) -> Option<&Link> {
        self.links(netns).iter().find(|link| link.name == *name)
    }

    /// Returns the index of the link of the node that a link stands on, or that is its other end; none
    /// where that is in another namespace.
    pub fn lower_on_host(&self, netns: Netns, link: &Link) -> Option<u32> {
        match netns {
            Netns::Host => link.lower,
            Netns::Pod => {
                let elsewhere = link.lower_elsewhere?;
                (self.host_netns_id == Some(elsewhere.netns_id)).then_some(elsewhere.index)
            }
        }
    }

    /// Returns the VF behind a link, if it is one.
    pub fn vf_of(&self, link: &Link) -> Option<&Vf> {
        self.vf(link.parent?)
    }

    /// Returns the VF at this address.
    pub fn vf(&self, pci: PciAddress) -> Option<&Vf> {
        self.vfs.iter().find(|vf| vf.pci == pci)
    }

    /// Changes the view as the kernel would carry out these steps. Steps that name a link that
    /// is not in the view change nothing; addresses, routes and VF numbers are not in a view.
    pub fn apply(&mut self, steps: &[Step]) {
        for step in steps {
            self.apply_one(step);
        }
    }

    fn apply_one(&mut self, step: &Step) {
        match step {
            Step::AddBond(NewBond { at, options, mtu, mac }) => {
                let link = self.new_link(at, "bond", *mtu);
                let bond = Link { mac: *mac, bond: Some(options.clone()), ..link };
                self.links_mut(at.netns).push(bond);
            }
            Step::AddVlan(NewVlan { at, lower, tag, mtu }) => {
                self.add_on(at, lower, "vlan", Some((*tag, *mtu)));
            }
            Step::AddStacked(NewStacked { at, lower, kind }) => self.add_on(at, lower, kind, None),
            Step::AddAltname { at, altname } => {
                self.change(at, |link| link.altnames.push(altname.clone()));
            }
            Step::RemoveAltname { at, altname } => {
                self.change(at, |link| link.altnames.retain(|other| other != altname));
            }
            Step::SetAttributes { at, to, .. } => {
                self.change(at, |link| link.attributes = to.clone());
            }
            Step::RemoveVlan(NewVlan { at, .. }) | Step::RemoveStacked(NewStacked { at, .. }) => {
                self.links_mut(at.netns).retain(|link| link.name != at.name);
            }
            Step::RemoveBond(NewBond { at, .. }) => {
                let index = self.link(at.netns, &at.name).map(|bond| bond.index);
                let links = self.links_mut(at.netns);
                let Some(index) = index else { return };
                // A VLAN interface is removed with its lower link.
                links.retain(|link| {
                    link.name != at.name && link.vlan.is_none_or(|vlan| vlan.lower != index)
                });
                for port in links.iter_mut().filter(|link| link.master == Some(index)) {
                    port.master = None;
                    port.state = LinkState::Down;
                }
            }
            Step::Enslave { port, bond } => {
                let Some(bond) = self.link(port.netns, bond).cloned() else { return };
                self.change(port, |link| {
                    link.master = Some(bond.index);
                    link.state = LinkState::Up;
                    link.mtu = bond.mtu;
                });
            }
            Step::Release { port, .. } => self.change(port, |link| {
                link.master = None;
                link.state = LinkState::Down;
            }),
            Step::SetPort { port, to, .. } => self.change(port, |link| {
                link.port.iter_mut().for_each(|port| port.options = port.options.overlaid(to));
            }),
            Step::SetPortRole { bond, role, to, .. } => self.set_role(bond, *role, to.as_ref()),
            Step::Move { from, to } => self.move_link(from, to),
            Step::SetMtu { at, to, .. } => self.change(at, |link| link.mtu = *to),
            Step::SetMac { at, to, .. } => self.change(at, |link| link.mac = Some(*to)),
            Step::SetState { at, to } => self.change(at, |link| link.state = *to),
            Step::SetVf { pf, vf, to, .. } => {
                for shown in &mut self.vfs {
                    if shown.pf_link == *pf && shown.index == *vf {
                        shown.settings = shown.settings.with(to);
                    }
                }
            }
            Step::SetSysctls { .. }
            | Step::SetNumVfs { .. }
            | Step::BindDriver { .. }
            | Step::AddAddress { .. }
            | Step::RemoveAddress { .. }
            | Step::AddRoute { .. }
            | Step::RemoveRoute { .. } => {}
        }
    }

    /// Returns a new link of this kind, down.
    fn new_link(&self, at: &LinkRef, kind: &str, mtu: u32) -> Link {
        Link { kind: Some(kind.to_owned()), mtu, ..Link::new(self.next_index(), at.name.clone()) }
    }

    /// Adds a link that stands on another, if that is there: a VLAN interface by its tag and MTU.
    fn add_on(&mut self, at: &LinkRef, lower: &LinkName, kind: &str, vlan: Option<(VlanTag, u32)>) {
        let Some(lower) = self.link(at.netns, lower) else { return };
        let (index, mac) = (lower.index, lower.mac);
        let link = self.new_link(at, kind, vlan.map_or(lower.mtu, |(_, mtu)| mtu));
        let vlan = vlan.map(|(tag, _)| Vlan { tag, lower: index });
        self.links_mut(at.netns).push(Link { mac, lower: Some(index), vlan, ..link });
    }

    fn set_role(&mut self, bond: &LinkRef, role: PortRole, to: Option<&LinkName>) {
        let port = to.and_then(|name| self.link(bond.netns, name)).map(|link| link.index);
        self.change(bond, |link| {
            if let Some(options) = &mut link.bond {
                match role {
                    PortRole::Primary => options.primary_port = port,
                    PortRole::Active => options.active_port = port,
                }
            }
        });
    }

    fn move_link(&mut self, from: &LinkRef, to: &LinkRef) {
        let host_netns_id = self.host_netns_id;
        let links = self.links_mut(from.netns);
        if let Some(position) = links.iter().position(|link| link.name == from.name) {
            let mut link = links.remove(position);
            // As `Kernel` does it: a name that was an altname changes places with it.
            for altname in &mut link.altnames {
                if altname == to.name.as_str() {
                    from.name.as_str().clone_into(altname);
                }
            }
            link.name = to.name.clone();
            if let (true, Some(netns_id)) = (from.netns != to.netns, host_netns_id) {
                // What is beside it on the node is elsewhere for the pod.
                let is_of_node = |lower: &LinkElsewhere| lower.netns_id == netns_id;
                let of_node =
                    link.lower_elsewhere.take().filter(is_of_node).map(|lower| lower.index);
                let of_source = link.lower.take();
                match to.netns {
                    Netns::Host => link.lower = of_node,
                    Netns::Pod => {
                        let elsewhere = |index| LinkElsewhere { netns_id, index };
                        link.lower_elsewhere = of_source.map(elsewhere);
                    }
                }
            }
            self.links_mut(to.netns).push(link);
        }
    }

    fn change(&mut self, at: &LinkRef, change: impl FnOnce(&mut Link)) {
        if let Some(link) = self.links_mut(at.netns).iter_mut().find(|link| link.name == at.name) {
            change(link);
        }
    }

    fn links_mut(&mut self, netns: Netns) -> &mut Vec<Link> {
        match netns {
            Netns::Host => &mut self.host,
            Netns::Pod => &mut self.pod,
        }
    }

    fn next_index(&self) -> u32 {
        self.host.iter().chain(&self.pod).map(|link| link.index).max().unwrap_or(0) + 1
    }
}
