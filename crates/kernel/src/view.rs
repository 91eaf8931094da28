use podbond_names::{LinkName, PciAddress};
use serde::Serialize;

use crate::{At, Link, LinkState, Netns, PortRole, Step, Vf, Vlan};

/// What the kernel shows of the links and VFs that a plan is about. A plan is made from a view
/// alone; laying a plan's steps over a view gives what a later plan would find.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct View {
    /// Links of the node.
    pub host: Vec<Link>,
    /// Links of the pod.
    pub pod: Vec<Link>,
    /// The VFs behind these links, wherever the links are.
    pub vfs: Vec<Vf>,
}

impl View {
    /// The links of one namespace.
    pub fn links(&self, netns: Netns) -> &[Link] {
        match netns {
            Netns::Host => &self.host,
            Netns::Pod => &self.pod,
        }
    }

    /// The link of this name.
    pub fn link(&self, netns: Netns, name: &LinkName) -> Option<&Link> {
        self.links(netns).iter().find(|link| link.name == *name)
    }

    /// The VF behind a link, if it is one.
    pub fn vf_of(&self, link: &Link) -> Option<&Vf> {
        self.vf(link.parent?)
    }

    /// The VF at this address.
    pub fn vf(&self, pci: PciAddress) -> Option<&Vf> {
        self.vfs.iter().find(|vf| vf.pci == pci)
    }

    /// Lays steps over the view, as the kernel would carry them out. Steps that name a link that
    /// is not in the view change nothing; addresses, routes and VF numbers are not in a view.
    pub fn apply(&mut self, steps: &[Step]) {
        for step in steps {
            self.apply_one(step);
        }
    }

    fn apply_one(&mut self, step: &Step) {
        match step {
            Step::AddBond { at, options, mtu, mac } => {
                let made = self.made(at, "bond", *mtu);
                let bond = Link { mac: *mac, bond: Some(options.clone()), ..made };
                self.links_mut(at.netns).push(bond);
            }
            Step::AddVlan { at, lower, tag, mtu } => {
                let Some(lower) = self.link(at.netns, lower) else { return };
                let vlan = Some(Vlan { tag: *tag, lower: lower.index });
                let link = Link { mac: lower.mac, vlan, ..self.made(at, "vlan", *mtu) };
                self.links_mut(at.netns).push(link);
            }
            Step::RemoveVlan { at, .. } => {
                self.links_mut(at.netns).retain(|link| link.name != at.name);
            }
            Step::RemoveBond { at, .. } => {
                let index = self.link(at.netns, &at.name).map(|bond| bond.index);
                let links = self.links_mut(at.netns);
                // A VLAN interface goes with the link beneath.
                let on_it = |link: &Link| link.vlan.is_some_and(|vlan| Some(vlan.lower) == index);
                links.retain(|link| link.name != at.name && !on_it(link));
                for port in
                    links.iter_mut().filter(|link| link.master.is_some() && link.master == index)
                {
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
                if let Some(state) = &mut link.port {
                    state.options = state.options.overlaid(to);
                }
            }),
            Step::SetPortRole { bond, role, to, .. } => self.give_role(bond, *role, to.as_ref()),
            Step::Move { from, to } => self.relocate(from, to),
            Step::SetMtu { at, to, .. } => self.change(at, |link| link.mtu = *to),
            Step::SetMac { at, to, .. } => self.change(at, |link| link.mac = Some(*to)),
            Step::SetState { at, to } => self.change(at, |link| link.state = *to),
            Step::SetVf { pf, vf, to, .. } => {
                for known in &mut self.vfs {
                    if known.pf_link == *pf && known.index == *vf {
                        known.settings = known.settings.with(to);
                    }
                }
            }
            Step::SetNumVfs { .. }
            | Step::BindDriver { .. }
            | Step::AddAddress { .. }
            | Step::RemoveAddress { .. }
            | Step::AddRoute { .. }
            | Step::RemoveRoute { .. } => {}
        }
    }

    /// A new link of this kind, down.
    fn made(&self, at: &At, kind: &str, mtu: u32) -> Link {
        Link {
            index: self.next_index(),
            name: at.name.clone(),
            altnames: Vec::new(),
            kind: Some(kind.to_owned()),
            mac: None,
            permanent_mac: None,
            mtu,
            max_mtu: 0,
            state: LinkState::Down,
            carrier: false,
            master: None,
            parent: None,
            vlan: None,
            bond: None,
            aggregator: None,
            port: None,
        }
    }

    fn give_role(&mut self, bond: &At, role: PortRole, to: Option<&LinkName>) {
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

    fn relocate(&mut self, from: &At, to: &At) {
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
            self.links_mut(to.netns).push(link);
        }
    }

    fn change(&mut self, at: &At, change: impl FnOnce(&mut Link)) {
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
