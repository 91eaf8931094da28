use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use podbond_cni::ContainerId;
use podbond_names::LinkName;
use podbond_state::{Lock, create, remove, unfinished_of, writable, write};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::error::Error;
use crate::index::Index;
use crate::known::Known;
use crate::lease::{Holder, Lease};
use crate::range::RangeSet;

/// How long a command waits for the others: each holds the lock for milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// The longest lease file that is read, in bytes: an ID and a name.
const MAX_LEASE: usize = 4096;

/// From how many leases on an index costs less than reading them all.
const WORTH_AN_INDEX: usize = 4;

/// The directory of a network's leases, locked for as long as this lives.
pub(crate) struct Store {
    dir: PathBuf,
    /// Where all indexes are.
    indexes: PathBuf,
    /// The index, as long as it tells of the leases as they are.
    index: Option<Index>,
    /// Whether it has to be settled.
    is_changed: bool,
    _lock: Lock,
}

impl Store {
    /// Makes the directory if need be, and locks it.
    pub(crate) fn create(dir: &Path, indexes: &Path) -> Result<Self, Error> {
        if !dir.is_dir() {
            let made = DirBuilder::new().recursive(true).mode(0o755).create(dir);
            made.map_err(Error::io("make the directory", dir))?;
        }
        Self::lock(dir, indexes, LOCK_PATIENCE)
    }

    /// Locks the directory; none if it is not there.
    pub(crate) fn open(dir: &Path, indexes: &Path) -> Result<Option<Self>, Error> {
        match fs::metadata(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("look at", dir)(error)),
            Ok(_) => Self::lock(dir, indexes, LOCK_PATIENCE).map(Some),
        }
    }

    fn lock(dir: &Path, indexes: &Path, patience: Duration) -> Result<Self, Error> {
        let lock = Lock::take(&dir.join("lock"), patience)?;
        let index = fs::metadata(dir).ok().and_then(|leases| {
            let index = Index::of(indexes, &leases);
            index.is_current(&leases).then_some(index)
        });
        let (dir, indexes) = (dir.to_owned(), indexes.to_owned());
        Ok(Self { dir, indexes, index, is_changed: false, _lock: lock })
    }

    /// What follows from the leases, by the index if it is current. What the index tells is enough to
    /// be given something; nobody is refused anything before all leases were read.
    pub(crate) fn decide<T>(
        &mut self,
        decide: impl Fn(&dyn Known) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if let Some(index) = &self.index
            && let Ok(decision) = decide(&Indexed { dir: &self.dir, index })
        {
            return Ok(decision);
        }
        decide(&self.leases()?)
    }

    /// All leases, in the order of their addresses. The index is written anew.
    pub(crate) fn leases(&mut self) -> Result<Vec<Lease>, Error> {
        self.distrust();
        let leases = self.read_all()?;
        if leases.len() >= WORTH_AN_INDEX
            && let Ok(metadata) = fs::metadata(&self.dir)
        {
            let index = Index::of(&self.indexes, &metadata);
            let is_written = index.rebuild(&leases).is_ok();
            self.is_changed |= is_written;
            self.index = is_written.then_some(index);
        }
        Ok(leases)
    }

    /// What one who was killed has left of writing a file is removed: nobody writes without the lock.
    fn read_all(&self) -> Result<Vec<Lease>, Error> {
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
            let holder = match entry.file_type() {
                Ok(kind) if !kind.is_file() => Some(Content::NoFile.holder()),
                _ => read_lease(&path)?,
            };
            // None where somebody removed it by hand, without the lock.
            leases.extend(holder.map(|holder| Lease { address, holder }));
        }
        leases.sort_by_key(|lease| lease.address);
        Ok(leases)
    }

    /// Who holds an address, as its file says.
    pub(crate) fn holder_of(&self, address: IpAddr) -> Result<Option<Holder>, Error> {
        read_lease(&path(&self.dir, address))
    }

    /// Makes a lease. A file without content is nobody's and is replaced: one who was killed between
    /// making and writing it left it, as the reference plugin may.
    pub(crate) fn reserve(&mut self, lease: &Lease) -> Result<(), Error> {
        let path = path(&self.dir, lease.address);
        let content = lease.holder.content();
        self.is_changed = true;
        match create(&path, content.as_bytes()) {
            Err(error) if error.errno() == Some(Errno::EXIST) && is_empty(&path) => {
                remove(&path)?;
                create(&path, content.as_bytes())?;
            }
            created => created?,
        }
        self.follow(|index| index.add(lease));
        Ok(())
    }

    /// Notes the address that was given last from a range set.
    pub(crate) fn set_last_reserved(&mut self, set: usize, address: IpAddr) -> Result<(), Error> {
        self.is_changed = true;
        Ok(write(&last_reserved_path(&self.dir, set), address.to_string().as_bytes())?)
    }

    /// Removes a lease; success if there is none.
    pub(crate) fn release(&mut self, lease: &Lease) -> Result<(), Error> {
        self.is_changed = true;
        remove(&path(&self.dir, lease.address))?;
        self.follow(|index| index.remove(lease));
        Ok(())
    }

    /// Tries whether a lease could be written.
    pub(crate) fn probe(&mut self) -> Result<(), podbond_state::Error> {
        self.is_changed = true;
        writable(&self.dir)
    }

    fn follow(&mut self, change: impl FnOnce(&Index) -> io::Result<()>) {
        if self.index.as_ref().is_some_and(|index| change(index).is_err()) {
            self.distrust();
        }
    }

    fn distrust(&mut self) {
        if let Some(index) = self.index.take() {
            index.discard();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Without it the leases are read once more by the next.
        if let Some(index) = self.index.as_ref().filter(|_| self.is_changed) {
            let _ = index.settle(&self.dir);
        }
    }
}

/// The leases as an index tells of them: each is read before it is trusted.
struct Indexed<'s> {
    dir: &'s Path,
    index: &'s Index,
}

impl Indexed<'_> {
    fn leases_of(&self, holder: &Holder) -> Result<Vec<Lease>, Error> {
        let unsure = Error::io("read the index of", self.dir);
        let addresses = self.index.addresses(holder).map_err(&unsure)?;
        let lease = |address| match read_lease(&path(self.dir, address))? {
            Some(found) if found == *holder => Ok(Lease { address, holder: found }),
            _ => Err(unsure(ErrorKind::InvalidData.into())),
        };
        addresses.into_iter().map(lease).collect()
    }
}

impl Known for Indexed<'_> {
    fn held_by(&self, container: &ContainerId, ifname: &LinkName) -> Result<Vec<Lease>, Error> {
        let held = self.leases_of(&Holder::new(container, ifname))?;
        if held.is_empty() {
            return self.leases_of(&Holder::Container(container.to_string()));
        }
        Ok(held)
    }

    fn holder_of(&self, address: IpAddr) -> Result<Option<Holder>, Error> {
        let holder = read_lease(&path(self.dir, address))?;
        Ok(holder.filter(|holder| *holder != Holder::Nobody))
    }

    fn first_free(&self, from: IpAddr, to: IpAddr) -> Result<Option<IpAddr>, Error> {
        self.index.first_free(from, to).map_err(Error::io("read the index of", self.dir))
    }

    fn count(&self, _: &RangeSet) -> Result<usize, Error> {
        Err(Error::io("count by the index of", self.dir)(ErrorKind::Unsupported.into()))
    }
}

/// The address that was given last from the range set of this index. One that cannot be read costs
/// the round robin, and nothing else.
pub(crate) fn last_reserved(dir: &Path, set: usize) -> Option<IpAddr> {
    let path = last_reserved_path(dir, set);
    if !fs::symlink_metadata(&path).ok()?.is_file() {
        return None;
    }
    match read(&path).ok()? {
        Content::File(text) => text.trim().parse().ok(),
        Content::NoFile | Content::Gone => None,
    }
}

/// Rust and Go write addresses in the same form (RFC 5952).
fn path(dir: &Path, address: IpAddr) -> PathBuf {
    dir.join(address.to_string())
}

fn last_reserved_path(dir: &Path, set: usize) -> PathBuf {
    dir.join(format!("last_reserved_ip.{set}"))
}

/// Who holds the address of a lease; none if there is no such file.
pub(crate) fn read_lease(path: &Path) -> Result<Option<Holder>, Error> {
    match read(path).map_err(Error::io("read the lease", path))? {
        Content::Gone => Ok(None),
        content => Ok(Some(content.holder())),
    }
}

/// Whether this is what one who was killed has left of writing one of our files: `dataDir` may have
/// those of others in it.
fn is_ours_unfinished(name: &str) -> bool {
    unfinished_of(name).is_some_and(|of| {
        of.parse::<IpAddr>().is_ok() || of.starts_with("last_reserved_ip.") || of == "probe"
    })
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

impl Content {
    fn holder(&self) -> Holder {
        match self {
            Self::File(content) => Holder::parse(content),
            // Nobody's that can be known, as no container is called so: it is not given out, and
            // keeps no other from it.
            Self::NoFile | Self::Gone => Holder::parse("no file"),
        }
    }
}

/// Reads a file. A link is not followed and a pipe not waited for: the directory may be one to which
/// others have access.
fn read(path: &Path) -> io::Result<Content> {
    let mut open = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = match open.read(true).custom_flags(flags.bits().cast_signed()).open(path) {
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
    // A file that is no longer than this is read at once.
    let mut content = [0; MAX_LEASE];
    let length = file.read(&mut content)?;
    Ok(Content::File(String::from_utf8_lossy(&content[..length]).into_owned()))
}

#[cfg(test)]
mod tests;
