use podbond_kernel::{Kernel, Link, LinkRef, Netns, Result, View};
use podbond_names::{LinkName, PciAddress};

use crate::plan::find;

/// What the kernel shows of a VF that shall be the pod's link `ifname`, or is: what [`crate::plan`]
/// needs to see, and no more.
pub fn observe(kernel: &mut Kernel, pci: PciAddress, ifname: &LinkName) -> Result<View> {
    look(kernel, pci, &[LinkRef::pod(ifname.clone())])
}

/// The VF, its link wherever it is, and the links of these names.
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
        let known = view.link(at.netns, &at.name).is_some();
        if known || (at.netns == Netns::Pod && !kernel.has_pod()) {
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
    if find(&view, pci).is_none() && kernel.has_pod() {
        view.pod = kernel.links(Netns::Pod)?;
    }
    Ok(view)
}
