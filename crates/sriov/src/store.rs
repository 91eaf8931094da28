use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use podbond_cni::ContainerId;
use podbond_kernel::is_netns;
use podbond_names::{LinkName, PciAddress};

use crate::Error;
use crate::state::Record;

/// How long a VF is waited for that another process is working on: as long as the incumbent waits,
/// since an IPAM plugin may ask a server.
const LOCK_PATIENCE: Duration = Duration::from_mins(1);

/// How often a lock is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The files of the plugin, in the incumbent's places:
///
/// - `<containerID>-<ifname>`: the record of an attachment,
/// - `pci/<address>`: the namespace path of the VF's holder,
/// - `pci/vf_lock/<address>.lock`: held with flock(2) while a process works on the VF.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    dir: PathBuf,
}

/// While it lives, no other process works on the VF.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "closing the file gives the lock back")] File);

impl Store {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Waits until no other process works on the VF.
    pub(crate) fn lock(&self, pci: PciAddress) -> Result<Lock, Error> {
        let dir = self.dir.join("pci/vf_lock");
        let path = dir.join(format!("{pci}.lock"));
        let wrong = |source| Error::Record { action: "lock", path: path.clone(), source };
        make_dir(&dir).map_err(wrong)?;
        let mut open = OpenOptions::new();
        let file = open.create(true).append(true).mode(0o600).open(&path).map_err(wrong)?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock(file)),
                Err(TryLockError::Error(source)) => return Err(wrong(source)),
                Err(TryLockError::WouldBlock) if start.elapsed() > LOCK_PATIENCE => {
                    return Err(Error::Locked { pci, path });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            }
        }
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
        let wrong = |source| Error::Record { action: "read", path: self.dir.clone(), source };
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(wrong)?,
        };
        let mut records = Vec::new();
        for entry in entries {
            let entry = entry.map_err(wrong)?;
            if !entry.file_type().map_err(wrong)?.is_file() {
                continue;
            }
            records.extend(Self::load(&entry.path())?.map(|record| (entry.path(), record)));
        }
        Ok(records)
    }

    /// Keeps a record and, when it has a namespace, the claim on its VF.
    pub(crate) fn save(&self, path: &Path, record: &Record) -> Result<(), Error> {
        write(path, &record.to_json())?;
        match &record.netns {
            Some(netns) => write(&self.claim_path(record.device), netns.as_os_str().as_bytes()),
            None => Ok(()),
        }
    }

    /// Gives up the claim on a VF; success when there is none.
    pub(crate) fn remove_claim(&self, pci: PciAddress) -> Result<(), Error> {
        remove(&self.claim_path(pci))
    }

    fn claim_path(&self, pci: PciAddress) -> PathBuf {
        self.dir.join("pci").join(pci.to_string())
    }
}

/// Removes a file; success when there is none.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::Record { action: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Record { action: "read", path: path.to_owned(), source }),
    }
}

/// Writes a file whole: another process sees it complete or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(path.file_name().unwrap_or_default());
    let temporary = dir.join(hidden);
    let write = || {
        make_dir(dir)?;
        let mut open = OpenOptions::new();
        let mut file = open.create(true).write(true).truncate(true).mode(0o600).open(&temporary)?;
        io::Write::write_all(&mut file, bytes)?;
        fs::rename(&temporary, path)
    };
    write().map_err(|source| Error::Record { action: "write", path: path.to_owned(), source })
}

fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(test)]
mod tests {
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
