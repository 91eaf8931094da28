//! What ADD notes of a bond before it makes it.

use std::path::PathBuf;

use podbond_cni::{Attachment, NetConf, Request};
use podbond_kernel::{BondMode, Kernel, Link, LinkRef, LinkState, Netns, NetnsId, Step, View};
use podbond_names::{LinkName, Mac, PciAddress};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Plan;
use crate::config::{Config, LinksAre};

/// What ADD set out to do, and what it found. Empty where there is no record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// The steps.
    pub(crate) steps: Vec<Step>,
    /// The ports as they were, in the order of the configuration. Records had none once.
    #[serde(default)]
    pub(crate) ports: Vec<PortBefore>,
    /// Where the bond is, for those who plan others. Records had none once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<Place>,
    /// What tells the pod's namespace from a later one at its path. Records had none once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) netns_id: Option<NetnsId>,
    /// The ADD, for those who remove the bond without being told its configuration. Records had none
    /// once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) add: Option<Request>,
}

/// Where a bond is, and what it runs over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Whose it is, for people.
    pub(crate) name: String,
    /// The pod's namespace: once it is gone, so is the bond.
    pub(crate) netns: PathBuf,
    pub(crate) mode: BondMode,
    /// The PCI functions of its ports.
    pub(crate) functions: Vec<PciAddress>,
}

/// A port as ADD found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PortBefore {
    pub(crate) name: LinkName,
    pub(crate) mac: Option<Mac>,
    /// Bytes.
    pub(crate) mtu: u32,
    /// The PCI function behind it: whatever becomes of the name, it tells which link it was. Records
    /// had none once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) function: Option<PciAddress>,
    /// The address of its hardware, where its function may have other links: it tells them apart. A VF's
    /// driver may write it anew at any time, as igbvf does whenever it is closed, and a VF has one link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) permanent_mac: Option<Mac>,
}

impl PortBefore {
    /// Whether a link is this port, as far as its hardware tells: of the same function, and not of an
    /// address that is plainly another's, as a representor is, whose hardware has none. False where no
    /// function is recorded.
    pub(crate) fn may_be(&self, link: &Link) -> bool {
        let is_its = self.permanent_mac.is_none() || link.permanent_mac == self.permanent_mac;
        self.function.is_some() && link.parent == self.function && is_its
    }
}

impl Made {
    /// What a plan for these links means to do with what the view shows.
    pub(crate) fn of(plan: &Plan, config: &Config, view: &View) -> Self {
        let links =
            config.ports.iter().filter_map(|name| view.link(config.links_are.netns(), name));
        let port = |link: &Link| PortBefore {
            name: link.name.clone(),
            mac: link.mac,
            mtu: link.mtu,
            function: link.parent,
            permanent_mac: None,
        };
        Self { steps: plan.steps.clone(), ports: links.map(port).collect(), ..Self::default() }
    }

    /// Notes what tells the ports of the node from other links of their functions. `may_have_others`
    /// tells whether a function has several at times.
    pub(crate) fn tell_apart<E>(
        &mut self,
        view: &View,
        may_have_others: impl Fn(PciAddress) -> Result<bool, E>,
    ) -> Result<(), E> {
        for port in &mut self.ports {
            if let Some(function) = port.function
                && may_have_others(function)?
            {
                let link = view.link(Netns::Host, &port.name);
                port.permanent_mac = link.and_then(|link| link.permanent_mac);
            }
        }
        Ok(())
    }

    /// The DEL of an attachment of whose network nothing is known: it puts the ports back as they
    /// were, and has no lease to give back.
    pub(crate) fn del(&self, attachment: Attachment, netns: Option<PathBuf>) -> Option<Request> {
        let in_pod = !self.steps.iter().any(|step| matches!(step, Step::Move { .. }));
        let links: Vec<_> = self.ports.iter().map(|port| json!({ "name": port.name })).collect();
        let config = json!({
            "cniVersion": "1.1.0", "name": "unknown", "type": "bond", "links": links,
            "linksInContainer": in_pod,
        });
        let config = NetConf::from_map(config.as_object()?.clone()).ok()?;
        let Attachment { container_id, ifname } = attachment;
        let (args, path) = Default::default();
        Some(Request { container_id, netns, ifname, args, path, config })
    }

    /// The pod's namespace, where it is known.
    pub(crate) fn netns(&self) -> Option<&PathBuf> {
        let add = self.add.as_ref().and_then(|add| add.netns.as_ref());
        self.place.as_ref().map(|place| &place.netns).or(add)
    }

    /// Whether the namespace that a kernel has open is certainly not the one in which the bond was made.
    /// Where the kernel does not tell which it is any more, it is another kernel since.
    pub(crate) fn is_in_another(&self, kernel: &Kernel) -> podbond_kernel::Result<bool> {
        let is_noted = kernel.has_pod() && self.netns_id.is_some();
        Ok(is_noted && kernel.pod_id()? != self.netns_id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The port of this name, as ADD found it.
    pub(crate) fn port(&self, name: &LinkName) -> Option<&PortBefore> {
        self.ports.iter().find(|port| port.name == *name)
    }

    /// The PCI function behind the port of this name, where it has one and ADD noted it.
    pub(crate) fn function(&self, name: &LinkName) -> Option<PciAddress> {
        self.port(name)?.function
    }

    /// Whether ADD was to make this link of the pod a port; a link of the node is one from the time
    /// when it is moved in.
    pub(crate) fn took(&self, name: &LinkName, are: LinksAre) -> bool {
        let here = LinkRef::pod(name.clone());
        self.steps.iter().any(|step| match step {
            Step::Move { from, to } => *from == LinkRef::host(name.clone()) && *to == here,
            Step::Enslave { port, .. } => are == LinksAre::InPod && *port == here,
            _ => false,
        })
    }

    /// Whether ADD was to make the pod's bond of this name.
    pub(crate) fn has_bond(&self, name: &LinkName) -> bool {
        let bond = LinkRef::pod(name.clone());
        self.steps.iter().any(|step| matches!(step, Step::AddBond { at, .. } if *at == bond))
    }

    /// Whether ADD found this link of the node up, which is back on the node.
    pub(crate) fn found_up(&self, link: &Link) -> bool {
        self.ports.iter().any(|port| {
            let is_it =
                if port.function.is_some() { port.may_be(link) } else { port.name == link.name };
            is_it && self.brought_down(&LinkRef::host(port.name.clone()))
        })
    }

    /// Whether ADD found this link up.
    pub(crate) fn brought_down(&self, at: &LinkRef) -> bool {
        self.steps.contains(&Step::SetState { at: at.clone(), to: LinkState::Down })
    }
}

#[cfg(test)]
mod tests {
    use podbond_cni::ContainerId;

    use super::*;

    #[test]
    fn a_record_without_its_add_tells_which_links_go_back_where() {
        let link: LinkName = "eth1".parse().unwrap();
        let port = PortBefore {
            name: link.clone(),
            mac: None,
            mtu: 1500,
            function: None,
            permanent_mac: None,
        };
        let away = Step::Move { from: LinkRef::host(link.clone()), to: LinkRef::pod(link) };
        let container_id = || ContainerId::try_from("c1".to_owned()).unwrap();
        let attachment =
            || Attachment { container_id: container_id(), ifname: "bond0".parse().unwrap() };
        for (steps, in_pod) in [(vec![away], false), (Vec::new(), true)] {
            let made = Made { steps, ports: vec![port.clone()], ..Made::default() };
            let del = made.del(attachment(), None).unwrap();
            assert_eq!(del.config.raw["linksInContainer"], in_pod);
            assert_eq!(del.config.raw["links"], json!([{"name": "eth1"}]));
            assert_eq!((del.container_id, del.config.ipam), (container_id(), None));
        }
    }
}
