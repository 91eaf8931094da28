//! DEL by the record.

use podbond_cni::{Delegates, Request};
use podbond_ipam::Ipam;
use podbond_kernel::{Kernel, LinkRef, Netns, NetnsState};
use podbond_names::PciAddress;
use podbond_record::{Record, State};

use super::restore;
use crate::observe::{link_of, look};
use crate::ownership::is_claim_of;
use crate::record::{VfBefore, device};
use crate::{Error, Sriov};

impl Sriov {
    /// DEL of a recorded attachment, with the configuration of its ADD.
    pub(super) fn del_recorded(
        &self,
        record: Record,
        request: &Request,
        delegates: &Delegates<'_>,
    ) -> Result<(), Error> {
        let mut record = record;
        if record.state != State::IpamPending {
            record.state = State::Releasing;
            // On a full disk too a pod is deleted.
            let _ = self.records.write(&record);
        }
        let ipam = Ipam { request: &record.del_for(request), delegates };
        self.end(ipam, Some(record.clone()), false, || self.restore_recorded(&record))
    }

    /// Restores the VF of a record where it is still the record's. Returns the VF whose claim is to be
    /// removed.
    fn restore_recorded(&self, record: &Record) -> Result<Option<PciAddress>, Error> {
        let (Some(pci), Some(netns)) = (device(record), &record.netns) else { return Ok(None) };
        let claim = self.files.claim(pci)?;
        let is_claimed = is_claim_of(claim.as_deref(), &netns.path);
        let Some(before) = VfBefore::recorded(record) else {
            // The VF of an earlier boot is no more; its claim, which knows no boot, is still there.
            let is_of_earlier_boot = !netns.is_of_this_boot() && is_claimed;
            let is_over = is_of_earlier_boot && NetnsState::of_path(&netns.path).is_over();
            return Ok(is_over.then_some(pci));
        };
        let own = record.attachment();
        // The pod that has the path of the namespace may have the VF too.
        let may_be_sriov_cnis = netns.state() == NetnsState::Another;
        if self.is_recorded_of_another(pci, &own)?
            || (may_be_sriov_cnis && self.is_of_another(pci, &own)?)
        {
            return Ok(None);
        }
        let mut kernel = Kernel::with_recorded(netns)?;
        if !is_claimed {
            let view = look(&mut kernel, pci, &[LinkRef::pod(record.ifname.clone())])?;
            if link_of(&view, pci).is_none_or(|(at, _)| at.netns != Netns::Pod) {
                // sriov-cni has taken it back, or the ADD ended before it was claimed. Another claim stays;
                // where there is none, one that was half written goes.
                return Ok(claim.is_none().then_some(pci));
            }
        }
        restore(&mut kernel, pci, &before)?;
        // Whatever else it says is wrong: the VF was here.
        Ok(Some(pci))
    }
}
