//! DEL: restores the VF, gives the lease back and ends the record; by the record, by sriov-cni's file, or
//! by the configuration and what the kernel shows.

mod of_sriov_cni;
mod recorded;
mod restore;
mod unrecorded;

use podbond_cni::{Attachment, Command, Delegates, Request};
use podbond_ipam::Ipam;
use podbond_kernel::Kernel;
use podbond_names::PciAddress;
use podbond_record::{Record, Stored, if_possible};

use crate::ownership::others_with;
use crate::{Config, Error, Sriov, record};

pub(crate) use of_sriov_cni::may_restore;
pub(crate) use restore::{look_for_link, restore};

impl Sriov {
    /// DEL. It succeeds when nothing is left to remove.
    pub(crate) fn del_vf(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Error> {
        let _attachment = if_possible(self.records.lock(&request.attachment()))?;
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
        let _vf = device.map_or(Ok(None), |pci| if_possible(self.files.lock(pci)))?;
        // Once more: the process that had the VF's lock may have restored it for us.
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

    /// Restores the VF, gives the lease back and removes the files, the record last. `restore` returns the
    /// VF whose claim is to be removed. An attachment that was never made has no lease, whatever its IPAM
    /// plugin says.
    fn end(
        &self,
        ipam: Ipam<'_>,
        record: Option<Record>,
        was_never_made: bool,
        restore: impl FnOnce() -> Result<Option<PciAddress>, Error>,
    ) -> Result<(), Error> {
        let (claim, pending) = ipam.release_after(|| {
            restore().map(|pci| pci.map_or(Ok(()), |pci| self.files.remove_claim(pci)))
        })?;
        let pending = pending.filter(|_| !was_never_made);
        let file = self.files.remove_record(&ipam.request.attachment());
        Error::all([claim, file].into_iter().filter_map(Result::err).collect())?;
        Ok(ipam.end(&self.records, record, pending.as_deref())?)
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
        let is_over = |other: &Attachment| over.iter().any(|record| record.attachment() == *other);
        let files = self.files.records_of(pci)?;
        Ok(files.iter().any(|(other, _)| other != own && !is_over(other)))
    }
}

/// Opens the pod's namespace as the runtime names it, or the node's side alone where it names none or
/// one that is over.
fn kernel_of(request: &Request) -> podbond_kernel::Result<Kernel> {
    request.netns.as_deref().map_or_else(Kernel::host, Kernel::with_path_of_del)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use podbond_cni::Lookup;
    use podbond_record::LinkPart;
    use serde_json::json;

    use super::*;
    use crate::record::{PLUGIN, VfBefore};
    use crate::sriov_cni::SriovCniRecord;
    use crate::testing::{PCI, attachment, net_conf, pci};

    /// The path of no namespace, also where this process does not see what the node sees.
    const OVER: &str = "of an earlier life";

    /// A node without the VF: what becomes of the files.
    struct Node {
        dir: tempfile::TempDir,
        sriov: Sriov,
    }

    impl Node {
        /// Where the VF is claimed for a namespace.
        fn new(claim: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let sriov = Sriov::with_files_in(dir.path());
            sriov.files.write_claim(pci(), claim.as_ref()).unwrap();
            Self { dir, sriov }
        }

        /// With sriov-cni's record of a container.
        fn of_sriov_cni(self, container: &str) -> Self {
            let json = json!({"deviceID": PCI, "name": "n", "type": "sriov", "OrigVfState": {}});
            let record = SriovCniRecord::read(json.to_string().as_bytes()).unwrap();
            self.sriov.files.write_record(&attachment(container, "net1"), &record).unwrap();
            self
        }

        /// With our record of a container, of an earlier boot.
        fn recorded(self, container: &str) -> Self {
            let mut record = crate::testing::record(container, &net_conf(&json!({})));
            let netns = json!({"path": OVER, "boot": "earlier", "device": 4, "inode": 1});
            record.netns = Some(serde_json::from_value(netns).unwrap());
            record.devices = vec![pci()];
            record.link = Some(LinkPart::new(PLUGIN, &VfBefore::default()).unwrap());
            self.sriov.records.write(&record).unwrap();
            self
        }

        /// DEL of a container, whose configuration names the VF.
        fn del(&self, container: &str, netns: Option<&str>) {
            let attachment = attachment(container, "net1");
            let request = Request {
                container_id: attachment.container_id,
                netns: netns.map(PathBuf::from),
                ifname: attachment.ifname,
                args: podbond_cni::Args::default(),
                path: Vec::new(),
                config: net_conf(&json!({})),
            };
            self.sriov.del_vf(&request, &Delegates::new(&[], Lookup::PathOnly)).unwrap();
        }

        /// The files that are there, without locks.
        fn files(&self) -> Vec<String> {
            let mut files = Vec::new();
            for dir in [".", "pci", "podbond/lib/attachments", "podbond/run/attachments"] {
                let entries =
                    fs::read_dir(self.dir.path().join(dir)).into_iter().flatten().flatten();
                let entries = entries.filter(|entry| entry.path().is_file());
                files.extend(entries.map(|entry| entry.file_name().into_string().unwrap()));
            }
            files.sort();
            files
        }
    }

    /// Promise: del-after-reboot
    #[test]
    fn record_of_an_earlier_boot_ends_with_its_claim() {
        let node = Node::new(OVER).recorded("c1").of_sriov_cni("c1");
        assert_eq!(node.files(), [PCI, "c1-net1", "c1:net1"]);
        for netns in [None, Some(OVER)] {
            node.del("c1", netns);
            assert_eq!(node.files(), [""; 0]);
        }
    }

    #[test]
    fn claim_of_another_namespace_stays() {
        let node = Node::new("/run/netns/other").recorded("c1").of_sriov_cni("c1");
        node.del("c1", None);
        assert_eq!(node.files(), [PCI]);
    }

    #[test]
    fn record_of_sriov_cni_ends_with_its_claim() {
        let node = Node::new(OVER).of_sriov_cni("c1");
        node.del("c1", None);
        assert_eq!(node.files(), [""; 0]);
    }

    #[test]
    fn damaged_record_is_treated_as_missing() {
        for damaged in ["", "{", r#"{"version": 99}"#] {
            let node = Node::new(OVER).recorded("c1").of_sriov_cni("c1");
            fs::write(node.dir.path().join("podbond/run/attachments/c1:net1"), damaged).unwrap();
            node.del("c1", Some(OVER));
            assert_eq!(node.files(), [""; 0], "{damaged}");
        }
    }

    #[test]
    fn unrecorded_del_takes_its_own_claim_alone() {
        let node = Node::new(OVER);
        node.del("c1", Some("of another life"));
        assert_eq!(node.files(), [PCI]);
        node.del("c1", Some(OVER));
        assert_eq!(node.files(), [""; 0]);
    }

    #[test]
    fn vf_of_another_record_is_left() {
        let node = Node::new(OVER).of_sriov_cni("c2");
        node.del("c1", Some(OVER));
        assert_eq!(node.files(), [PCI, "c2-net1"]);
    }
}
