use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use podbond_state::{Lock, create, is_unfinished, remove, write};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::error::Error;
use crate::lease::{Holder, Lease};

/// How long a command waits for the others: each holds the lock for milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// The longest lease file that is read, in bytes: an ID and a name.
const MAX_LEASE: u64 = 4096;

/// The directory of a network's leases, locked for as long as this lives.
pub(crate) struct Store {
    dir: PathBuf,
    _lock: Lock,
}

impl Store {
    /// Makes the directory if need be, and locks it.
    pub(crate) fn create(dir: &Path) -> Result<Self, Error> {
        let made = DirBuilder::new().recursive(true).mode(0o755).create(dir);
        made.map_err(Error::io("make the directory", dir))?;
        Self::lock(dir, LOCK_PATIENCE)
    }

    /// Locks the directory; none if it is not there.
    pub(crate) fn open(dir: &Path) -> Result<Option<Self>, Error> {
        match fs::metadata(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("look at", dir)(error)),
            Ok(_) => Self::lock(dir, LOCK_PATIENCE).map(Some),
        }
    }

    fn lock(dir: &Path, patience: Duration) -> Result<Self, Error> {
        let lock = Lock::take(&dir.join("lock"), patience)?;
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    /// All leases, in the order of their addresses. What one who was killed has left of writing a
    /// file is removed: nobody writes without the lock.
    pub(crate) fn leases(&self) -> Result<Vec<Lease>, Error> {
        let entries = fs::read_dir(&self.dir).map_err(Error::io("list", &self.dir))?;
        let mut leases = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io("list", &self.dir))?;
            let name = entry.file_name();
            let path = self.dir.join(&name);
            let Some(name) = name.to_str() else { continue };
            if is_ours_unfinished(name) {
                let _ = fs::remove_file(&path);
            }
            // The lock and the addresses given last are no addresses.
            let Ok(address) = name.parse() else { continue };
            // What is known to be no file is not even opened: opening a device may do something.
            let content = match entry.file_type() {
                Ok(kind) if !kind.is_file() => Content::NoFile,
                _ => read(&path).map_err(Error::io("read the lease", path))?,
            };
            let holder = match content {
                Content::File(content) => Holder::parse(&content),
                // Nobody's that can be known: it is not given out, and keeps no other from it.
                Content::NoFile => Holder::parse("no file"),
                // Somebody removed it by hand, without the lock.
                Content::Gone => continue,
            };
            leases.push(Lease { address, holder });
        }
        leases.sort_by_key(|lease| lease.address);
        Ok(leases)
    }

    /// The address that was given last from the range set of this index. One that cannot be read
    /// costs the round robin, and nothing else.
    pub(crate) fn last_reserved(&self, set: usize) -> Option<IpAddr> {
        let path = self.last_reserved_path(set);
        if !fs::symlink_metadata(&path).ok()?.is_file() {
            return None;
        }
        match read(&path).ok()? {
            Content::File(text) => text.trim().parse().ok(),
            Content::NoFile | Content::Gone => None,
        }
    }

    /// Makes a lease. A file without content is nobody's and is replaced: one who was killed between
    /// making and writing it left it, as the reference plugin may.
    pub(crate) fn reserve(&self, address: IpAddr, holder: &Holder) -> Result<(), Error> {
        let path = self.path(address);
        let lease = holder.content();
        match create(&path, lease.as_bytes()) {
            Err(error) if error.errno() == Some(Errno::EXIST) && is_empty(&path) => {
                remove(&path)?;
                Ok(create(&path, lease.as_bytes())?)
            }
            created => Ok(created?),
        }
    }

    /// Notes the address that was given last from a range set.
    pub(crate) fn set_last_reserved(&self, set: usize, address: IpAddr) -> Result<(), Error> {
        Ok(write(&self.last_reserved_path(set), address.to_string().as_bytes())?)
    }

    /// Removes a lease; success if there is none.
    pub(crate) fn release(&self, address: IpAddr) -> Result<(), Error> {
        Ok(remove(&self.path(address))?)
    }

    /// Rust and Go write addresses in the same form (RFC 5952).
    fn path(&self, address: IpAddr) -> PathBuf {
        self.dir.join(address.to_string())
    }

    fn last_reserved_path(&self, set: usize) -> PathBuf {
        self.dir.join(format!("last_reserved_ip.{set}"))
    }
}

/// Whether this is what one who was killed has left of writing one of our files: `dataDir` may have
/// those of others in it.
fn is_ours_unfinished(name: &str) -> bool {
    let of = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".new"));
    let ours = |of: &str| {
        of.parse::<IpAddr>().is_ok()
            || of.starts_with("last_reserved_ip.")
            || of.starts_with("probe-")
    };
    is_unfinished(name) && of.is_some_and(ours)
}

fn is_empty(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0)
}

/// What is in the place of a file.
enum Content {
    File(String),
    /// A directory, a link, a pipe.
    NoFile,
    Gone,
}

/// Reads a file. A link is not followed and a pipe not waited for: the directory may be one to which
/// others have access.
fn read(path: &Path) -> io::Result<Content> {
    let mut open = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match open.read(true).custom_flags(flags.bits().cast_signed()).open(path) {
        Ok(file) => file,
        Err(error) => {
            return match Errno::from_io_error(&error) {
                Some(Errno::NOENT) => Ok(Content::Gone),
                // A link, a socket.
                Some(Errno::LOOP | Errno::NXIO) => Ok(Content::NoFile),
                _ => Err(error),
            };
        }
    };
    if !file.metadata()?.is_file() {
        return Ok(Content::NoFile);
    }
    let mut content = Vec::new();
    file.take(MAX_LEASE).read_to_end(&mut content)?;
    Ok(Content::File(String::from_utf8_lossy(&content).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(dir: &Path) -> Store {
        Store::create(dir).unwrap()
    }

    #[test]
    fn a_lease_is_a_file_in_the_reference_plugins_form() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let address: IpAddr = "fd00:0:0:1::5".parse().unwrap();
        store.reserve(address, &Holder::parse("c1\r\nnet3")).unwrap();
        store.set_last_reserved(1, address).unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("fd00:0:0:1::5"), "c1\r\nnet3");
        assert_eq!(read("last_reserved_ip.1"), "fd00:0:0:1::5");
        assert_eq!(store.last_reserved(1), Some(address));
        assert_eq!(store.last_reserved(0), None);
    }

    #[test]
    fn what_the_reference_plugin_wrote_is_read() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("10.0.0.10", "c1\r\neth0"),
            ("10.0.0.9", "old"),
            ("fd00::5", ""),
            ("lock", ""),
            ("last_reserved_ip.0", "10.0.0.10"),
        ] {
            fs::write(dir.path().join(name), content).unwrap();
        }
        let lease = |address: &str, content: &str| Lease {
            address: address.parse().unwrap(),
            holder: Holder::parse(content),
        };
        let expected =
            [lease("10.0.0.9", "old"), lease("10.0.0.10", "c1\r\neth0"), lease("fd00::5", "")];
        assert_eq!(store(dir.path()).leases().unwrap(), expected);
    }

    #[test]
    fn what_was_not_written_to_its_end_is_no_lease_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let ours = [".10.0.0.9.new", ".fd00::5.new", ".last_reserved_ip.0.new", ".probe-7.new"];
        for name in ours.into_iter().chain([".profile.new"]) {
            fs::write(dir.path().join(name), "c1\r\nnet3").unwrap();
        }
        assert_eq!(store(dir.path()).leases().unwrap(), []);
        assert!(ours.iter().all(|name| !dir.path().join(name).exists()));
        assert!(dir.path().join(".profile.new").exists(), "what is another's is left alone");
    }

    #[test]
    fn no_link_is_followed_and_no_pipe_waited_for_in_a_leases_place() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        fs::write(&secret, "10.0.0.7").unwrap();
        for name in ["10.0.0.8", "last_reserved_ip.0"] {
            std::os::unix::fs::symlink(&secret, dir.path().join(name)).unwrap();
        }
        let pipe = dir.path().join("10.0.0.9");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).unwrap();
        let store = store(dir.path());
        let held = |address: &str| Lease {
            address: address.parse().unwrap(),
            holder: Holder::parse("no file"),
        };
        assert_eq!(store.leases().unwrap(), [held("10.0.0.8"), held("10.0.0.9")]);
        assert_eq!(store.last_reserved(0), None);
        let address = "10.0.0.8".parse().unwrap();
        assert!(store.reserve(address, &Holder::parse("c1\r\nnet1")).is_err());
    }

    #[test]
    fn a_directory_in_a_leases_place_keeps_no_other_address_from_anybody() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("10.0.0.9")).unwrap();
        let store = store(dir.path());
        let taken = store.leases().unwrap();
        assert_eq!(
            taken.iter().map(|lease| lease.address.to_string()).collect::<Vec<_>>(),
            ["10.0.0.9"]
        );
        store.release(taken[0].address).unwrap();
        assert_eq!(store.leases().unwrap(), []);
    }

    #[test]
    fn a_lease_is_never_overwritten_unless_it_is_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let address = "10.0.0.9".parse().unwrap();
        let (first, second) = (Holder::parse("c1\r\nnet1"), Holder::parse("c2\r\nnet1"));
        fs::write(dir.path().join("10.0.0.9"), "").unwrap();
        store.reserve(address, &first).unwrap();
        assert!(store.reserve(address, &second).is_err());
        assert_eq!(store.leases().unwrap()[0].holder, first);
    }

    #[test]
    fn waiting_for_the_lock_ends_and_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let holder = store(dir.path());
        let Err(error) = Store::lock(dir.path(), Duration::from_millis(20)) else {
            panic!("locked twice");
        };
        assert!(error.to_string().contains(dir.path().join("lock").to_str().unwrap()), "{error}");
        drop(holder);
        assert!(Store::lock(dir.path(), Duration::from_millis(20)).is_ok());
    }

    #[test]
    fn a_directory_that_is_not_there_is_not_made_by_looking() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("n");
        assert!(Store::open(&missing).unwrap().is_none());
        assert!(!missing.exists());
    }
}
