//! What is left to do on the cards, as steps. Made in rounds: VFs first; once they are there,
//! their drivers and addresses. The last round's plan is empty.

use podbond_api::{DeviceType, Management};
use podbond_kernel::{LinkRef, LinkState, Step, VfSettings};
use podbond_names::Mac;

use crate::record::PfRecord;
use crate::{Assignment, Error, Holders, Inventory, Pf, PfAssignment, Vf, VfGroup};

impl Assignment {
    /// The steps that bring the cards nearer to what the policies say; none when they are there.
    ///
    /// VFs that do not exist yet have no address: what is to be done with them is in the plan that
    /// is made once they do. PFs whose VFs are managed by others are left alone, and so are VFs
    /// that somebody holds. A change that would take a held VF from its pod is an error.
    pub fn plan(&self, inventory: &Inventory, holders: &Holders) -> Result<Vec<Step>, Error> {
        let mut steps = Vec::new();
        for assigned in self.pfs.iter().filter(|pf| pf.management == Management::Managed) {
            let Some(pf) = inventory.pf(assigned.pf) else { continue };
            steps.extend(assigned.pf_steps(pf, holders)?);
            if pf.num_vfs == assigned.num_vfs {
                steps.extend(assigned.vf_steps(pf, holders));
            }
        }
        Ok(steps)
    }
}

impl PfAssignment {
    fn pf_steps(&self, pf: &Pf, holders: &Holders) -> Result<Vec<Step>, Error> {
        let mut steps = Vec::new();
        if let (Some(link), Some(mtu)) = (&pf.link, self.mtu)
            && mtu > link.mtu
        {
            let policy = self.policy_of(|group| group.mtu == Some(mtu));
            let what = format!("{policy}: spec.mtu: raising the MTU of {} to {mtu}", link.name);
            refuse_held(pf, holders, what)?;
            steps.push(Step::SetMtu {
                at: LinkRef::host(link.name.clone()),
                from: link.mtu,
                to: mtu,
            });
        }
        if pf.num_vfs != self.num_vfs {
            let policy = self.policy_of(|_| true);
            let (from, to) = (pf.num_vfs, self.num_vfs);
            let what =
                format!("{policy}: spec.numVfs: making {to} VFs of {} (now {from})", pf.label());
            refuse_held(pf, holders, what)?;
            steps.push(Step::SetNumVfs { pf: pf.pci, from, to });
        }
        if let Some(link) = pf.link.as_ref().filter(|link| link.state == LinkState::Down) {
            steps.push(Step::SetState { at: LinkRef::host(link.name.clone()), to: LinkState::Up });
        }
        Ok(steps)
    }

    fn policy_of(&self, which: impl Fn(&VfGroup) -> bool) -> String {
        let group = self.groups.iter().find(|group| which(group)).or(self.groups.first());
        group.map(|group| format!("SriovNetworkNodePolicy {}", group.policy)).unwrap_or_default()
    }

    fn vf_steps(&self, pf: &Pf, holders: &Holders) -> Vec<Step> {
        let mut steps = Vec::new();
        for group in &self.groups {
            let vfs = group.vfs.indices().filter_map(|index| pf.vf(index));
            for vf in vfs.filter(|vf| holders.of(vf.pci).is_none()) {
                steps.extend(keep_mac(pf, vf));
                steps.extend(set_mtu(group, vf));
                steps.extend(bind(group, pf, vf));
            }
        }
        steps
    }
}

/// The PF is told the MAC that the VF has, so that it stays with the VF through every reset.
fn keep_mac(pf: &Pf, vf: &Vf) -> Option<Step> {
    let own = vf.link.as_ref()?.mac.filter(|mac| *mac != Mac::ZERO)?;
    let kept = vf.admin_mac.filter(|kept| *kept != own)?;
    let mac = |mac| VfSettings { mac: Some(mac), ..VfSettings::default() };
    Some(Step::SetVf {
        pf: pf.link.as_ref()?.name.clone(),
        vf: vf.index,
        from: mac(kept),
        to: mac(own),
    })
}

fn set_mtu(group: &VfGroup, vf: &Vf) -> Option<Step> {
    let link = vf.link.as_ref()?;
    let mtu = group.mtu.filter(|mtu| *mtu != link.mtu)?;
    Some(Step::SetMtu { at: LinkRef::host(link.name.clone()), from: link.mtu, to: mtu })
}

fn bind(group: &VfGroup, pf: &Pf, vf: &Vf) -> Option<Step> {
    const VFIO: &str = "vfio-pci";
    let wanted = match group.device_type {
        DeviceType::VfioPci => Some(VFIO).filter(|wanted| vf.driver.as_deref() != Some(wanted)),
        DeviceType::Netdevice => {
            Some(vf_driver(pf.driver.as_deref()?)).filter(|_| vf.is_userspace())
        }
    };
    let to = Some(wanted?.to_owned());
    Some(Step::BindDriver { pci: vf.pci, from: vf.driver.clone(), to })
}

/// The network driver of a PF's VFs. Where it is not the PF's own, the card's maker has given it
/// another name.
fn vf_driver(pf_driver: &str) -> &str {
    match pf_driver {
        "igb" => "igbvf",
        "ixgbe" => "ixgbevf",
        "i40e" | "ice" => "iavf",
        same => same,
    }
}

/// The steps that give a PF back what it had before the first policy. A PF without VFs, as after a
/// reboot, is left so; an MTU that somebody else has set since stays. The PF stays up.
pub(crate) fn take_back(record: &PfRecord, pf: &Pf, holders: &Holders) -> Result<Vec<Step>, Error> {
    let before = &record.before;
    let mut steps = Vec::new();
    if pf.num_vfs != before.num_vfs && pf.num_vfs != 0 {
        refuse_held(pf, holders, format!("taking back the VFs of {}", pf.label()))?;
        steps.push(Step::SetNumVfs { pf: pf.pci, from: pf.num_vfs, to: before.num_vfs });
    } else {
        for (index, driver) in &before.drivers {
            let rebound = |vf: &&Vf| vf.driver != *driver && holders.of(vf.pci).is_none();
            let vf = pf.vf(*index).filter(rebound);
            steps.extend(vf.map(|vf| Step::BindDriver {
                pci: vf.pci,
                from: vf.driver.clone(),
                to: driver.clone(),
            }));
        }
    }
    if let (Some(link), Some(mtu)) = (&pf.link, before.mtu)
        && record.raised_mtu == Some(link.mtu)
        && link.mtu > mtu
    {
        refuse_held(pf, holders, format!("lowering the MTU of {} to {mtu}", link.name))?;
        steps.push(Step::SetMtu { at: LinkRef::host(link.name.clone()), from: link.mtu, to: mtu });
    }
    Ok(steps)
}

/// Nothing may take a VF from a pod that lives.
pub(crate) fn refuse_held(pf: &Pf, holders: &Holders, what: String) -> Result<(), Error> {
    let held = |vf: &Vf| Some((vf.index, vf.pci, Box::new(holders.of(vf.pci)?.clone())));
    match pf.vfs.iter().find_map(held) {
        Some((index, vf, occupant)) => Err(Error::InUse { what, index, vf, occupant }),
        None => Ok(()),
    }
}
