use podbond_kernel::{Kernel, Netns, View, is_netns};
use podbond_names::PciAddress;

use super::{OtherBond, Surroundings};
use crate::Error;
use crate::config::Config;
use crate::made::Place;

/// Sees what is below the ports of a view: their VFs, and the PFs' links with their masters. One
/// question to each VF's PF, which shows both; the rest is sysfs. Speeds are looked at only where
/// the mode wants equal ones. What the view holds already is not asked for. `others` are the bonds
/// beside this one.
pub(crate) fn look_around(
    kernel: &mut Kernel,
    config: &Config,
    others: &[Place],
    view: &mut View,
) -> Result<Surroundings, Error> {
    let mut around = Surroundings::default();
    for other in others.iter().filter(|other| is_netns(&other.netns)) {
        let mut pfs = Vec::new();
        for &function in &other.functions {
            pfs.push(kernel.sysfs().pf_of(function)?.unwrap_or(function));
        }
        let name = other.name.clone();
        around.bonds.push(OtherBond { name, mode: other.mode, pfs });
    }
    let netns = config.links_are.netns();
    let ports = config.ports.iter().filter_map(|name| view.link(netns, name)?.parent);
    for pci in ports.collect::<Vec<_>>() {
        let function = see_vf(kernel, pci, view)?;
        if !config.needs_equal_speeds() {
            continue;
        }
        if let Some(link) = kernel.sysfs().links_of(function)?.first()
            && let Some(speed) = kernel.sysfs().speed_of(link)?
        {
            around.speeds.insert(function, speed);
        }
    }
    Ok(around)
}

/// Sees the VF at this address, if it is one; gives its PF, or the function itself.
fn see_vf(kernel: &mut Kernel, pci: PciAddress, view: &mut View) -> Result<PciAddress, Error> {
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
    let is_known = |view: &View, index| view.host.iter().any(|link| link.index == index);
    if let Some(master) = link.master.filter(|master| !is_known(view, *master)) {
        view.host.extend(kernel.link_by_index(Netns::Host, master)?);
    }
    if !is_known(view, link.index) {
        view.host.push(link);
    }
    Ok(pf)
}
