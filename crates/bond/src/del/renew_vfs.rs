//! Has the driver of a VF that a bond has taken from the node make its link anew: on the node, without what
//! the pod has done to it.

use podbond_kernel::{Apply, Kernel, Step, makes_links};
use podbond_names::PciAddress;

use crate::error::Error;
use crate::record::{BondRecord, PortBefore};

/// Takes the driver from each recorded VF whose link is not on the node, and gives it back. Returns what went
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
    // It is gone, or back.
    if sysfs.pf_of(pci)?.is_none() || !sysfs.links_of(pci)?.is_empty() {
        return Ok(());
    }
    // A DEL that was killed has left it without; somebody may have given it to a process.
    let bound = sysfs.driver(pci)?;
    if !makes_links(bound.as_ref().unwrap_or(driver)) || is_anothers(pci) {
        return Ok(());
    }
    let steps = Step::renewal(pci, bound, driver.clone());
    steps.iter().try_for_each(|step| kernel.apply(step))
}
