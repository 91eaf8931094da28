//! The lease files of host-local: a directory for each network, in it a file for each leased
//! address, the address given last of each range set, and a lock.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, DirEntry};
use std::io::{self, ErrorKind, Read};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use podbond_cni::{Attachment, Failure};
use podbond_state::{Access, Lock, create, open_regular, remove, unfinished_of, write};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::Error;
use crate::holder::{Holder, content};

/// How long a command waits for one process that holds the lock: each holds it for milliseconds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// The name of the lock's file.
const LOCK: &str = "lock";

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
///
/// It is held open, and its files are found through that: who has the directory above it, as a tenant may
/// with `dataDir`, can put a link to another network's in its place at any moment.
pub(crate) struct LeaseDir {
    /// Its path, for messages.
    path: PathBuf,
    /// A path to it that stays right as long as it is open.
    open: PathBuf,
    _dir: OwnedFd,
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
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty());
        let dir = dir.map_err(|errno| Error::io("open", path)(errno.into()))?;
        let open = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
        let lock = Lock::take(&open.join(LOCK), timeout)
            .map_err(|error| error.with_path(&path.join(LOCK)))?;
        Ok(Self { path: path.to_owned(), open, _dir: dir, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns all leases in the order of their addresses, and why others cannot be read. Removes the
    /// temporary files of killed processes: nobody writes without the lock.
    pub(crate) fn leases(&self) -> (Vec<Lease>, Vec<Error>) {
        let entries = match entries(&self.open) {
            Ok(entries) => entries,
            Err(error) => return (Vec::new(), vec![self.named(error)]),
        };
        for entry in entries.iter().filter(|entry| is_unfinished_lease(&entry.file_name())) {
            let _ = fs::remove_file(entry.path());
        }
        let (leases, errors) = read_leases(&entries);
        (leases, errors.into_iter().map(|error| self.named(error)).collect())
    }

    /// Returns the lease of an address; none where no file, or something else, is in its place.
    pub(crate) fn lease(&self, address: IpAddr) -> Result<Option<Lease>, Error> {
        read_lease(self.file(address), address).map_err(|error| self.named(error))
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
            Err(error) => Err(self.named(Error::io("look at", path)(error))),
        }
    }

    /// Leases an address; fails where it is leased. An empty file is nobody's and is replaced: a process
    /// that was killed between creating and writing a file leaves one, as the reference plugin may.
    pub(crate) fn reserve(&self, address: IpAddr, attachment: &Attachment) -> Result<(), Error> {
        let (path, content) = (self.file(address), content(attachment));
        let created = match create(&path, content.as_bytes()) {
            Err(error) if error.errno() == Some(Errno::EXIST) && self.is_free(address)? => {
                self.release(address)?;
                create(&path, content.as_bytes())
            }
            created => created,
        };
        created.map_err(|error| self.named(error.into()))
    }

    /// Removes the lease of an address; success if there is none.
    pub(crate) fn release(&self, address: IpAddr) -> Result<(), Error> {
        let path = self.file(address);
        let removed = refuse_other_than_file(&path).and_then(|()| Ok(remove(&path)?));
        removed.map_err(|error| self.named(error))
    }

    /// Returns the address that was leased last from the range set of this index; none where that is not
    /// recorded. Fails where it could not be written, as something else is in the file's place.
    pub(crate) fn last_reserved(&self, set: usize) -> Result<Option<IpAddr>, Error> {
        let path = self.last_reserved_file(set);
        refuse_other_than_file(&path).map_err(|error| self.named(error))?;
        // One that cannot be read costs the round robin, and nothing else.
        let text = read(&path).ok().flatten().map(|(text, _)| text);
        Ok(text.and_then(|text| text.trim().parse().ok()))
    }

    /// Writes the address that was given last from the range set of this index.
    pub(crate) fn set_last_reserved(&self, set: usize, address: IpAddr) -> Result<(), Error> {
        let path = self.last_reserved_file(set);
        let written = refuse_other_than_file(&path)
            .and_then(|()| Ok(write(&path, address.to_string().as_bytes())?));
        written.map_err(|error| self.named(error))
    }

    /// Rust and Go write addresses in the same form (RFC 5952).
    fn file(&self, address: IpAddr) -> PathBuf {
        self.open.join(address.to_string())
    }

    fn last_reserved_file(&self, set: usize) -> PathBuf {
        self.open.join(format!("last_reserved_ip.{set}"))
    }

    /// Returns an error about a file of the directory with the path that people know.
    fn named(&self, error: Error) -> Error {
        let path = |path: &Path| match path.strip_prefix(&self.open) {
            Ok(name) => self.path.join(name),
            Err(_) => path.to_owned(),
        };
        match error {
            Error::State(error) => {
                let path = path(error.path());
                error.with_path(&path).into()
            }
            Error::NotAFile { path: at } => Error::NotAFile { path: path(&at) },
            Error::Io { action, path: at, source } => Error::Io { action, path: path(&at), source },
            other => other,
        }
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

    /// Promise: no-link-followed
    #[test]
    fn directory_stays_the_one_that_was_locked() {
        let temp = tempfile::tempdir().unwrap();
        let [own, other] = ["own", "other"].map(|name| temp.path().join(name));
        for dir in [&own, &other] {
            fs::create_dir(dir).unwrap();
            fs::write(dir.join("10.0.0.9"), "c1\r\nnet3").unwrap();
        }
        let dir = LeaseDir::create(&own).unwrap();
        fs::rename(&own, temp.path().join("moved")).unwrap();
        std::os::unix::fs::symlink(&other, &own).unwrap();
        dir.release(ip("10.0.0.9")).unwrap();
        dir.reserve(ip("10.0.0.8"), &attachment("c1")).unwrap();
        dir.set_last_reserved(0, ip("10.0.0.8")).unwrap();
        assert_eq!(shown(&dir), ["10.0.0.8 net3 of container c1"]);
        assert_eq!(fs::read_dir(&other).unwrap().count(), 1, "another's has been changed");
        assert!(other.join("10.0.0.9").exists());
        fs::create_dir(temp.path().join("moved/10.0.0.7")).unwrap();
        let message = dir.release(ip("10.0.0.7")).unwrap_err().to_string();
        assert!(message.starts_with(own.join("10.0.0.7").to_str().unwrap()), "{message}");
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
