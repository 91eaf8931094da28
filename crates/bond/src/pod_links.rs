//! Reads single links of a pod's network namespace from the kernel, and the own names of links that a
//! configuration calls by altnames.

use podbond_cni::{NetConf, Request};
use podbond_kernel::{Error as KernelError, Kernel, LinkRef, Netns, View};
use podbond_names::LinkName;

use crate::Error;
use crate::config::{Links, LinksAre, with_own_names};

/// Opens the network namespace of an ADD or CHECK.
pub(crate) fn open_pod(request: &Request) -> Result<Kernel, Error> {
    let netns = request.netns.as_deref().ok_or(KernelError::NoPodNamespace)?;
    Ok(Kernel::with_pod(netns)?)
}

/// Returns a configuration in which the links that ADD is to find are called by their own names, as far as
/// they are there. Links of a pod of which no namespace is open stay as they are written.
pub fn with_own_link_names(kernel: &mut Kernel, conf: &NetConf) -> podbond_kernel::Result<NetConf> {
    match Links::of(conf).are {
        LinksAre::OnHost => own_names_in(Netns::Host, kernel, conf),
        LinksAre::InPod if kernel.has_pod() => own_names_in(Netns::Pod, kernel, conf),
        LinksAre::InPod => Ok(conf.clone()),
    }
}

/// Returns a configuration in which links are called by their own names in this namespace.
pub(crate) fn own_names_in(
    netns: Netns,
    kernel: &mut Kernel,
    conf: &NetConf,
) -> podbond_kernel::Result<NetConf> {
    with_own_names(conf, |name| Ok(kernel.link_called(netns, name)?.map(|link| link.name)))
}

/// Reads all of the pod's links into a view. Those whose names are no text, as only the pod can have given
/// them, are renamed first, so that they can be found. Returns what of that went wrong.
pub(crate) fn read_all_pod_links(
    kernel: &mut Kernel,
    view: &mut View,
) -> podbond_kernel::Result<Vec<KernelError>> {
    let not_renamed = kernel.rename_unreadable(Netns::Pod)?;
    view.pod = kernel.links(Netns::Pod)?;
    view.host_netns_id = kernel.host_netns_id()?;
    Ok(not_renamed)
}

/// Adds those of the pod's links to a view that are there.
pub(crate) fn read_pod_links(
    kernel: &mut Kernel,
    names: impl IntoIterator<Item = LinkName>,
    view: &mut View,
) -> podbond_kernel::Result<()> {
    for name in names {
        view.pod.extend(kernel.link(&LinkRef::pod(name))?);
    }
    Ok(())
}
