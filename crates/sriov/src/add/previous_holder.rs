//! Finishing a VF whose last holder is gone without a DEL, so that the next pod gets none of its
//! settings.

use podbond_cni::Request;
use podbond_kernel::{Kernel, NetnsState};
use podbond_names::PciAddress;
use podbond_record::{Holder, Record};

use crate::del::{look_for_link, may_restore, restore};
use crate::observe::is_off_node;
use crate::ownership::{EarlierHolder, earlier_holder, others_with};
use crate::record::VfBefore;
use crate::{Error, Sriov};

impl Sriov {
    /// Makes sure that nobody has the VF of an ADD, and finishes what its last holder has left. The VF's
    /// lock is held.
    pub(super) fn free_vf(
        &self,
        kernel: &mut Kernel,
        pci: PciAddress,
        request: &Request,
    ) -> Result<(), Error> {
        let claim = self.files.claim(pci)?;
        let is_claim_alive =
            claim.as_ref().is_some_and(|netns| !NetnsState::of_path(netns).is_over());
        let mut is_claim_recorded = false;
        let mut ended = Vec::new();
        for record in others_with(&self.records, pci, &request.attachment())? {
            let Some(netns) = &record.netns else { continue };
            let namespace = (netns.path.as_path(), netns.state());
            let claimed = (claim.as_deref(), is_claim_alive);
            match earlier_holder(namespace, claimed, is_off_node(kernel, pci)?) {
                EarlierHolder::Holds => {
                    return Err(Error::Held { pci, holder: Holder::Attachment(Box::new(record)) });
                }
                EarlierHolder::IsOver => {
                    is_claim_recorded = true;
                    ended.push((record, true));
                }
                EarlierHolder::EndedBySriovCni => ended.push((record, false)),
            }
        }
        if let Some(netns) = &claim
            && !is_claim_recorded
            && is_claim_alive
        {
            return Err(Error::Held { pci, holder: Holder::Netns(netns.clone()) });
        }
        for (record, is_ours) in ended {
            self.end_earlier_holder(kernel, pci, record, is_ours)?;
        }
        if claim.is_some() {
            if !is_claim_recorded {
                self.finish_for_sriov_cni(kernel, pci)?;
            }
            self.files.remove_claim(pci)?;
        }
        Ok(())
    }

    /// Ends the part of the VF in the record of an earlier holder. Its lease is left to its own DEL, and
    /// to `podbond gc`.
    fn end_earlier_holder(
        &self,
        kernel: &mut Kernel,
        pci: PciAddress,
        record: Record,
        is_ours: bool,
    ) -> Result<(), Error> {
        if is_ours && let Some(before) = VfBefore::recorded(&record) {
            restore(kernel, pci, &before)?;
        }
        let mut record = record;
        self.files.remove_record(&record.attachment())?;
        (record.link, record.devices) = (None, Vec::new());
        if !record.has_ipam() {
            Ok(self.records.end_plugin(record, None)?)
        } else if is_ours {
            Ok(self.records.end_plugin(record, Some("its pod is gone without a DEL"))?)
        } else {
            Ok(self.records.write(&record)?)
        }
    }

    /// Restores a VF by what sriov-cni recorded of it, and removes that record. The namespace that it was
    /// claimed for is over.
    fn finish_for_sriov_cni(&self, kernel: &mut Kernel, pci: PciAddress) -> Result<(), Error> {
        for (attachment, record) in self.files.records_of(pci)? {
            let view = look_for_link(kernel, pci, &attachment.ifname, true)?;
            if may_restore(&view, pci, &attachment.ifname, &record.before, true) {
                restore(kernel, pci, &record.before)?;
            }
            self.files.remove_record(&attachment)?;
        }
        Ok(())
    }
}
