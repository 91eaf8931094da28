//! The plan from the observed cards to the policies: number of VFs and MTU of each PF, then MAC, MTU and
//! driver of each VF. Planned in rounds, since VFs that do not exist have no address; the last plan is empty.

use std::collections::BTreeMap;

use podbond_api::{DeviceType, Management};
use podbond_kernel::{LinkRef, LinkState, Step, VfSettings};
use podbond_names::{Mac, PciAddress};

use crate::assign::{Assignment, PfAssignment, VfGroup};
use crate::cards::{Inventory, Pf, Vf};
use crate::error::Error;
use crate::holder::Holders;
use crate::pf_record::PfRecord;

impl Assignment {
    /// Returns the next steps from the cards to the policies; none when nothing is to be done.
    ///
    /// VFs that do not exist yet are in the plan that follows their creation. PFs whose VFs are managed
    /// externally are unchanged, and so are held VFs. A change that would take a held VF from its pod is
    /// an error.
    pub(crate) fn plan(
        &self,
        inventory: &Inventory,
        holders: &Holders,
        set_macs: &SetMacs,
    ) -> Result<Vec<Step>, Error> {
        let mut steps = Vec::new();
        for assigned in self.pfs.iter().filter(|pf| pf.management == Management::Managed) {
            let Some(pf) = inventory.pf(assigned.pf) else { continue };
            steps.extend(assigned.pf_steps(pf, holders)?);
            if pf.num_vfs == assigned.num_vfs {
                steps.extend(assigned.vf_steps(pf, holders, set_macs));
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
            let policy = self.policy_of(Some(mtu));
            let what = format!("{policy}: spec.mtu: raising the MTU of {} to {mtu}", link.name);
            require_free(&pf.vfs, holders, what)?;
            steps.push(Step::SetMtu {
                at: LinkRef::host(link.name.clone()),
                from: link.mtu,
                to: mtu,
            });
        }
        if pf.num_vfs != self.num_vfs {
            let policy = self.policy_of(None);
            let (from, to) = (pf.num_vfs, self.num_vfs);
            let pf_name = pf.label();
            let what = format!("{policy}: spec.numVfs: making {to} VFs of {pf_name} (now {from})");
            require_free(&pf.vfs, holders, what)?;
            steps.push(Step::SetNumVfs { pf: pf.pci, from, to });
        }
        if let Some(link) = pf.link.as_ref().filter(|link| link.state == LinkState::Down) {
            steps.push(Step::SetState { at: LinkRef::host(link.name.clone()), to: LinkState::Up });
        }
        Ok(steps)
    }

    /// Returns the policy that gives this MTU, for people; the first one without an MTU.
    fn policy_of(&self, mtu: Option<u32>) -> String {
        let with_mtu = self.groups.iter().find(|group| mtu.is_some() && group.mtu == mtu);
        let group = with_mtu.or(self.groups.first());
        group.map(|group| format!("SriovNetworkNodePolicy {}", group.policy)).unwrap_or_default()
    }

    fn vf_steps(&self, pf: &Pf, holders: &Holders, set_macs: &SetMacs) -> Vec<Step> {
        let mut steps = Vec::new();
        for group in &self.groups {
            for vf in group.vfs_of(pf).filter(|vf| holders.of(vf.pci).is_none()) {
                steps.extend(set_admin_mac(pf, vf, set_macs));
                steps.extend(set_mtu(group, vf));
                steps.extend(bind_driver(group, pf, vf));
            }
        }
        steps
    }
}

/// The administrative MAC addresses that policies have set, of each VF.
pub(crate) type SetMacs = BTreeMap<PciAddress, Mac>;

/// Returns the step that sets a VF's own MAC as its administrative MAC on the PF, so that it survives a
/// reset of the VF. It is set where the PF shows it already, too, unless a policy has set it: the PF may
/// have made it up, and makes up another one at the next reset. None where the PF shows none at all.
fn set_admin_mac(pf: &Pf, vf: &Vf, set_macs: &SetMacs) -> Option<Step> {
    let own = vf.link.as_ref()?.mac.filter(|mac| *mac != Mac::ZERO)?;
    let is_set = set_macs.get(&vf.pci) == Some(&own);
    let from = vf.admin_mac.filter(|admin| *admin != own || !is_set)?;
    Some(Step::SetVf {
        pf: pf.link.as_ref()?.name.clone(),
        vf: vf.index,
        from: VfSettings { mac: Some(from), ..VfSettings::default() },
        to: VfSettings { mac: Some(own), ..VfSettings::default() },
    })
}

fn set_mtu(group: &VfGroup, vf: &Vf) -> Option<Step> {
    let link = vf.link.as_ref()?;
    let mtu = group.mtu.filter(|mtu| *mtu != link.mtu)?;
    Some(Step::SetMtu { at: LinkRef::host(link.name.clone()), from: link.mtu, to: mtu })
}

fn bind_driver(group: &VfGroup, pf: &Pf, vf: &Vf) -> Option<Step> {
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

/// Returns the network driver of a PF's VFs, by that of the PF.
fn vf_driver(pf_driver: &str) -> &str {
    match pf_driver {
        "igb" => "igbvf",
        "ixgbe" => "ixgbevf",
        "i40e" | "ice" => "iavf",
        same => same,
    }
}

/// Returns the steps that restore a PF to its state before the first policy. A PF without VFs, as after a
/// reboot, gets none; an MTU that has been changed since is kept. The PF stays up.
pub(crate) fn restore_pf(
    record: &PfRecord,
    pf: &Pf,
    holders: &Holders,
) -> Result<Vec<Step>, Error> {
    let before = &record.before;
    let mut steps = Vec::new();
    if pf.num_vfs != before.num_vfs && pf.num_vfs != 0 {
        require_free(&pf.vfs, holders, format!("restoring the number of VFs of {}", pf.label()))?;
        steps.push(Step::SetNumVfs { pf: pf.pci, from: pf.num_vfs, to: before.num_vfs });
    } else {
        for (index, driver) in &before.drivers {
            let Some(vf) = pf.vf(*index) else { continue };
            if vf.driver != *driver && holders.of(vf.pci).is_none() {
                let (from, to) = (vf.driver.clone(), driver.clone());
                steps.push(Step::BindDriver { pci: vf.pci, from, to });
            }
        }
    }
    if let (Some(link), Some(mtu)) = (&pf.link, before.mtu)
        && record.raised_mtu == Some(link.mtu)
        && link.mtu > mtu
    {
        require_free(&pf.vfs, holders, format!("lowering the MTU of {} to {mtu}", link.name))?;
        steps.push(Step::SetMtu { at: LinkRef::host(link.name.clone()), from: link.mtu, to: mtu });
    }
    Ok(steps)
}

/// Returns an error where one of these VFs is held.
pub(crate) fn require_free<'v>(
    vfs: impl IntoIterator<Item = &'v Vf>,
    holders: &Holders,
    what: String,
) -> Result<(), Error> {
    for vf in vfs {
        if let Some(occupant) = holders.of(vf.pci) {
            let occupant = Box::new(occupant.clone());
            return Err(Error::InUse { what, index: vf.index, vf: vf.pci, occupant });
        }
    }
    Ok(())
}
