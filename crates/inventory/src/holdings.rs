//! Free VFs of a resource, by the records of attachments and the claims of SR-IOV CNI plugins.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use podbond_api::ResourceName;
use podbond_cni::Attachment;
use podbond_kernel::Sysfs;
use podbond_names::PciAddress;
use podbond_record::{Holder, Records, VfLocks};
use podbond_state::{Lock, read};

use crate::assign::{Assignment, assign_matching};
use crate::cards::{Inventory, Vf};
use crate::error::Error;
use crate::files::{Files, lock};
use crate::holder::{Holders, Occupant, Owner};
use crate::policy_files::StoredPolicies;

/// Which VFs are held on this node. Nothing is recorded here: an attachment's record names the VF that it
/// holds, and `pci/<pci address>` in the directory of an SR-IOV CNI plugin the namespace that holds one.
#[derive(Debug, Clone)]
pub struct Holdings {
    pub(crate) state: PathBuf,
    records: Records,
    claims: PathBuf,
    pub(crate) vf_locks: VfLocks,
}

impl Holdings {
    /// Returns the holdings by these records, beside SR-IOV CNI plugins whose state is in `sriov_state`
    /// (normally `/var/lib/cni/sriov`), with the policies of the state directory `state` (normally
    /// `/var/lib/podbond`). None of them need exist yet.
    pub fn new(state: &Path, records: Records, sriov_state: &Path) -> Self {
        Self {
            state: state.to_owned(),
            records,
            claims: sriov_state.join("pci"),
            vf_locks: VfLocks::new(sriov_state),
        }
    }

    /// Waits no longer than this for a process that works on a VF which a policy changes.
    #[must_use]
    pub fn with_vf_timeout(self, timeout: Duration) -> Self {
        Self { vf_locks: self.vf_locks.with_timeout(timeout), ..self }
    }

    /// Returns the VFs of the node's policies on these cards. A policy whose card was removed is skipped,
    /// and so is one that cannot be read.
    pub fn assignment(&self, inventory: &Inventory) -> Result<Assignment, Error> {
        assign_matching(&StoredPolicies::read(&self.policy_files())?.policies, inventory)
    }

    pub(crate) fn policy_files(&self) -> Files {
        Files::new(self.state.join("policies"))
    }

    /// Returns who holds which VF at present.
    pub fn holders(&self, inventory: &Inventory) -> Result<Holders, Error> {
        let mut holders = Holders::default();
        for vf in inventory.pfs.iter().flat_map(|pf| &pf.vfs) {
            if let Some(occupant) = self.occupant(vf)? {
                holders.by_vf.insert(vf.pci, occupant);
            }
        }
        Ok(holders)
    }

    /// Returns the lowest free VF of a resource, with the lock under which it was chosen, to be held until
    /// the attachment's record names the VF.
    pub fn choose(
        &self,
        sysfs: &Sysfs,
        resource: &ResourceName,
    ) -> Result<(PciAddress, Lock), Error> {
        let lock = lock(&self.state)?;
        let inventory = Inventory::read(sysfs)?;
        let assignment = self.assignment(&inventory)?;
        Ok((assignment.free_vf(resource, &inventory, |vf| self.occupant(vf))?, lock))
    }

    /// Returns the same lock for a VF that a NAD names by its address, in a pool or not, if it is free.
    pub fn choose_this(&self, sysfs: &Sysfs, vf: PciAddress) -> Result<Lock, Error> {
        let lock = lock(&self.state)?;
        if sysfs.pf_of(vf)?.is_none() {
            return Err(Error::NotAVf { pci: vf });
        }
        match self.holder(vf)? {
            Some(holder) => Err(Error::Held { vf, occupant: Box::new(Occupant::Holder(holder)) }),
            None => Ok(lock),
        }
    }

    /// Returns who holds a VF but for `own`, or else the policy whose resource it is of. One claim is read,
    /// the records that name the VF, and the policies with the one PF. None for a function that is no VF.
    pub fn owner(
        &self,
        sysfs: &Sysfs,
        vf: PciAddress,
        own: Option<&Attachment>,
    ) -> Result<Option<Owner>, Error> {
        let Some(pf) = sysfs.pf_of(vf)? else { return Ok(None) };
        let mut records = self.records.holding(vf)?;
        records.retain(|record| own != Some(&record.attachment()));
        if let Some(holder) = Holder::among(&records, vf, self.claim(vf)?.as_deref()) {
            return Ok(Some(Owner::Holder(holder)));
        }
        let policies = StoredPolicies::read(&self.policy_files())?.policies;
        if policies.is_empty() {
            return Ok(None);
        }
        let inventory = Inventory::read_one(sysfs, pf)?;
        let assignment = assign_matching(&policies, &inventory)?;
        Ok(assignment.policy_of(vf, &inventory).cloned().map(Owner::Policy))
    }

    fn occupant(&self, vf: &Vf) -> Result<Option<Occupant>, Error> {
        Ok(match self.holder(vf.pci)? {
            Some(holder) => Some(Occupant::Holder(holder)),
            // A VF with a network driver whose link is not on the host is in another namespace.
            None if vf.link.is_none() && vf.driver.is_some() && !vf.is_userspace() => {
                Some(Occupant::Unknown)
            }
            None => None,
        })
    }

    fn holder(&self, vf: PciAddress) -> Result<Option<Holder>, Error> {
        Ok(self.records.holder(vf, self.claim(vf)?.as_deref())?)
    }

    /// Returns the namespace for which an SR-IOV CNI plugin has claimed a VF.
    fn claim(&self, vf: PciAddress) -> Result<Option<PathBuf>, Error> {
        let path = match read(&self.claims.join(vf.to_string())) {
            // It is longer than a path can be.
            Err(podbond_state::Error::TooLarge { .. }) => None,
            path => path?,
        };
        Ok(path.map(|path| PathBuf::from(OsString::from_vec(path.trim_ascii().to_owned()))))
    }
}
