//! The lease files of host-local: a directory for each network, in it a file for each leased
//! address, the address given last of each range set, and a lock.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, DirEntry};
use std::io::{self, ErrorKind, Read};
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use podbond_cni::{Attachment, Failure};
use podbond_state::{Access, Lock, create, open_regular, remove, unfinished_of, write};
use rustix::io::Errno;

use crate::error::Error;
use crate::holder::{Holder, content};

/// How long a command waits for one process that holds the lock: each holds it for milliseconds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// The most that is read of a lease file, in bytes: an ID and a name.
const MAX_LEASE: usize = 4096;

/// One lease: a file, named after the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: IpAddr,
    /// Who holds it.
    pub holder: Holder,
    /// When the file was last written.
    pub modified: SystemTime,
}

/// Returns the leases of a network's directory in the order of their addresses, and why others
/// cannot be read. Of a directory that does not exist there are none. Nothing is locked or changed.
pub fn leases(dir: &Path) -> (Vec<Lease>, Vec<Failure>) {
    let (leases, errors) = match entries(dir) {
        Ok(entries) => read_leases(&entries),
        Err(error) => (Vec::new(), vec![error]),
    };
    (leases, errors.into_iter().map(Failure::from).collect())
}

/// Returns the leases of an attachment. Those of its container without an interface count when
/// there are no others, as for the reference plugin.
pub(crate) fn leases_of<'l>(leases: &'l [Lease], attachment: &Attachment) -> Vec<&'l Lease> {
    let (named, others): (Vec<&Lease>, Vec<&Lease>) = leases
        .iter()
        .filter(|lease| lease.holder.is(attachment))
        .partition(|lease| lease.holder.attachment().is_some());
    if named.is_empty() { others } else { named }
}

/// The directory of a network's leases, locked for as long as this lives.
pub(crate) struct LeaseDir {
    path: PathBuf,
    _lock: Lock,
}

impl LeaseDir {
    /// Locks the directory, which is created if need be.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        if path.is_dir() {
            return Self::lock(path, LOCK_TIMEOUT);
        }
        let created = DirBuilder::new().recursive(true).mode(0o755).create(path);
        created.map_err(Error::io("make the directory", path))?;
        Self::lock(path, LOCK_TIMEOUT).inspect_err(|_| {
            // A filesystem of the kernel may make a directory and no file. One that is not empty stays.
            let _ = fs::remove_dir(path);
        })
    }

    /// Locks the directory; none if it does not exist. Something else in its place, as a symbolic link,
    /// holds no lease: none was written there.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, Error> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("look at", path)(error)),
            Ok(metadata) if !metadata.is_dir() => Ok(None),
            Ok(_) => Self::lock(path, LOCK_TIMEOUT).map(Some),
        }
    }

    fn lock(path: &Path, timeout: Duration) -> Result<Self, Error> {
        let lock = Lock::take(&path.join("lock"), timeout)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns all leases in the order of their addresses, and why others cannot be read. Removes the
    /// temporary files of killed processes: nobody writes without the lock.
    pub(crate) fn leases(&self) -> (Vec<Lease>, Vec<Error>) {
        let entries = match entries(&self.path) {
            Ok(entries) => entries,
            Err(error) => return (Vec::new(), vec![error]),
        };
        for entry in entries.iter().filter(|entry| is_unfinished_lease(&entry.file_name())) {
            let _ = fs::remove_file(entry.path());
        }
        read_leases(&entries)
    }

    /// Returns the lease of an address; none where no file, or something else, is in its place.
    pub(crate) fn lease(&self, address: IpAddr) -> Result<Option<Lease>, Error> {
        read_lease(self.file(address), address)
    }

    /// Returns the first of some addresses that nobody holds. It looks for each address's file, and
    /// reads none.
    pub(crate) fn first_free(
        &self,
        addresses: impl Iterator<Item = IpAddr>,
    ) -> Result<Option<IpAddr>, Error> {
        for address in addresses {
            if self.is_free(address)? {
                return Ok(Some(address));
            }
        }
        Ok(None)
    }

    /// Returns whether nobody holds an address: there is no file, or an empty one.
    pub(crate) fn is_free(&self, address: IpAddr) -> Result<bool, Error> {
        let path = self.file(address);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(metadata.is_file() && metadata.len() == 0),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) => Err(Error::io("look at", path)(error)),
        }
    }

    /// Leases an address; fails where it is leased. An empty file is nobody's and is replaced: a process
    /// that was killed between creating and writing a file leaves one, as the reference plugin may.
    pub(crate) fn reserve(&self, address: IpAddr, attachment: &Attachment) -> Result<(), Error> {
        let (path, content) = (self.file(address), content(attachment));
        match create(&path, content.as_bytes()) {
            Err(error) if error.errno() == Some(Errno::EXIST) && self.is_free(address)? => {
                self.release(address)?;
                Ok(create(&path, content.as_bytes())?)
            }
            created => Ok(created?),
        }
    }

    /// Removes the lease of an address; success if there is none.
    pub(crate) fn release(&self, address: IpAddr) -> Result<(), Error> {
        let path = self.file(address);
        refuse_other_than_file(&path)?;
        Ok(remove(&path)?)
    }

    /// Returns the address that was leased last from the range set of this index; none where that is not
    /// recorded. Fails where it could not be written, as something else is in the file's place.
    pub(crate) fn last_reserved(&self, set: usize) -> Result<Option<IpAddr>, Error> {
        let path = self.last_reserved_file(set);
        refuse_other_than_file(&path)?;
        // One that cannot be read costs the round robin, and nothing else.
        let text = read(&path).ok().flatten().map(|(text, _)| text);
        Ok(text.and_then(|text| text.trim().parse().ok()))
    }

    /// Writes the address that was given last from the range set of this index.
    pub(crate) fn set_last_reserved(&self, set: usize, address: IpAddr) -> Result<(), Error> {
        let path = self.last_reserved_file(set);
        refuse_other_than_file(&path)?;
        Ok(write(&path, address.to_string().as_bytes())?)
    }

    /// Rust and Go write addresses in the same form (RFC 5952).
    fn file(&self, address: IpAddr) -> PathBuf {
        self.path.join(address.to_string())
    }

    fn last_reserved_file(&self, set: usize) -> PathBuf {
        self.path.join(format!("last_reserved_ip.{set}"))
    }
}

fn entries(dir: &Path) -> Result<Vec<DirEntry>, Error> {
    match fs::read_dir(dir).and_then(Iterator::collect) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries.map_err(Error::io("list", dir)),
    }
}

/// Reads the leases among the entries of a directory, in the order of their addresses.
fn read_leases(entries: &[DirEntry]) -> (Vec<Lease>, Vec<Error>) {
    let (mut leases, mut errors) = (Vec::new(), Vec::new());
    for entry in entries {
        // The lock and the addresses given last are no addresses.
        let Some(address) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // What is no file is not even opened: opening a device may do something.
        if entry.file_type().is_ok_and(|kind| !kind.is_file()) {
            continue;
        }
        match read_lease(entry.path(), address) {
            Ok(lease) => leases.extend(lease.filter(|lease| lease.holder != Holder::Foreign)),
            Err(error) => errors.push(error),
        }
    }
    leases.sort_by_key(|lease| lease.address);
    (leases, errors)
}

fn read_lease(path: PathBuf, address: IpAddr) -> Result<Option<Lease>, Error> {
    let content = read(&path).map_err(Error::io("read the lease", path))?;
    Ok(content.map(|(content, modified)| {
        let holder = Holder::parse(&content);
        Lease { address, holder, modified }
    }))
}

/// Returns the content of a file and when it was last written; none where there is no file, or
/// something else in its place, which is not even opened: the directory may be one to which others have
/// access.
fn read(path: &Path) -> io::Result<Option<(String, SystemTime)>> {
    let mut file = match open_regular(path, Access::Read) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // A file that is no longer than this is read at once.
    let mut content = [0; MAX_LEASE];
    let length = file.read(&mut content)?;
    let content = String::from_utf8_lossy(&content[..length]).into_owned();
    Ok(Some((content, file.metadata()?.modified()?)))
}

/// Fails where something other than a file has a file's place: `dataDir` may be a directory of
/// somebody else's, whose directories and links are not podbond's to remove.
fn refuse_other_than_file(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(Error::NotAFile { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("look at", path)(error)),
    }
}

/// Returns whether this is a temporary file of host-local: `dataDir` may have files of others in it.
fn is_unfinished_lease(name: &OsStr) -> bool {
    name.to_str().and_then(unfinished_of).is_some_and(|name| {
        name.parse::<IpAddr>().is_ok() || name.starts_with("last_reserved_ip.") || name == "probe"
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::make_pipe;

    fn attachment(container: &str) -> Attachment {
        Attachment {
            container_id: container.to_owned().try_into().unwrap(),
            ifname: "net3".parse().unwrap(),
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Address and holder of each lease.
    fn shown(dir: &LeaseDir) -> Vec<String> {
        let (leases, errors) = dir.leases();
        assert!(errors.is_empty(), "{errors:?}");
        leases.iter().map(|lease| format!("{} {}", lease.address, lease.holder)).collect()
    }

    #[test]
    fn files_are_the_reference_plugins() {
        let temp = tempfile::tempdir().unwrap();
        let dir = LeaseDir::create(temp.path()).unwrap();
        let address = ip("fd00:0:0:1::5");
        dir.reserve(address, &attachment("c1")).unwrap();
        dir.set_last_reserved(1, address).unwrap();
        let read = |name: &str| fs::read_to_string(temp.path().join(name)).unwrap();
        assert_eq!(read("fd00:0:0:1::5"), "c1\r\nnet3");
        assert_eq!(read("last_reserved_ip.1"), "fd00:0:0:1::5");
        assert_eq!(dir.last_reserved(1).unwrap(), Some(address));
        assert_eq!(dir.last_reserved(0).unwrap(), None);
    }

    #[test]
    fn reference_plugins_files_are_read() {
        let temp = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("10.0.0.10", "c1\r\neth0"),
            ("10.0.0.9", "old"),
            ("fd00::5", ""),
            ("lock", ""),
            ("last_reserved_ip.0", "10.0.0.10"),
        ] {
            fs::write(temp.path().join(name), content).unwrap();
        }
        let dir = LeaseDir::create(temp.path()).unwrap();
        let expected =
            ["10.0.0.9 container old", "10.0.0.10 eth0 of container c1", "fd00::5 nobody"];
        assert_eq!(shown(&dir), expected);
        assert_eq!(dir.last_reserved(0).unwrap(), Some(ip("10.0.0.10")));
    }

    #[test]
    fn unfinished_files_are_removed_and_are_no_leases() {
        let temp = tempfile::tempdir().unwrap();
        let dir = LeaseDir::create(temp.path()).unwrap();
        let ours = [".10.0.0.9.aB3.new", ".fd00::5.aB3.new", ".last_reserved_ip.0.aB3.new"];
        for name in ours.into_iter().chain([".profile.aB3.new"]) {
            fs::write(temp.path().join(name), "c1\r\nnet3").unwrap();
        }
        assert_eq!(leases(temp.path()), (Vec::new(), Vec::new()));
        assert!(ours.iter().all(|name| temp.path().join(name).exists()));
        assert_eq!(shown(&dir), [""; 0]);
        assert!(ours.iter().all(|name| !temp.path().join(name).exists()));
        assert!(temp.path().join(".profile.aB3.new").exists(), "another's is left unchanged");
    }

    /// Promise: no-link-followed
    #[test]
    fn links_pipes_and_directories_are_no_leases_and_stay() {
        let temp = tempfile::tempdir().unwrap();
        let lease = temp.path().join("secret");
        fs::write(&lease, "c1\r\nnet3").unwrap();
        std::os::unix::fs::symlink(&lease, temp.path().join("10.0.0.8")).unwrap();
        make_pipe(&temp.path().join("10.0.0.9"));
        fs::create_dir_all(temp.path().join("10.0.0.10/x")).unwrap();
        let dir = LeaseDir::create(temp.path()).unwrap();
        assert_eq!(shown(&dir), [""; 0]);
        for address in ["10.0.0.8", "10.0.0.9", "10.0.0.10"] {
            assert_eq!(dir.lease(ip(address)).unwrap(), None);
            assert!(!dir.is_free(ip(address)).unwrap());
            assert!(dir.reserve(ip(address), &attachment("c1")).is_err());
            assert!(dir.release(ip(address)).unwrap_err().to_string().contains("is not a file"));
        }
        assert!(temp.path().join("10.0.0.10/x").is_dir());
    }

    #[test]
    fn lease_is_overwritten_only_when_it_is_empty() {
        let temp = tempfile::tempdir().unwrap();
        let dir = LeaseDir::create(temp.path()).unwrap();
        fs::write(temp.path().join("10.0.0.9"), "").unwrap();
        dir.reserve(ip("10.0.0.9"), &attachment("c1")).unwrap();
        assert!(dir.reserve(ip("10.0.0.9"), &attachment("c2")).is_err());
        assert_eq!(shown(&dir), ["10.0.0.9 net3 of container c1"]);
    }

    #[test]
    fn first_free_address_needs_no_lease_read() {
        let temp = tempfile::tempdir().unwrap();
        let dir = LeaseDir::create(temp.path()).unwrap();
        for name in ["10.0.0.2", "10.0.0.3"] {
            fs::create_dir(temp.path().join(name)).unwrap();
        }
        fs::write(temp.path().join("10.0.0.4"), "").unwrap();
        let addresses = ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"].map(ip);
        assert_eq!(dir.first_free(addresses.into_iter()).unwrap(), Some(addresses[2]));
        assert_eq!(dir.first_free(addresses.into_iter().take(2)).unwrap(), None);
    }

    #[test]
    fn waiting_for_the_lock_ends_and_names_the_file() {
        let temp = tempfile::tempdir().unwrap();
        let holder = LeaseDir::create(temp.path()).unwrap();
        let short = Duration::from_millis(20);
        let Err(error) = LeaseDir::lock(temp.path(), short) else { panic!("locked twice") };
        assert!(error.to_string().contains(temp.path().join("lock").to_str().unwrap()), "{error}");
        drop(holder);
        assert!(LeaseDir::lock(temp.path(), short).is_ok());
    }

    /// Promise: no-link-followed
    #[test]
    fn link_in_place_of_the_directory_is_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let (other, link) = (temp.path().join("other"), temp.path().join("link"));
        fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&other, &link).unwrap();
        let error = LeaseDir::create(&link).map(drop).unwrap_err().to_string();
        assert!(error.contains("link: Not a directory"), "{error}");
        assert!(LeaseDir::open(&link).unwrap().is_none());
        assert_eq!(fs::read_dir(&other).unwrap().count(), 0);
    }

    #[test]
    fn open_makes_no_directory() {
        let temp = tempfile::tempdir().unwrap();
        let missing = temp.path().join("n");
        assert!(LeaseDir::open(&missing).unwrap().is_none());
        assert!(!missing.exists());
    }
}
