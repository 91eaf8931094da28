//! Reads what stands below the ports of a bond: their VFs, PFs and the PFs' masters.

use podbond_kernel::{Kernel, Netns, View};
use podbond_names::PciAddress;

use super::rules::{OtherBond, Surroundings};
use crate::Error;
use crate::config::Config;

/// Adds the VFs of a view's ports to it, and their PFs' links with their masters. One question to
/// each VF's PF, which shows both; the rest is sysfs. Speeds are read only where the mode wants
/// equal ones. What the view holds already is not asked for. `bonds` are those of other
/// attachments.
pub(crate) fn observe_surroundings(
    kernel: &mut Kernel,
    config: &Config,
    bonds: Vec<OtherBond>,
    view: &mut View,
) -> Result<Surroundings, Error> {
    let mut around = Surroundings { bonds, ..Surroundings::default() };
    let netns = config.links_are.netns();
    let ports = config.ports.iter().filter_map(|name| view.link(netns, name)?.parent);
    for pci in ports.collect::<Vec<_>>() {
        let function = read_vf(kernel, pci, view)?;
        if view.vf(pci).is_some_and(|vf| vf.settings.trust == Some(false))
            && let Some(driver) = kernel.sysfs().driver(function)?
        {
            around.pf_drivers.insert(function, driver);
        }
        if !config.needs_equal_speeds() {
            continue;
        }
        if let Some(link) = kernel.sysfs().link_of(function)?
            && let Some(speed) = kernel.sysfs().speed_of(&link)?
        {
            around.speeds.insert(function, speed);
        }
    }
    Ok(around)
}

/// Adds the VF at this address to a view, if it is one. Returns its PF, or the function itself.
fn read_vf(kernel: &mut Kernel, pci: PciAddress, view: &mut View) -> Result<PciAddress, Error> {
    if let Some(vf) = view.vf(pci)
        && view.link(Netns::Host, &vf.pf_link).is_some()
    {
        return Ok(vf.pf);
    }
    let (vf, link) = match kernel.vf_and_pf(pci) {
        Ok(Some(seen)) => seen,
        // What cannot be seen is not judged: the PF itself may have been given to a pod.
        Ok(None) | Err(podbond_kernel::Error::NoPfLink { .. }) => return Ok(pci),
        Err(error) => return Err(error.into()),
    };
    let pf = vf.pf;
    if view.vf(pci).is_none() {
        view.vfs.push(vf);
    }
    if let Some(master) = link.master.filter(|master| !has_host_link(view, *master)) {
        view.host.extend(kernel.link_by_index(Netns::Host, master)?);
    }
    if !has_host_link(view, link.index) {
        view.host.push(link);
    }
    Ok(pf)
}

fn has_host_link(view: &View, index: u32) -> bool {
    view.host.iter().any(|link| link.index == index)
}
