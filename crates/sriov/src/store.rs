use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use podbond_cni::ContainerId;
use podbond_kernel::is_netns;
use podbond_names::{LinkName, PciAddress};
use podbond_state::{Lock, names, read, remove, write};

use crate::Error;
use crate::state::Record;

/// How long a VF is waited for that another process is working on: as long as the incumbent waits,
/// since an IPAM plugin may ask a server.
const LOCK_PATIENCE: Duration = Duration::from_mins(1);

/// The files of the plugin, in the incumbent's places:
///
/// - `<containerID>-<ifname>`: the record of an attachment,
/// - `pci/<address>`: the namespace path of the VF's holder,
/// - `pci/vf_lock/<address>.lock`: held with flock(2) while a process works on the VF.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    dir: PathBuf,
}

impl Store {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Waits until no other process works on the VF.
    pub(crate) fn lock(&self, pci: PciAddress) -> Result<Lock, Error> {
        let path = self.dir.join("pci/vf_lock").join(format!("{pci}.lock"));
        Ok(Lock::take(&path, LOCK_PATIENCE)?)
    }

    /// The namespace path of whoever took the VF last, alive or not.
    pub(crate) fn claim(&self, pci: PciAddress) -> Result<Option<PathBuf>, Error> {
        let bytes = read(&self.claim_path(pci))?;
        Ok(bytes.map(|bytes| PathBuf::from(std::ffi::OsString::from_vec(bytes))))
    }

    /// The namespace path of the VF's holder, when its namespace is alive.
    pub(crate) fn holder(&self, pci: PciAddress) -> Result<Option<PathBuf>, Error> {
        Ok(self.claim(pci)?.filter(|netns| is_netns(netns)))
    }

    /// The file that holds an attachment's record.
    pub(crate) fn record_path(&self, container: &ContainerId, ifname: &LinkName) -> PathBuf {
        self.dir.join(format!("{container}-{ifname}"))
    }

    /// The record in a file. One that cannot be read as a record counts as none: it can be acted
    /// upon by nobody, and must not keep a pod from being deleted.
    pub(crate) fn load(path: &Path) -> Result<Option<Record>, Error> {
        Ok(read(path)?.and_then(|bytes| Record::read(&bytes)))
    }

    /// The records of a VF, with their files.
    pub(crate) fn records_of(&self, pci: PciAddress) -> Result<Vec<(PathBuf, Record)>, Error> {
        let mut records = self.records()?;
        records.retain(|(_, record)| record.device == pci);
        Ok(records)
    }

    /// All records, with their files.
    pub(crate) fn records(&self) -> Result<Vec<(PathBuf, Record)>, Error> {
        let mut records = Vec::new();
        for name in names(&self.dir)? {
            let path = self.dir.join(name);
            if path.is_file() {
                records.extend(Self::load(&path)?.map(|record| (path, record)));
            }
        }
        Ok(records)
    }

    /// The records that killed processes had written and not yet put in force, with the files that
    /// they would have become.
    pub(crate) fn unfinished(&self) -> Result<Vec<(PathBuf, Record)>, Error> {
        let mut records = Vec::new();
        for path in podbond_state::unfinished_in(&self.dir)? {
            records.extend(Self::load(&path.written)?.map(|record| (path.meant, record)));
        }
        Ok(records)
    }

    /// Keeps a record and, when it has a namespace, the claim on its VF.
    pub(crate) fn save(&self, path: &Path, record: &Record) -> Result<(), Error> {
        write(path, &record.to_json())?;
        match &record.netns {
            Some(netns) => {
                Ok(write(&self.claim_path(record.device), netns.as_os_str().as_bytes())?)
            }
            None => Ok(()),
        }
    }

    /// Gives up the claim on a VF; success when there is none.
    pub(crate) fn remove_claim(&self, pci: PciAddress) -> Result<(), Error> {
        Ok(remove(&self.claim_path(pci))?)
    }

    fn claim_path(&self, pci: PciAddress) -> PathBuf {
        self.dir.join("pci").join(pci.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;
    use crate::testing::{PCI, pci};

    fn record(netns: &Path) -> Record {
        let own = json!({"version": 1, "netns": netns, "original": {"settings": {}}});
        let json = json!({"deviceID": PCI, "name": "n", "podbond": own}).to_string();
        Record::read(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_claim_counts_as_long_as_its_namespace_is_alive() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("sriov"));
        let path =
            store.record_path(&"c1".to_owned().try_into().unwrap(), &"net1".parse().unwrap());
        let alive = Path::new("/proc/self/ns/net");
        assert_eq!(store.holder(pci()).unwrap(), None);
        store.save(&path, &record(alive)).unwrap();
        assert_eq!(store.holder(pci()).unwrap().as_deref(), Some(alive));
        store.save(&path, &record(Path::new("/run/netns/no-such"))).unwrap();
        assert_eq!(store.holder(pci()).unwrap(), None);
        assert!(store.claim(pci()).unwrap().is_some());
        store.remove_claim(pci()).unwrap();
        store.remove_claim(pci()).unwrap();
        assert_eq!(store.claim(pci()).unwrap(), None);
    }

    #[test]
    fn the_files_are_where_the_incumbent_keeps_them() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().to_owned());
        let path =
            store.record_path(&"c1".to_owned().try_into().unwrap(), &"net1".parse().unwrap());
        store.save(&path, &record(Path::new("/run/netns/p1"))).unwrap();
        let _lock = store.lock(pci()).unwrap();
        let text = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(text("c1-net1").contains(PCI));
        assert_eq!(text("pci/0000:02:10.4"), "/run/netns/p1");
        assert_eq!(text("pci/vf_lock/0000:02:10.4.lock"), "");
        let names = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, 2, "a temporary file stays behind");
    }

    #[test]
    fn the_records_of_a_vf_are_found_among_other_files() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().to_owned());
        let path =
            store.record_path(&"c1".to_owned().try_into().unwrap(), &"net1".parse().unwrap());
        store.save(&path, &record(Path::new("/run/netns/p1"))).unwrap();
        fs::write(dir.path().join("c2-net1"), "{").unwrap();
        fs::write(dir.path().join("c3-net1"), r#"{"deviceID":"0000:02:10.6","OrigVfState":{}}"#)
            .unwrap();
        let found = store.records_of(pci()).unwrap();
        assert_eq!(found.iter().map(|(path, _)| path).collect::<Vec<_>>(), [&path]);
    }

    #[test]
    fn one_works_on_a_vf_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().to_owned());
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let _lock = store.lock(pci()).unwrap();
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(5));
                    inside.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
    }
}
