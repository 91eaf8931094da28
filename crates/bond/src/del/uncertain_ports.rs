//! What DEL says of the links of the node that a pod has lost or replaced, or that may be others than those that
//! ADD took. Pure.

use podbond_kernel::{Link, Netns, View};
use podbond_names::{LinkName, OneLine};

use crate::record::BondRecord;

/// A link without PCI function that ADD took from the node and that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum UncertainPort {
    /// It was deleted, or moved to yet another namespace; nothing says where it is.
    #[error(
        "links: {name}{} is not in the pod any more, and is not restored: it was deleted, or moved to another \
         network namespace; make it again{}",
        in_brackets(.kind.as_ref()),
        but_for(.name, *.has_namesake)
    )]
    Lost { name: LinkName, kind: Option<String>, has_namesake: bool },
    /// It may be another link, by which a pod would reach the node.
    #[error(
        "links: {name}{} is back on the node, down: nothing tells that it is the link that was taken from it \
         and not one that the pod has made; look at it, and bring it up",
        in_brackets(.kind.as_ref())
    )]
    Down { name: LinkName, kind: Option<String> },
}

impl UncertainPort {
    /// Returns what is said of a link of the node that stays down.
    pub(super) fn down(link: &Link) -> Self {
        Self::Down { name: link.name.clone(), kind: link.kind.clone() }
    }
}

fn in_brackets(kind: Option<&String>) -> String {
    kind.map(|kind| format!(" ({})", OneLine(kind))).unwrap_or_default()
}

fn but_for(name: &LinkName, has_namesake: bool) -> String {
    if has_namesake {
        format!(" (the pod's link {name} is another one, and stays there)")
    } else {
        String::new()
    }
}

/// Returns those ports that are neither in the pod, which the view shows with all its links, nor on the node.
pub(super) fn lost_ports(
    names: &[LinkName],
    view: &View,
    recorded: &BondRecord,
) -> Vec<UncertainPort> {
    let lost = names.iter().filter(|name| {
        let is_in = |netns| recorded.find_port(netns, name, view).is_some();
        let is_identified = recorded.port(name).is_some_and(|port| port.identity.is_some());
        recorded.has_moved(name) && is_identified && !is_in(Netns::Pod) && !is_in(Netns::Host)
    });
    let lost = lost.map(|name| UncertainPort::Lost {
        name: name.clone(),
        kind: recorded.port(name).and_then(|port| port.link.as_ref()?.kind.clone()),
        has_namesake: view.link(Netns::Pod, name).is_some(),
    });
    lost.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_port_is_named_with_its_namesake() {
        let lost = |has_namesake| {
            let (name, kind) = ("h1".parse().unwrap(), Some("ve\nth".to_owned()));
            UncertainPort::Lost { name, kind, has_namesake }.to_string()
        };
        let said = r"links: h1 (ve\nth) is not in the pod any more, and is not restored: it was deleted, or moved to another network namespace; make it again";
        assert_eq!(lost(false), said);
        assert_eq!(
            lost(true),
            format!("{said} (the pod's link h1 is another one, and stays there)")
        );
    }
}
