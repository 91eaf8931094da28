//! Reads single links of a pod's network namespace from the kernel.

use podbond_cni::Request;
use podbond_kernel::{Error as KernelError, Kernel, LinkRef, View};
use podbond_names::LinkName;

use crate::Error;

/// Opens the network namespace of an ADD or CHECK.
pub(crate) fn open_pod(request: &Request) -> Result<Kernel, Error> {
    let netns = request.netns.as_deref().ok_or(KernelError::NoPodNamespace)?;
    Ok(Kernel::with_pod(netns)?)
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
