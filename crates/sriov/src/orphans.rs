//! Orphans of sriov-cni: its records and claims whose pod is gone, and that no record of ours names.

use std::fmt;
use std::path::{Path, PathBuf};

use podbond_cni::{Args, Attachment, Delegates, NetConf, Request};
use podbond_kernel::NetnsState;
use podbond_names::PciAddress;
use serde_json::json;

use crate::record::{PLUGIN, device};
use crate::{Error, Sriov};

/// A VF that sriov-cni's files give to a network namespace that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignOrphan {
    /// The attachment, where sriov-cni's record of it is there.
    pub attachment: Option<Attachment>,
    /// The VF.
    pub device: PciAddress,
    /// The path of the namespace, as the claim tells it.
    pub netns: PathBuf,
}

/// What it is: `VF 0000:02:10.4, net1 of container 0123456789ab by sriov-cni, whose namespace
/// /run/netns/p1 is gone`.
impl fmt::Display for ForeignOrphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (device, netns) = (self.device, self.netns.display());
        match &self.attachment {
            Some(Attachment { container_id, ifname }) => {
                let id = container_id.as_str();
                let id = id.get(..12).unwrap_or(id);
                write!(
                    f,
                    "VF {device}, {ifname} of container {id} by sriov-cni, whose namespace {netns} is gone"
                )
            }
            None => {
                write!(f, "VF {device}, claimed by sriov-cni for namespace {netns}, which is gone")
            }
        }
    }
}

impl Sriov {
    /// Returns what sriov-cni's files tell of pods that are gone. What a record of ours names is not
    /// among it.
    pub fn foreign_orphans(&self) -> Result<Vec<ForeignOrphan>, Error> {
        let (records, _) = self.records.all()?;
        // A bond's record names the VFs below it, and its DEL leaves them.
        let is_named = |pci| records.iter().any(|record| device(record) == Some(pci));
        let mut orphans = Vec::new();
        for (pci, netns) in self.files.claims()? {
            if is_named(pci) || !NetnsState::of_path(&netns).is_over() {
                continue;
            }
            let files = self.files.records_of(pci)?.into_iter();
            let mut attachments: Vec<_> = files.map(|(attachment, _)| Some(attachment)).collect();
            if attachments.is_empty() {
                attachments.push(None);
            }
            let of_vf = attachments.into_iter();
            orphans.extend(of_vf.map(|attachment| ForeignOrphan {
                attachment,
                device: pci,
                netns: netns.clone(),
            }));
        }
        Ok(orphans)
    }

    /// Removes an orphan: DEL by sriov-cni's record, or its claim alone. `path` is `CNI_PATH`. What has
    /// been given to another pod since is left.
    pub fn remove_foreign_orphan(
        &self,
        orphan: &ForeignOrphan,
        path: &[PathBuf],
        delegates: &Delegates<'_>,
    ) -> Result<(), Error> {
        match &orphan.attachment {
            Some(attachment) => {
                let del = Request {
                    container_id: attachment.container_id.clone(),
                    netns: None,
                    ifname: attachment.ifname.clone(),
                    args: Args::default(),
                    path: path.to_vec(),
                    config: unnamed()?,
                };
                self.del_vf(&del, delegates)
            }
            None => self.remove_claim_of(orphan.device, &orphan.netns),
        }
    }

    fn remove_claim_of(&self, pci: PciAddress, netns: &Path) -> Result<(), Error> {
        let _vf = self.files.lock(pci)?;
        match self.files.claim(pci)? {
            Some(claim) if claim == netns => self.files.remove_claim(pci),
            _ => Ok(()),
        }
    }
}

/// Returns a configuration for a record of which no more can be read than its VF.
fn unnamed() -> Result<NetConf, Error> {
    Ok(NetConf::parse(json!({"type": PLUGIN, "name": "unknown"}).to_string().as_bytes())?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::{PCI, attachment, net_conf, pci, record};

    /// The path of no namespace, also where this process does not see what the node sees.
    const OVER: &str = "of an earlier life";

    struct Node {
        dir: tempfile::TempDir,
        sriov: Sriov,
    }

    impl Node {
        fn new(claim: &str, files: &[&str]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join("pci/vf_lock")).unwrap();
            fs::write(dir.path().join("pci").join(PCI), claim).unwrap();
            let file = json!({"deviceID": PCI, "name": "n", "type": "sriov", "OrigVfState": {}});
            for name in files {
                fs::write(dir.path().join(name), file.to_string()).unwrap();
            }
            let sriov = Sriov::with_files_in(dir.path());
            Self { dir, sriov }
        }

        fn texts(&self) -> Vec<String> {
            self.sriov.foreign_orphans().unwrap().iter().map(ToString::to_string).collect()
        }
    }

    /// Promise: podbond-gc-after-reboot
    #[test]
    fn record_and_claim_are_orphans_once_the_namespace_is_over() {
        let node = Node::new(OVER, &["c1-net1"]);
        let [orphan] = &node.sriov.foreign_orphans().unwrap()[..] else { panic!() };
        assert_eq!(orphan.attachment, Some(attachment("c1", "net1")));
        assert_eq!((orphan.device, orphan.netns.as_path()), (pci(), Path::new(OVER)));
        assert!(
            node.texts()[0].contains("net1 of container c1 by sriov-cni"),
            "{:?}",
            node.texts()
        );
        assert!(Node::new(OVER, &["c1-net1", "torn"]).texts().len() == 1);
        let node = Node::new(OVER, &[]);
        assert!(node.texts()[0].contains("claimed by sriov-cni for namespace"));
    }

    /// Promise: podbond-gc
    #[test]
    fn claim_of_a_namespace_that_may_be_alive_is_no_orphan() {
        let dir = tempfile::tempdir().unwrap();
        let circle = dir.path().join("circle");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        assert_eq!(Node::new(circle.to_str().unwrap(), &["c1-net1"]).texts(), [""; 0]);
    }

    #[test]
    fn vf_that_a_record_names_is_no_orphan_of_sriov_cni() {
        let node = Node::new(OVER, &["c1-net1"]);
        let mut record = record("c1", &net_conf(&json!({})));
        record.devices = vec![pci()];
        node.sriov.records.write(&record).unwrap();
        assert_eq!(node.texts(), [""; 0]);
    }

    /// Promise: podbond-gc-after-reboot
    #[test]
    fn vf_below_a_recorded_bond_is_an_orphan_of_sriov_cni() {
        let node = Node::new(OVER, &["c1-net1"]);
        let mut record = record("c1", &net_conf(&json!({"type": "bond"})));
        record.ifname = "net3".parse().unwrap();
        record.devices = vec![pci()];
        node.sriov.records.write(&record).unwrap();
        assert_eq!(node.texts().len(), 1);
    }

    #[test]
    fn claim_is_removed_unless_it_is_anothers_since() {
        let node = Node::new(OVER, &[]);
        let claim = node.dir.path().join("pci").join(PCI);
        node.sriov.remove_claim_of(pci(), Path::new("/run/netns/other")).unwrap();
        assert!(claim.exists());
        node.sriov.remove_claim_of(pci(), Path::new(OVER)).unwrap();
        assert!(!claim.exists());
    }
}
