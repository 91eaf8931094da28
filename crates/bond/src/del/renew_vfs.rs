//! Has the driver of a VF that a bond has taken from the node make its link anew: on the node, without what
//! the pod has done to it.

use podbond_kernel::{Apply, Kernel, Step, makes_links};
use podbond_names::PciAddress;

use crate::error::Error;
use crate::record::{BondRecord, PortBefore};

/// Takes the driver from each recorded VF and gives it back: from one whose link is in the pod, and where the pod's
/// namespace is over from one that the kernel has given back to the node as the pod left it. Returns what went
/// wrong; a link that is in the pod still is moved then. VFs that another attachment has are left unchanged.
pub(super) fn renew_vfs(
    kernel: &mut Kernel,
    bond: &BondRecord,
    is_anothers: &impl Fn(PciAddress) -> bool,
) -> Vec<Error> {
    let ports = bond.ports.iter().filter(|port| bond.has_moved(&port.name));
    ports.filter_map(|port| renew(kernel, port, is_anothers).err()).map(Error::Kernel).collect()
}

fn renew(
    kernel: &mut Kernel,
    port: &PortBefore,
    is_anothers: &impl Fn(PciAddress) -> bool,
) -> podbond_kernel::Result<()> {
    let (Some(pci), Some(driver)) = (port.function, &port.driver) else { return Ok(()) };
    let sysfs = kernel.sysfs();
    if sysfs.pf_of(pci)?.is_none() {
        return Ok(());
    }
    let is_on_node = !sysfs.links_of(pci)?.is_empty();
    // A DEL that was killed has left it without; somebody may have given it to a process.
    let bound = sysfs.driver(pci)?;
    // One on the node is back already while the pod lives, and one that is not is somebody else's later.
    if bound.is_some() && is_on_node == kernel.has_pod() {
        return Ok(());
    }
    if !makes_links(bound.as_ref().unwrap_or(driver)) || is_anothers(pci) {
        return Ok(());
    }
    let steps = Step::renewal(pci, bound, driver.clone());
    steps.iter().try_for_each(|step| kernel.apply(step))
}
