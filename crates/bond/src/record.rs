//! Write-ahead data of a bond in the attachment's record: the planned steps, and the original state
//! of each port.

use std::collections::BTreeSet;

use podbond_kernel::{BondMode, Link, LinkAttributes, LinkRef, LinkState, Netns, Step, View};
use podbond_names::{LinkName, Mac, PciAddress};
use podbond_record::{Error, LinkPart, Record};
use serde::{Deserialize, Serialize};

use crate::config::{Config, LinksAre};
use crate::port_identity::{PortIdentity, leads_to_no_pod};

/// The plugin's name, in configurations and in records.
pub(crate) const PLUGIN: &str = "bond";

/// What ADD set out to do, and what was there before. Empty where nothing is recorded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct BondRecord {
    /// The steps of the plan.
    pub(crate) steps: Vec<Step>,
    /// The ports as they were, in the order of the configuration.
    pub(crate) ports: Vec<PortBefore>,
}

/// A port as ADD found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PortBefore {
    pub(crate) name: LinkName,
    pub(crate) mac: Option<Mac>,
    /// Bytes.
    pub(crate) mtu: u32,
    /// The PCI function behind it: whatever becomes of the name, it identifies the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) function: Option<PciAddress>,
    /// The permanent address, where its function may have other links. A VF has one link, and its
    /// driver may change the address that it calls permanent, as igbvf does whenever the VF is
    /// closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) permanent_mac: Option<Mac>,
    /// The driver of a VF, which makes its one link anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) driver: Option<String>,
    /// Its kind, altnames and attributes, where it was a link of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) link: Option<LinkBefore>,
    /// What else tells a link of the node without PCI function from others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<PortIdentity>,
}

/// The kind, altnames and attributes of a link before it was taken from the node: what a bond leaves as it is
/// and a pod may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LinkBefore {
    pub(crate) kind: Option<String>,
    pub(crate) altnames: Vec<String>,
    pub(crate) attributes: LinkAttributes,
}

/// What is known of the PCI function behind a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Function {
    /// Whether it has several links at times.
    pub(crate) may_have_several_links: bool,
    /// The driver of a VF.
    pub(crate) vf_driver: Option<String>,
}

impl PortBefore {
    /// Returns whether a link has this port's function, and its permanent address where that is
    /// recorded: a representor, whose hardware has none, is not the port. False where no function
    /// is recorded.
    pub(crate) fn may_be(&self, link: &Link) -> bool {
        let has_mac = self.permanent_mac.is_none() || link.permanent_mac == self.permanent_mac;
        self.function.is_some() && link.parent == self.function && has_mac
    }

    /// Returns whether a link of the node is certainly this port, or at least leads to no pod.
    fn is_certain_on_host(&self, link: &Link) -> bool {
        if self.function.is_some() {
            return self.may_be(link);
        }
        self.may_be_in(Netns::Host, link, &View::default())
            && leads_to_no_pod(self.identity.as_ref(), link)
    }

    /// Returns whether a link of a namespace may be this port, which has no function: it is of the same kind
    /// and leads to the same, as far as that is recorded.
    fn may_be_in(&self, netns: Netns, link: &Link, view: &View) -> bool {
        let may_be = |identity: &PortIdentity| identity.may_be(netns, link, view);
        self.may_be_kind(link) && link.parent.is_none() && self.identity.as_ref().is_none_or(may_be)
    }

    /// Returns whether a link is of this port's kind, where that is recorded.
    fn may_be_kind(&self, link: &Link) -> bool {
        self.link.as_ref().is_none_or(|link_before| link_before.kind == link.kind)
    }
}

impl BondRecord {
    /// Returns what is to be recorded of a plan with these steps for the links in a view.
    /// `ask` answers for a PCI function; it is asked for links of the node only.
    pub(crate) fn of<E>(
        steps: Vec<Step>,
        config: &Config,
        view: &View,
        ask: impl Fn(PciAddress) -> Result<Function, E>,
    ) -> Result<Self, E> {
        let mut ports = Vec::new();
        for name in &config.ports {
            let Some(link) = view.link(config.links_are.netns(), name) else { continue };
            let is_of_node = config.links_are == LinksAre::OnHost;
            let function = link.parent.filter(|_| is_of_node).map(&ask);
            let function = function.transpose()?.unwrap_or_default();
            let look = || LinkBefore {
                kind: link.kind.clone(),
                altnames: link.altnames.clone(),
                attributes: link.attributes.clone(),
            };
            ports.push(PortBefore {
                name: name.clone(),
                mac: link.mac,
                mtu: link.mtu,
                function: link.parent,
                permanent_mac: link.permanent_mac.filter(|_| function.may_have_several_links),
                driver: function.vf_driver,
                link: is_of_node.then(look),
                identity: (is_of_node && link.parent.is_none()).then(|| PortIdentity::of(link)),
            });
        }
        Ok(Self { steps, ports })
    }

    /// Returns the bond's part of an attachment's record; none where it has none, or where the bond
    /// went with an earlier boot.
    pub(crate) fn read(record: &Record) -> Option<Self> {
        record.link(PLUGIN)
    }

    /// Writes itself into an attachment's record, with the functions of its ports as devices.
    pub(crate) fn put_into(&self, record: &mut Record) -> Result<(), Error> {
        record.link = Some(LinkPart::new(PLUGIN, self)?);
        let functions = self.ports.iter().filter_map(|port| port.function);
        let devices: BTreeSet<PciAddress> =
            record.devices.iter().copied().chain(functions).collect();
        record.devices = devices.into_iter().collect();
        Ok(())
    }

    /// Returns the same with the indices that the links taken from the node have in the pod.
    pub(crate) fn with_indices(mut self, pod: &View) -> Self {
        for port in &mut self.ports {
            let link = pod.link(Netns::Pod, &port.name);
            if let (Some(identity), Some(link)) = (&mut port.identity, link) {
                identity.set_index(link.index);
            }
        }
        self
    }

    /// Returns whether ADD has taken links from the node that no PCI function identifies.
    pub(crate) fn has_identities(&self) -> bool {
        self.ports.iter().any(|port| port.identity.is_some())
    }

    /// Returns the mode of the bond that ADD was to make.
    pub(crate) fn mode(&self) -> Option<BondMode> {
        self.steps.iter().find_map(|step| match step {
            Step::AddBond(bond) => Some(bond.options.mode),
            _ => None,
        })
    }

    /// Returns the name of the bond that ADD was to make.
    pub(crate) fn bond_name(&self) -> Option<LinkName> {
        self.steps.iter().find_map(|step| match step {
            Step::AddBond(bond) => Some(bond.at.name.clone()),
            _ => None,
        })
    }

    /// Returns whether nothing is recorded.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Returns the port of this name, as ADD found it.
    pub(crate) fn port(&self, name: &LinkName) -> Option<&PortBefore> {
        self.ports.iter().find(|port| port.name == *name)
    }

    /// Returns the PCI function behind the port of this name.
    pub(crate) fn function(&self, name: &LinkName) -> Option<PciAddress> {
        self.port(name)?.function
    }

    /// Returns whether ADD was to make this link of the pod a port; a link of the node is one from
    /// the time when it is moved into the pod.
    pub(crate) fn has_taken(&self, name: &LinkName, are: LinksAre) -> bool {
        let in_pod = LinkRef::pod(name.clone());
        self.steps.iter().any(|step| match step {
            Step::Move { from, to } => *from == LinkRef::host(name.clone()) && *to == in_pod,
            Step::Enslave { port, .. } => are == LinksAre::InPod && *port == in_pod,
            _ => false,
        })
    }

    /// Returns whether ADD was to move this link of the node into the pod.
    pub(crate) fn has_moved(&self, name: &LinkName) -> bool {
        self.has_taken(name, LinksAre::OnHost)
    }

    /// Returns whether ADD was to make the pod's bond of this name.
    pub(crate) fn has_bond(&self, name: &LinkName) -> bool {
        let bond = LinkRef::pod(name.clone());
        self.steps.iter().any(|step| matches!(step, Step::AddBond(new) if new.at == bond))
    }

    /// Returns whether ADD found this link up.
    pub(crate) fn was_up(&self, at: &LinkRef) -> bool {
        self.steps.contains(&Step::SetState { at: at.clone(), to: LinkState::Down })
    }

    /// Returns whether this link of the node is a port that ADD found up.
    pub(crate) fn was_up_on_host(&self, link: &Link) -> bool {
        self.ports.iter().any(|port| {
            let is_port =
                if port.function.is_some() { port.may_be(link) } else { port.name == link.name };
            is_port && self.was_up(&LinkRef::host(port.name.clone()))
        })
    }

    /// Returns whether a link of the node is certainly one that ADD took from it, or at least leads to no pod:
    /// it may be brought up.
    pub(crate) fn is_certain_on_host(&self, link: &Link) -> bool {
        self.ports.iter().any(|port| port.is_certain_on_host(link))
    }

    /// Returns the link that ADD took from the node by this name, if the view shows it in this
    /// namespace.
    ///
    /// A hardware link is identified by its function: the pod may have renamed it, and on the node
    /// its name may be another link's, so that the kernel gave it another one when it came back
    /// from a namespace that is gone. In the pod its [identity](PortIdentity) decides of a link without
    /// function. Of a record of an earlier version, or of an ADD that has not ended, and on the node the name
    /// decides, and, in the pod, the address and the kind of a link that has been renamed.
    pub(crate) fn find_port<'v>(
        &self,
        netns: Netns,
        name: &LinkName,
        view: &'v View,
    ) -> Option<&'v Link> {
        let named = view.link(netns, name);
        let Some(port) = self.port(name) else { return named };
        if port.function.is_none() {
            let may_be = |link: &&Link| port.may_be_in(netns, link, view);
            let is_known =
                |identity: &&PortIdentity| netns == Netns::Pod && identity.is_of_whole_add();
            return match port.identity.as_ref().filter(is_known) {
                Some(identity) => identity.choose(view.pod.iter().filter(may_be)),
                None => named.filter(may_be).or_else(|| self.find_renamed(netns, port, view)),
            };
        }
        if named.is_some_and(|link| port.may_be(link)) {
            return named;
        }
        // A function may have several links: all of them ports, or a PF's representors of its VFs.
        let links: Vec<&Link> = view
            .links(netns)
            .iter()
            .filter(|link| port.may_be(link) && !self.is_named_port(link))
            .collect();
        match links.as_slice() {
            [link] => Some(link),
            links => links.iter().copied().find(|link| has_mac(link, port.mac)),
        }
    }

    /// Returns the one link of the pod with this port's address and kind, if it has a name that no port had.
    fn find_renamed<'v>(
        &self,
        netns: Netns,
        port: &PortBefore,
        view: &'v View,
    ) -> Option<&'v Link> {
        if port.link.is_none() || netns == Netns::Host {
            return None;
        }
        let mut links = view.pod.iter().filter(|link| {
            let mac_as_port = link.port.as_ref().and_then(|state| state.permanent_mac);
            let has_mac =
                has_mac(link, port.mac) || (port.mac.is_some() && mac_as_port == port.mac);
            has_mac && port.may_be_in(netns, link, view) && self.port(&link.name).is_none()
        });
        links.next().filter(|_| links.next().is_none())
    }

    /// Returns whether a link is the port whose name it has.
    fn is_named_port(&self, link: &Link) -> bool {
        self.port(&link.name).is_some_and(|port| port.may_be(link))
    }
}

fn has_mac(link: &Link, mac: Option<Mac>) -> bool {
    mac.is_some() && (link.mac == mac || link.permanent_mac == mac)
}

#[cfg(test)]
mod tests {
    use podbond_cni::{Args, ContainerId, NetConf, Request};
    use podbond_kernel::NetnsIdentity;
    use podbond_record::Records;
    use serde_json::json;

    use super::*;

    #[test]
    fn bond_record_is_read_back_as_written() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(&dir.path().join("lib"), &dir.path().join("run"));
        let config = json!({"cniVersion": "1.0.0", "name": "n", "type": "bond"});
        let request = Request {
            container_id: ContainerId::try_from("c1".to_owned()).unwrap(),
            netns: None,
            ifname: "net3".parse().unwrap(),
            args: Args::default(),
            path: Vec::new(),
            config: NetConf::parse(config.to_string().as_bytes()).unwrap(),
        };
        let netns = NetnsIdentity::of("/proc/self/ns/net".as_ref()).unwrap();
        let mut record = Record::of_add(&request, netns);
        let function: PciAddress = "0000:03:10.0".parse().unwrap();
        let at = LinkRef::host("eth1".parse().unwrap());
        let bond = BondRecord {
            steps: vec![Step::SetState { at: at.clone(), to: LinkState::Down }],
            ports: vec![PortBefore {
                name: at.name.clone(),
                mac: Some(Mac::new([2, 0, 0, 0, 0, 1])),
                mtu: 9000,
                function: Some(function),
                permanent_mac: None,
                driver: Some("igbvf".to_owned()),
                link: Some(LinkBefore {
                    kind: None,
                    altnames: vec!["further".to_owned()],
                    attributes: LinkAttributes::default(),
                }),
                identity: Some(PortIdentity::of(&Link {
                    lower: Some(4),
                    ..Link::new(3, at.name.clone())
                })),
            }],
        };
        bond.put_into(&mut record).unwrap();
        records.write(&record).unwrap();
        let (all, _) = records.all().unwrap();
        assert_eq!(BondRecord::read(&all[0]), Some(bond.clone()));
        assert_eq!(all[0].devices, [function]);
        assert!(all[0].is_of(PLUGIN) && bond.was_up(&at));
        record.link = Some(LinkPart::new("sriov", &bond).unwrap());
        assert_eq!(BondRecord::read(&record), None);
    }

    #[test]
    fn bond_of_a_version_1_record_is_read() {
        let text = include_str!("../../record/v1/bond.json");
        let record: Record = serde_json::from_str(text).unwrap();
        let netns = NetnsIdentity::of("/proc/self/ns/net".as_ref()).unwrap();
        let bond = BondRecord::read(&Record { netns: Some(netns), ..record }).unwrap();
        let net1 = LinkRef::pod("net1".parse().unwrap());
        assert_eq!(bond.mode(), Some(BondMode::ActiveBackup));
        assert!(bond.was_up(&net1) && bond.has_taken(&net1.name, LinksAre::InPod));
        assert_eq!(bond.function(&net1.name), Some("0000:02:10.0".parse().unwrap()));
        let mac = Some(Mac::new([2, 0, 0, 0, 0, 1]));
        assert_eq!(bond.port(&net1.name).map(|port| (port.mac, port.mtu)), Some((mac, 1500)));
    }
}
