//! Chooses the name under which a port returns to the node.

use podbond_kernel::{Link, LinkRef, Netns, View};
use podbond_names::LinkName;

/// Returns where a port belongs on the node: under its own name, or, as long as another link has
/// that, under one as the kernel would choose. A link by another name is better than one that stays
/// in the pod, or than a pod that cannot be deleted. The view holds all links of the node. Pure.
pub(super) fn place_on_host(name: &LinkName, from: &LinkRef, link: &Link, view: &View) -> LinkRef {
    // On the node it does not stand in its own way.
    let own_index = (from.netns == Netns::Host).then_some(link.index);
    if is_free(name.as_str(), own_index, view) {
        return LinkRef::host(name.clone());
    }
    if from.netns == Netns::Host {
        return from.clone();
    }
    // As the kernel does it, which makes the name of the index.
    let free = (link.index..).map(|index| format!("dev{index}"));
    let free = free.into_iter().find(|name| is_free(name, own_index, view));
    LinkRef::host(free.and_then(|name| name.parse().ok()).unwrap_or_else(|| name.clone()))
}

/// Returns whether no link of the node but that of `own_index` has a name, or has it as an altname.
fn is_free(name: &str, own_index: Option<u32>, view: &View) -> bool {
    let others = view.host.iter().filter(|link| Some(link.index) != own_index);
    !others.into_iter().any(|link| {
        link.name.as_str() == name || link.altnames.iter().any(|altname| altname == name)
    })
}
