//! Tells a link without PCI function, which a bond has taken from the node, from one that a pod has put in its
//! place: by its kind, by the link of the node that it leads to, by its index in the pod. Pure.

use podbond_kernel::{Link, Netns, View};
use podbond_names::Mac;
use serde::{Deserialize, Serialize};

/// A pair of which each end is the other's only one.
const VETH: &str = "veth";

/// The kinds of links whose other end or lower link the kernel shows, and in which namespace that is.
const SHOWN: [&str; 6] = [VETH, "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"];

/// A link that leads nowhere: any other is as good.
const DUMMY: &str = "dummy";

/// What a pod cannot give to a link of its own, or not easily. The kind is recorded beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PortIdentity {
    /// The index of the node's link that it stands on, or that is its other end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lower_on_host: Option<u32>,
    /// The address that its hardware gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    permanent_mac: Option<Mac>,
    /// Its index in the pod; none until ADD has ended, when no link of the pod can be taken for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index_in_pod: Option<u32>,
}

impl PortIdentity {
    /// Returns what identifies a link of the node that is to be taken.
    pub(crate) fn of(link: &Link) -> Self {
        let (lower_on_host, permanent_mac) = (link.lower, link.permanent_mac);
        Self { lower_on_host, permanent_mac, index_in_pod: None }
    }

    /// Adds the index that the kernel has given the link in the pod.
    pub(crate) fn set_index(&mut self, index: u32) {
        self.index_in_pod = Some(index);
    }

    /// Returns whether a link may be the port, whatever its name and index are. It must be of the port's kind.
    pub(crate) fn may_be(&self, netns: Netns, link: &Link, view: &View) -> bool {
        let lower = view.lower_on_host(netns, link);
        link.permanent_mac == self.permanent_mac
            && self.lower_on_host.is_none_or(|index| lower == Some(index))
    }

    /// Returns which of the pod's links of the port's kind that [may be](Self::may_be) the port it is, once
    /// ADD has ended.
    pub(crate) fn choose<'v>(
        &self,
        mut candidates: impl Iterator<Item = &'v Link>,
    ) -> Option<&'v Link> {
        let is_other_end =
            |link: &Link| self.lower_on_host.is_some() && link.kind.as_deref() == Some(VETH);
        candidates.find(|link| self.index_in_pod == Some(link.index) || is_other_end(link))
    }

    /// Returns whether ADD has ended, after which the pod's programs may have made links.
    pub(crate) fn is_of_whole_add(&self) -> bool {
        self.index_in_pod.is_some()
    }
}

/// Returns whether a link of the node that may be a port is certainly not one by which a pod would reach the
/// node: both its ends are on the node, or it leads nowhere, or is hardware, which has no kind. Of an ADD that
/// has not ended any is. The identity is missing in a record of an earlier version.
pub(crate) fn leads_to_no_pod(identity: Option<&PortIdentity>, link: &Link) -> bool {
    let leads_nowhere = link.kind.as_deref().is_none_or(|kind| kind == DUMMY);
    let is_shown = link.kind.as_deref().is_some_and(|kind| SHOWN.contains(&kind));
    leads_nowhere
        || is_shown && link.lower.is_some()
        || identity.is_some_and(|identity| !identity.is_of_whole_add())
}

#[cfg(test)]
mod tests {
    use podbond_kernel::LinkElsewhere;

    use super::*;

    /// A link of the pod that leads to a link of the namespace of this number.
    fn link(index: u32, kind: &str, lower: Option<(i32, u32)>) -> Link {
        Link {
            kind: Some(kind.to_owned()),
            lower_elsewhere: lower.map(|(netns_id, index)| LinkElsewhere { netns_id, index }),
            ..Link::new(index, format!("l{index}").parse().unwrap())
        }
    }

    fn view() -> View {
        View { host_netns_id: Some(3), ..View::default() }
    }

    /// The indices that are chosen of links, those of the port's kind.
    fn chosen(identity: &PortIdentity, links: &[Link]) -> Option<u32> {
        let view = view();
        let may_be = |link: &&Link| identity.may_be(Netns::Pod, link, &view);
        identity.choose(links.iter().filter(may_be)).map(|link| link.index)
    }

    fn taken(lower: Option<u32>, index: u32) -> PortIdentity {
        let mut identity = PortIdentity::of(&Link { lower, ..link(9, "any", None) });
        identity.set_index(index);
        identity
    }

    /// Promise: port-not-replaced
    #[test]
    fn veth_is_found_by_its_other_end() {
        let port = taken(Some(20), 5);
        let forged = [
            link(5, "veth", Some((4, 20))),
            link(6, "veth", Some((3, 21))),
            Link { lower: Some(20), ..link(7, "veth", None) },
        ];
        assert_eq!(chosen(&port, &forged), None);
        let with_port = [&forged[..], &[link(8, "veth", Some((3, 20)))]].concat();
        assert_eq!(chosen(&port, &with_port), Some(8));
    }

    /// Promise: port-not-replaced
    #[test]
    fn other_link_is_found_by_its_index() {
        let on_one = [link(5, "macvlan", Some((3, 20))), link(6, "macvlan", Some((3, 20)))];
        assert_eq!(chosen(&taken(Some(20), 6), &on_one), Some(6));
        assert_eq!(chosen(&taken(Some(20), 7), &on_one), None);
        let taps = [link(5, "tun", None), link(6, "tun", None)];
        assert_eq!(chosen(&taken(None, 6), &taps), Some(6));
        let hardware = Link { permanent_mac: Some(Mac::new([2; 6])), ..link(6, "tun", None) };
        assert_eq!(chosen(&taken(None, 6), &[hardware]), None);
    }

    /// Promise: port-not-replaced
    #[test]
    fn link_that_may_lead_to_the_pod_is_not_certain() {
        let tap = link(5, "tun", None);
        assert!(!leads_to_no_pod(Some(&taken(None, 5)), &tap) && !leads_to_no_pod(None, &tap));
        assert!(leads_to_no_pod(Some(&PortIdentity::of(&tap)), &tap));
        assert!(leads_to_no_pod(None, &link(5, "dummy", None)));
        assert!(leads_to_no_pod(None, &Link { kind: None, ..tap }));
        let veth = link(5, "veth", Some((4, 2)));
        assert!(!leads_to_no_pod(None, &veth));
        assert!(leads_to_no_pod(None, &Link { lower: Some(2), ..veth }));
        assert!(!leads_to_no_pod(None, &Link { lower: Some(2), ..link(5, "vxlan", None) }));
    }
}
