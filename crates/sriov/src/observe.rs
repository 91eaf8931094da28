//! What the kernel shows of a VF and its link.

use podbond_kernel::{Kernel, Link, LinkRef, Netns, Result, Vf, View, is_userspace_driver};
use podbond_names::{LinkName, PciAddress};

/// Returns what the kernel shows of a VF that is or shall be the pod's link `ifname`: what
/// [`plan`](crate::plan) needs to see, and no more.
pub fn observe(kernel: &mut Kernel, pci: PciAddress, ifname: &LinkName) -> Result<View> {
    look(kernel, pci, &[LinkRef::pod(ifname.clone())])
}

/// Returns the VF, its link wherever it is, and the links of these names.
///
/// The pod's links are listed only when the VF's is neither on the node nor has one of the names.
pub(crate) fn look(kernel: &mut Kernel, pci: PciAddress, names: &[LinkRef]) -> Result<View> {
    let mut view = View { vfs: kernel.vf(pci)?.into_iter().collect(), ..View::default() };
    for name in kernel.sysfs().links_of(pci)? {
        let link = kernel.link(&LinkRef::host(name))?;
        // Kernels before 5.14 do not tell which function is behind a link; sysfs does.
        view.host.extend(link.map(|link| Link { parent: Some(pci), ..link }));
    }
    for at in names {
        let is_seen = view.link(at.netns, &at.name).is_some();
        if is_seen || (at.netns == Netns::Pod && !kernel.has_pod()) {
            continue;
        }
        let link = kernel.link_by_any_name(at)?;
        match at.netns {
            // It may be the VF's own, by another of its names.
            Netns::Host => {
                let new = link.filter(|link| view.host.iter().all(|seen| seen.index != link.index));
                view.host.extend(new);
            }
            Netns::Pod => view.pod.extend(link),
        }
    }
    if link_of(&view, pci).is_none() && kernel.has_pod() {
        view.pod = kernel.links(Netns::Pod)?;
    }
    Ok(view)
}

/// Returns the link of a PCI function, in the pod or on the node, with its place.
pub(crate) fn link_of(view: &View, pci: PciAddress) -> Option<(LinkRef, &Link)> {
    [Netns::Pod, Netns::Host].into_iter().find_map(|netns| {
        let link = view.links(netns).iter().find(|link| link.parent == Some(pci))?;
        Some((LinkRef { netns, name: link.name.clone() }, link))
    })
}

/// Returns whether a link has this name or altname.
pub(crate) fn has_name(link: &Link, name: &LinkName) -> bool {
    link.name == *name || link.altnames.iter().any(|other| other == name.as_str())
}

/// Returns whether the VF is bound to a driver that gives it no link.
pub(crate) fn is_userspace(vf: &Vf) -> bool {
    vf.driver.as_deref().is_some_and(is_userspace_driver)
}

/// Returns whether the VF's driver gives it a link, in whatever namespace that is.
pub(crate) fn has_link(vf: &Vf) -> bool {
    vf.driver.is_some() && !is_userspace(vf)
}

/// Returns whether the VF's link is in another namespace than the node's.
pub(crate) fn is_off_node(kernel: &mut Kernel, pci: PciAddress) -> Result<bool> {
    if !kernel.sysfs().links_of(pci)?.is_empty() {
        return Ok(false);
    }
    Ok(kernel.vf(pci)?.as_ref().is_some_and(has_link))
}
