//! The files of sriov-cni in `/var/lib/cni/sriov`, in its format: its record of an attachment, the claim
//! on a VF, and the VF's lock. With them a node is taken over from sriov-cni, and given back to it.

mod record;

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use podbond_cni::{Attachment, ContainerId};
use podbond_names::PciAddress;
use podbond_record::VfLocks;
use podbond_state::{Lock, names, read, remove, writable, write};

use crate::Error;

pub(crate) use record::SriovCniRecord;

/// Where sriov-cni keeps its files.
pub const DIR: &str = "/var/lib/cni/sriov";

/// The files:
///
/// - `<containerID>-<ifname>`: the record of an attachment,
/// - `pci/<address>`: the claim, the path of the network namespace of the VF's holder,
/// - `pci/vf_lock/<address>.lock`: held with flock(2) while a process works on the VF.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    dir: PathBuf,
    locks: VfLocks,
}

impl Files {
    /// Returns the files below a directory, which need not exist.
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), locks: VfLocks::new(dir) }
    }

    /// Waits until no other process works on the VF. An attachment's lock is taken before it, never
    /// after it.
    pub(crate) fn lock(&self, pci: PciAddress) -> Result<Lock, podbond_record::Error> {
        self.locks.lock(pci)
    }

    /// Returns the path in the claim on a VF, whatever became of that namespace; none where there is no
    /// claim. One that is damaged gives a path that is not absolute.
    pub(crate) fn claim(&self, pci: PciAddress) -> Result<Option<PathBuf>, Error> {
        let bytes = content(&self.claim_path(pci))?;
        Ok(bytes.map(|bytes| PathBuf::from(OsString::from_vec(bytes))))
    }

    /// Returns all claims. Directories and files of another name are not looked at.
    pub(crate) fn claims(&self) -> Result<Vec<(PciAddress, PathBuf)>, Error> {
        let mut claims = Vec::new();
        for name in names(&self.dir.join("pci"))? {
            if let Ok(pci) = name.parse() {
                claims.extend(self.claim(pci)?.map(|netns| (pci, netns)));
            }
        }
        Ok(claims)
    }

    /// Writes the claim on a VF.
    pub(crate) fn write_claim(&self, pci: PciAddress, netns: &Path) -> Result<(), Error> {
        Ok(write(&self.claim_path(pci), netns.as_os_str().as_bytes())?)
    }

    /// Removes the claim on a VF; success when there is none.
    pub(crate) fn remove_claim(&self, pci: PciAddress) -> Result<(), Error> {
        Ok(remove(&self.claim_path(pci))?)
    }

    /// Returns the file of an attachment's record.
    pub(crate) fn record_path(&self, attachment: &Attachment) -> PathBuf {
        self.dir.join(format!("{}-{}", attachment.container_id, attachment.ifname))
    }

    /// Returns the record of an attachment. One that cannot be read is treated as missing.
    pub(crate) fn record(&self, attachment: &Attachment) -> Result<Option<SriovCniRecord>, Error> {
        let bytes = content(&self.record_path(attachment))?;
        Ok(bytes.and_then(|bytes| SriovCniRecord::read(&bytes)))
    }

    /// Returns the records of a VF whose file's name tells the attachment.
    pub(crate) fn records_of(
        &self,
        pci: PciAddress,
    ) -> Result<Vec<(Attachment, SriovCniRecord)>, Error> {
        let mut records = Vec::new();
        for name in names(&self.dir)? {
            let path = self.dir.join(&name);
            let Some(attachment) = attachment_of(&name).filter(|_| path.is_file()) else {
                continue;
            };
            let record = content(&path)?.and_then(|bytes| SriovCniRecord::read(&bytes));
            let record = record.filter(|record| record.device == pci);
            records.extend(record.map(|record| (attachment, record)));
        }
        Ok(records)
    }

    /// Writes the record of an attachment. It replaces what is there.
    pub(crate) fn write_record(
        &self,
        attachment: &Attachment,
        record: &SriovCniRecord,
    ) -> Result<(), Error> {
        Ok(write(&self.record_path(attachment), &record.to_json())?)
    }

    /// Removes the record of an attachment; success when there is none.
    pub(crate) fn remove_record(&self, attachment: &Attachment) -> Result<(), Error> {
        Ok(remove(&self.record_path(attachment))?)
    }

    /// Tries whether records and claims can be written.
    pub(crate) fn writable(&self) -> Result<(), podbond_record::Error> {
        writable(&self.dir).map_err(podbond_record::Error::Unwritable)
    }

    fn claim_path(&self, pci: PciAddress) -> PathBuf {
        self.dir.join("pci").join(pci.to_string())
    }
}

/// Returns the attachment that the name of a record's file tells. Both of its parts may hold the `-`
/// between them: the interface is what follows the 64 digits that a runtime gives a container, or else
/// what has no `-`.
fn attachment_of(name: &str) -> Option<Attachment> {
    let (container, ifname) = name
        .split_once('-')
        .filter(|(id, _)| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .or_else(|| name.rsplit_once('-'))?;
    let container_id = ContainerId::try_from(container.to_owned()).ok()?;
    Some(Attachment { container_id, ifname: ifname.parse().ok()? })
}

/// Returns what is in a file. One that is larger than sriov-cni writes says nothing.
fn content(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match read(path) {
        Err(podbond_state::Error::TooLarge { .. }) => Ok(Some(Vec::new())),
        bytes => Ok(bytes?),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use podbond_kernel::NetnsState;
    use podbond_record::Holder;
    use serde_json::json;

    use super::*;
    use crate::testing::{PCI, attachment, pci};

    fn files() -> (tempfile::TempDir, Files) {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(&dir.path().join("sriov"));
        (dir, files)
    }

    /// Who holds the VF, where nothing but the claim tells of it.
    fn holder(files: &Files) -> Option<Holder> {
        Holder::among(&[], pci(), files.claim(pci()).unwrap().as_deref())
    }

    fn record() -> SriovCniRecord {
        let json = json!({"deviceID": PCI, "name": "n", "OrigVfState": {}}).to_string();
        SriovCniRecord::read(json.as_bytes()).unwrap()
    }

    #[test]
    fn files_are_where_sriov_cni_keeps_them() {
        let (dir, files) = files();
        files.write_record(&attachment("c1", "net1"), &record()).unwrap();
        files.write_claim(pci(), Path::new("/run/netns/p1")).unwrap();
        let _lock = files.lock(pci()).unwrap();
        let text = |name: &str| fs::read_to_string(dir.path().join("sriov").join(name)).unwrap();
        assert!(text("c1-net1").contains(PCI));
        assert_eq!(text("pci/0000:02:10.4"), "/run/netns/p1");
        assert_eq!(text("pci/vf_lock/0000:02:10.4.lock"), "");
        assert_eq!(fs::read_dir(dir.path().join("sriov")).unwrap().count(), 2, "a file stays");
        for _ in 0..2 {
            files.remove_record(&attachment("c1", "net1")).unwrap();
            files.remove_claim(pci()).unwrap();
        }
        assert_eq!(files.record(&attachment("c1", "net1")).unwrap(), None);
        assert_eq!(files.claim(pci()).unwrap(), None);
    }

    #[test]
    fn claim_counts_until_its_namespace_is_over() {
        let (dir, files) = files();
        assert_eq!(holder(&files), None);
        let circle = dir.path().join("circle");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        files.write_claim(pci(), &circle).unwrap();
        assert_eq!(holder(&files), Some(Holder::Netns(circle)), "nobody can tell");
        files.write_claim(pci(), Path::new("/proc/self/ns/net")).unwrap();
        let expected = NetnsState::of_path(Path::new("/proc/self/ns/net")).is_over();
        assert_eq!(holder(&files).is_none(), expected);
        assert!(files.claim(pci()).unwrap().is_some());
    }

    #[test]
    fn damaged_claim_holds_nothing() {
        let (dir, files) = files();
        let claim = dir.path().join("sriov/pci").join(PCI);
        fs::create_dir_all(&claim).unwrap();
        assert_eq!(holder(&files), None);
        fs::remove_dir(&claim).unwrap();
        fs::File::create(&claim).unwrap().set_len(podbond_state::MAX_SIZE + 1).unwrap();
        assert_eq!(holder(&files), None);
        for damaged in ["", "\0\0\0", "\0{]\0", "proc/self/ns/net"] {
            fs::write(&claim, damaged).unwrap();
            assert_eq!(holder(&files), None, "{damaged:?}");
        }
    }

    #[test]
    fn records_of_a_vf_are_found_among_other_files() {
        let (dir, files) = files();
        let id = "0123456789abcdef".repeat(4);
        let of = [attachment("c-1", "net1"), attachment(&id, "uplink-a")];
        for attachment in &of {
            files.write_record(attachment, &record()).unwrap();
        }
        fs::write(dir.path().join("sriov/c2-net1"), "{").unwrap();
        fs::create_dir(dir.path().join("sriov/c3-net1")).unwrap();
        fs::write(dir.path().join("sriov/net1"), record().to_json()).unwrap();
        let other = String::from_utf8(record().to_json()).unwrap().replace(PCI, "0000:02:10.6");
        fs::write(dir.path().join("sriov/c4-net1"), other).unwrap();
        let mut found = files.records_of(pci()).unwrap();
        found.sort_by(|(a, _), (b, _)| b.cmp(a));
        assert_eq!(found.into_iter().map(|(attachment, _)| attachment).collect::<Vec<_>>(), of);
    }

    #[test]
    fn record_that_cannot_be_read_is_treated_as_missing() {
        let (_dir, files) = files();
        let path = files.record_path(&attachment("c1", "net1"));
        fs::create_dir_all(&path).unwrap();
        assert_eq!(files.record(&attachment("c1", "net1")).unwrap(), None);
        fs::remove_dir(&path).unwrap();
        fs::File::create(&path).unwrap().set_len(podbond_state::MAX_SIZE + 1).unwrap();
        assert_eq!(files.record(&attachment("c1", "net1")).unwrap(), None);
    }
}
