use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use podbond_cni::ContainerId;
use podbond_kernel::no_netns;
use podbond_names::{LinkName, PciAddress};
use podbond_state::{Lock, abandoned, create, is_before_boot, names, read, remove, write};
use rustix::io::Errno;

use crate::Error;
use crate::state::Record;

/// Where the locks of attachments are, for as long as a process works on one of them.
const LOCKS: &str = "/run/podbond/sriov";

/// How long a VF is waited for that another process is working on: as long as the incumbent waits,
/// since an IPAM plugin may ask a server.
const LOCK_PATIENCE: Duration = Duration::from_mins(1);

/// The files of the plugin, in the incumbent's places:
///
/// - `<containerID>-<ifname>`: the record of an attachment,
/// - `pci/<address>`: the namespace path of the VF's holder,
/// - `pci/vf_lock/<address>.lock`: held with flock(2) while a process works on the VF;
///
/// and elsewhere a copy of each record, for when somebody has cleared that directory: what a VF was
/// like is known nowhere else.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    dir: PathBuf,
    copies: PathBuf,
}

impl Store {
    pub(crate) fn new(dir: PathBuf, copies: PathBuf) -> Self {
        Self { dir, copies }
    }

    /// Waits until no other process works on the attachment. It is taken before the VF's lock, never
    /// after it.
    pub(crate) fn lock_attachment(
        container: &ContainerId,
        ifname: &LinkName,
    ) -> Result<Lock, Error> {
        let path = Path::new(LOCKS).join(format!("{container}:{ifname}"));
        Ok(Lock::take_passing(&path, LOCK_PATIENCE)?)
    }

    /// Waits until no other process works on the VF.
    pub(crate) fn lock(&self, pci: PciAddress) -> Result<Lock, Error> {
        let path = self.dir.join("pci/vf_lock").join(format!("{pci}.lock"));
        Ok(Lock::take(&path, LOCK_PATIENCE)?)
    }

    /// The namespace path of whoever took the VF last, alive or not.
    pub(crate) fn claim(&self, pci: PciAddress) -> Result<Option<PathBuf>, Error> {
        let bytes = content(&self.claim_path(pci))?;
        Ok(bytes.map(|bytes| PathBuf::from(std::ffi::OsString::from_vec(bytes))))
    }

    /// The namespace path of the VF's holder, unless its namespace is certainly gone.
    pub(crate) fn holder(&self, pci: PciAddress) -> Result<Option<PathBuf>, Error> {
        Ok(self.claim(pci)?.filter(|netns| !no_netns(netns)))
    }

    /// The file that holds an attachment's record.
    pub(crate) fn record_path(&self, container: &ContainerId, ifname: &LinkName) -> PathBuf {
        self.dir.join(format!("{container}-{ifname}"))
    }

    /// The record in a file. One that cannot be read as a record counts as none: it can be acted
    /// upon by nobody, and must not keep a pod from being deleted.
    pub(crate) fn load(path: &Path) -> Result<Option<Record>, Error> {
        Ok(content(path)?.and_then(|bytes| Record::read(&bytes)))
    }

    /// The record of an attachment, or else its copy, with its file.
    pub(crate) fn find(&self, path: &Path) -> Result<Option<(PathBuf, Record)>, Error> {
        if let Some(record) = Self::load(path)? {
            return Ok(Some((path.to_owned(), record)));
        }
        let copy = self.copy_of(path);
        Ok(Self::load(&copy)?.map(|record| (copy, record)))
    }

    /// Removes a record with its copy; success when there is none. The copy goes first: alone it
    /// would tell of a VF that is another's by then.
    pub(crate) fn remove_record(&self, path: &Path) -> Result<(), Error> {
        remove(&self.copy_of(path))?;
        Ok(remove(path)?)
    }

    fn copy_of(&self, path: &Path) -> PathBuf {
        // A record's file always has a name.
        self.copies.join(path.file_name().unwrap_or_default())
    }

    /// The records of a VF, with their files.
    pub(crate) fn records_of(&self, pci: PciAddress) -> Result<Vec<(PathBuf, Record)>, Error> {
        // Every ADD looks for them: only what has the address in it is worth a parser's time.
        let address = pci.to_string().into_bytes();
        let mut records = self.records_with(|bytes| {
            bytes.windows(address.len()).any(|part| part.eq_ignore_ascii_case(&address))
        })?;
        records.retain(|(_, record)| record.device == pci);
        Ok(records)
    }

    /// All records, with their files.
    pub(crate) fn records(&self) -> Result<Vec<(PathBuf, Record)>, Error> {
        self.records_with(|_| true)
    }

    fn records_with(
        &self,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<(PathBuf, Record)>, Error> {
        let mut records = Vec::new();
        for name in names(&self.dir)? {
            let path = self.dir.join(name);
            if path.is_file() {
                let bytes = content(&path)?.filter(|bytes| is_wanted(bytes));
                records.extend(bytes.and_then(|bytes| Record::read(&bytes)).map(|it| (path, it)));
            }
        }
        Ok(records)
    }

    /// Files in place of records that cannot be read as such.
    pub(crate) fn unreadable(&self) -> Result<Vec<PathBuf>, Error> {
        let mut unreadable = Vec::new();
        for name in names(&self.dir)? {
            let path = self.dir.join(name);
            if path.is_file() && Self::load(&path)?.is_none() {
                unreadable.push(path);
            }
        }
        Ok(unreadable)
    }

    /// Those of them that an earlier life of the node has left: torn when it lost power.
    pub(crate) fn torn(&self) -> Result<Vec<PathBuf>, Error> {
        let mut torn = self.unreadable()?;
        torn.retain(|path| is_before_boot(path));
        Ok(torn)
    }

    /// What killed processes have left of writing records and claims. It says nothing.
    pub(crate) fn abandoned(&self) -> Result<Vec<PathBuf>, Error> {
        let mut paths = abandoned(&self.dir)?;
        paths.extend(abandoned(&self.claims_dir())?);
        paths.extend(abandoned(&self.copies)?);
        Ok(paths)
    }

    /// Whether records and claims can be kept.
    pub(crate) fn writable(&self) -> Result<(), podbond_state::Error> {
        podbond_state::writable(&self.dir)
    }

    /// Keeps the record of a new attachment and, when it has a namespace, the claim on its VF. What
    /// is recorded of the attachment already is not written over: a VF would be lost with it.
    pub(crate) fn save(
        &self,
        path: &Path,
        ifname: &LinkName,
        record: &Record,
    ) -> Result<(), Error> {
        create(path, &record.to_json()).map_err(|error| match error.errno() {
            Some(Errno::EXIST) => {
                Error::AlreadyAdded { ifname: ifname.clone(), path: path.to_owned() }
            }
            _ => error.into(),
        })?;
        // A second chance is nothing to fail for.
        let _ = write(&self.copy_of(path), &record.to_json());
        let Some(netns) = &record.netns else { return Ok(()) };
        let claimed = write(&self.claim_path(record.device), netns.as_os_str().as_bytes());
        Ok(claimed.inspect_err(|_| {
            // Nothing is changed yet that it would have to tell of.
            let _ = self.remove_record(path);
        })?)
    }

    /// Gives up the claim on a VF; success when there is none.
    pub(crate) fn remove_claim(&self, pci: PciAddress) -> Result<(), Error> {
        Ok(remove(&self.claim_path(pci))?)
    }

    /// Where the claims are.
    pub(crate) fn claims_dir(&self) -> PathBuf {
        self.dir.join("pci")
    }

    /// The file that holds the claim on a VF.
    pub(crate) fn claim_path(&self, pci: PciAddress) -> PathBuf {
        self.claims_dir().join(pci.to_string())
    }
}

/// What is in a file. One that is too large to be ours says nothing.
fn content(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match read(path) {
        Err(podbond_state::Error::TooLarge { .. }) => Ok(Some(Vec::new())),
        bytes => Ok(bytes?),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;
    use crate::testing::{PCI, pci};

    fn store(dir: &Path) -> Store {
        Store::new(dir.to_owned(), dir.join("copies"))
    }

    fn record(netns: &Path) -> Record {
        let own = json!({"version": 1, "netns": netns, "original": {"settings": {}}});
        let json = json!({"deviceID": PCI, "name": "n", "podbond": own}).to_string();
        Record::read(json.as_bytes()).unwrap()
    }

    fn name() -> LinkName {
        "net1".parse().unwrap()
    }

    #[test]
    fn a_claim_counts_as_long_as_its_namespace_is_alive() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir.path().join("sriov"));
        let path =
            store.record_path(&"c1".to_owned().try_into().unwrap(), &"net1".parse().unwrap());
        let alive = Path::new("/proc/self/ns/net");
        assert_eq!(store.holder(pci()).unwrap(), None);
        store.save(&path, &name(), &record(alive)).unwrap();
        assert_eq!(store.holder(pci()).unwrap().as_deref(), Some(alive));
        store.remove_record(&path).unwrap();
        store.save(&path, &name(), &record(Path::new("/run/netns/no-such"))).unwrap();
        assert_eq!(store.holder(pci()).unwrap(), None);
        assert!(store.claim(pci()).unwrap().is_some());
        store.remove_claim(pci()).unwrap();
        store.remove_claim(pci()).unwrap();
        assert_eq!(store.claim(pci()).unwrap(), None);
    }

    #[test]
    fn a_claim_that_nobody_of_ours_has_written_is_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let claim = dir.path().join("pci").join(PCI);
        fs::create_dir_all(&claim).unwrap();
        assert_eq!(store.holder(pci()).unwrap(), None);
        fs::remove_dir(&claim).unwrap();
        fs::File::create(&claim).unwrap().set_len(podbond_state::MAX_SIZE + 1).unwrap();
        assert_eq!(store.holder(pci()).unwrap(), None);
        for torn in ["", "\0\0\0", "\0{]\0", "proc/self/ns/net"] {
            fs::write(&claim, torn).unwrap();
            assert_eq!(store.holder(pci()).unwrap(), None, "{torn:?}");
        }
    }

    #[test]
    fn the_files_are_where_the_incumbent_keeps_them() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let path =
            store.record_path(&"c1".to_owned().try_into().unwrap(), &"net1".parse().unwrap());
        store.save(&path, &name(), &record(Path::new("/run/netns/p1"))).unwrap();
        let _lock = store.lock(pci()).unwrap();
        let text = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(text("c1-net1").contains(PCI));
        assert_eq!(text("pci/0000:02:10.4"), "/run/netns/p1");
        assert_eq!(text("pci/vf_lock/0000:02:10.4.lock"), "");
        let names = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, 3, "a temporary file stays behind");
    }

    #[test]
    fn the_records_of_a_vf_are_found_among_other_files() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let path =
            store.record_path(&"c1".to_owned().try_into().unwrap(), &"net1".parse().unwrap());
        store.save(&path, &name(), &record(Path::new("/run/netns/p1"))).unwrap();
        fs::write(dir.path().join("c2-net1"), "{").unwrap();
        fs::write(dir.path().join("c3-net1"), r#"{"deviceID":"0000:02:10.6","OrigVfState":{}}"#)
            .unwrap();
        let found = store.records_of(pci()).unwrap();
        assert_eq!(found.iter().map(|(path, _)| path).collect::<Vec<_>>(), [&path]);
    }

    #[test]
    fn a_lost_record_is_found_in_its_copy_until_both_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let path =
            store.record_path(&"c1".to_owned().try_into().unwrap(), &"net1".parse().unwrap());
        let record = record(Path::new("/run/netns/p1"));
        store.save(&path, &name(), &record).unwrap();
        assert_eq!(store.find(&path).unwrap(), Some((path.clone(), record.clone())));
        let copy = dir.path().join("copies/c1-net1");
        fs::write(&path, "{").unwrap();
        assert_eq!(store.find(&path).unwrap(), Some((copy.clone(), record.clone())));
        fs::remove_file(&path).unwrap();
        assert_eq!(store.find(&path).unwrap(), Some((copy.clone(), record)));
        store.remove_record(&path).unwrap();
        store.remove_record(&path).unwrap();
        assert_eq!((store.find(&path).unwrap(), copy.exists()), (None, false));
    }

    #[test]
    fn a_record_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let path =
            store.record_path(&"c1".to_owned().try_into().unwrap(), &"net1".parse().unwrap());
        let (first, second) = (Path::new("/run/netns/p1"), Path::new("/run/netns/p2"));
        store.save(&path, &name(), &record(first)).unwrap();
        let error = store.save(&path, &name(), &record(second)).unwrap_err();
        assert!(matches!(error, Error::AlreadyAdded { .. }), "{error}");
        assert_eq!(Store::load(&path).unwrap().unwrap().netns.as_deref(), Some(first));
        assert_eq!(store.claim(pci()).unwrap().as_deref(), Some(first));
    }

    #[test]
    fn what_is_in_a_records_place_and_none_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let path = dir.path().join("c1-net1");
        fs::create_dir(&path).unwrap();
        assert_eq!(Store::load(&path).unwrap(), None);
        fs::remove_dir(&path).unwrap();
        fs::File::create(&path).unwrap().set_len(podbond_state::MAX_SIZE + 1).unwrap();
        assert_eq!(Store::load(&path).unwrap(), None);
        assert_eq!(store.records().unwrap(), []);
    }

    #[test]
    fn one_works_on_a_vf_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
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
