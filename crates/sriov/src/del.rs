//! DEL: restores the VF, gives the lease back and ends the record; by the record, by sriov-cni's file, or
//! by the configuration and what the kernel shows.

mod of_sriov_cni;
mod recorded;
mod restore;
mod unrecorded;

use podbond_cni::{Attachment, Command, Delegates, Request};
use podbond_kernel::Kernel;
use podbond_names::PciAddress;
use podbond_record::Stored;
use podbond_state::Lock;

use crate::ownership::others_with;
use crate::{Config, Error, Sriov, record};

pub(crate) use of_sriov_cni::may_restore;
pub(crate) use restore::{look_for_link, restore};

impl Sriov {
    /// DEL. It succeeds when nothing is left to remove.
    pub(crate) fn del_vf(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Error> {
        let lock = self.records.lock(&request.attachment()).map_err(Error::from);
        let _attachment = lock_if_any(lock)?;
        self.del_locked(request, delegates)
    }

    /// DEL of an attachment whose lock is held, as far as there can be one.
    pub(crate) fn del_locked(
        &self,
        request: &Request,
        delegates: &Delegates<'_>,
    ) -> Result<(), Error> {
        let attachment = request.attachment();
        let device = match self.records.read(&attachment)? {
            Stored::Whole(record) => record::device(&record),
            Stored::Missing | Stored::Unreadable(_) => match self.files.record(&attachment)? {
                Some(file) => Some(file.device),
                None => Config::device_of(&request.config),
            },
        };
        let _vf = device.map_or(Ok(None), |pci| lock_if_any(self.files.lock(pci)))?;
        // Once more: whoever had the VF's lock may have restored it for us.
        match self.records.read(&attachment)? {
            Stored::Whole(record) => return self.del_recorded(*record, request, delegates),
            Stored::Unreadable(file) => {
                let (path, problem) = (file.path.display(), file.problem);
                let warning = format_args!("{path} {problem}: it is treated as missing");
                delegates.warn(Command::Del, request, "warning", &warning);
            }
            Stored::Missing => {}
        }
        match self.files.record(&attachment)? {
            Some(file) => self.del_of_sriov_cni(&file, request, delegates),
            None => self.del_unrecorded(device, request, delegates),
        }
    }

    /// Returns whether a VF is another attachment's by its record: its namespace is not over.
    fn is_recorded_of_another(&self, pci: PciAddress, own: &Attachment) -> Result<bool, Error> {
        let others = others_with(&self.records, pci, own)?;
        Ok(others.iter().any(|record| !record.netns_state().is_over()))
    }

    /// Returns whether a VF is another attachment's by its record, or by sriov-cni's where no record says
    /// that it is over.
    fn is_of_another(&self, pci: PciAddress, own: &Attachment) -> Result<bool, Error> {
        if self.is_recorded_of_another(pci, own)? {
            return Ok(true);
        }
        let over = others_with(&self.records, pci, own)?;
        let files = self.files.records()?;
        let mut others =
            files.iter().filter(|(attachment, file)| file.device == pci && attachment != own);
        Ok(others.any(|(attachment, _)| over.iter().all(|it| it.attachment() != *attachment)))
    }
}

/// Returns a lock for DEL. One that cannot be made, as on a full disk, must not keep a pod from being
/// deleted.
fn lock_if_any(lock: Result<Lock, Error>) -> Result<Option<Lock>, Error> {
    match lock {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.is_locked() => Err(error),
        Err(_) => Ok(None),
    }
}

/// Opens the pod's namespace as the runtime names it, or the node's side alone where it names none or
/// one that is over.
fn kernel_of(request: &Request) -> podbond_kernel::Result<Kernel> {
    request.netns.as_deref().map_or_else(Kernel::host, Kernel::with_path_of_del)
}
