//! Where a link of the node is that was a bond's port, and which name it gets there. Pure.

use podbond_kernel::{Link, LinkRef, Netns, View};
use podbond_names::LinkName;

use crate::made::Made;

/// The port that ADD took from the node by this name, if it is in this namespace.
///
/// A hardware link is known by its function. The pod may have renamed it; and on the node the name
/// may be another link's by now, so that the kernel gave it one of its own choice when it came back
/// with a namespace that is gone. Only where no function is recorded does the name tell.
pub(crate) fn find<'v>(
    netns: Netns,
    name: &LinkName,
    made: &Made,
    view: &'v View,
) -> Option<&'v Link> {
    let named = view.link(netns, name);
    let Some(port) = made.port(name).filter(|port| port.function.is_some()) else { return named };
    if named.is_some_and(|link| port.may_be(link)) {
        return named;
    }
    // A function may have several links: they may all be ports, or a PF's the representors of its VFs.
    let is_another = |link: &Link| made.port(&link.name).is_some_and(|other| other.may_be(link));
    let links = view.links(netns).iter().filter(|link| port.may_be(link) && !is_another(link));
    let links: Vec<&Link> = links.collect();
    let mac = port.mac;
    let has_mac = |link: &&&Link| mac.is_some() && (link.mac == mac || link.permanent_mac == mac);
    match links.as_slice() {
        [link] => Some(link),
        links => links.iter().find(has_mac).copied(),
    }
}

/// Where a port belongs on the node: under its own name, or, as long as another link has that, under
/// one as the kernel would choose. A link by another name is better than one that stays in the pod,
/// or than a pod that cannot be deleted. The view holds all links of the node where one of them has the
/// port's name or has it as an altname.
pub(crate) fn home(name: &LinkName, from: &LinkRef, link: &Link, view: &View) -> LinkRef {
    let is_itself = |other: &Link| from.netns == Netns::Host && other.index == link.index;
    let has = |other: &Link, name: &str| {
        other.name.as_str() == name || other.altnames.iter().any(|altname| altname == name)
    };
    let is_free = |name: &str| !view.host.iter().any(|other| !is_itself(other) && has(other, name));
    if is_free(name.as_str()) {
        return LinkRef::host(name.clone());
    }
    if from.netns == Netns::Host {
        return from.clone();
    }
    // As the kernel does it, which makes the name of the index. It always is one.
    let mut names = (link.index..).map(|index| format!("dev{index}"));
    let free = names.find(|name| is_free(name)).and_then(|name| name.parse().ok());
    LinkRef::host(free.unwrap_or_else(|| name.clone()))
}
