//! What the leases of a network say, found without reading them all.
//!
//! An index is a directory of its own for each directory of leases, named after that one's device
//! and inode. In it
//!
//! - a link for each interface that holds addresses, named `<container>:<interface>`, leads to them,
//!   as `10.56.217.2,fd00::5`. It is nothing but a small file that is made, read and removed at once;
//!   nobody follows it. The interface is missing where a lease tells of none.
//! - a file `+<address>` for each block of addresses of which any is taken tells which.
//!
//! It is a cache. The leases are the truth, and other programs work on them: an index counts only as
//! long as `stamp` shows that nobody else has changed them, and a lease that it leads to is read
//! before it is trusted. What is wrong with it makes it useless and fails nothing, so it is neither
//! synced nor made at points of the crash test: whoever is killed before the stamp leaves no index.
//! Whoever changes leases by hand in the very moment in which a plugin does, without the lock, is not
//! noticed. Then an address may stay unused until the next change by others, but none is given twice.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use podbond_cni::ContainerId;
use podbond_names::LinkName;
use rustix::fs::OFlags;

use crate::bitmap::{Bitmap, Place, SIZE, parts};
use crate::lease::{Holder, Lease};
use crate::stamp::Stamp;

/// Where all indexes are: they go when the machine is started anew.
pub(crate) const INDEXES: &str = "/run/podbond/leases";

/// The index of one directory of leases.
pub(crate) struct Index {
    dir: PathBuf,
    /// The blocks that were read.
    blocks: RefCell<BTreeMap<IpAddr, Option<Block>>>,
}

struct Block {
    file: File,
    taken: Bitmap,
}

impl Index {
    /// The index of the directory of leases that this tells of, whether there is one or not.
    pub(crate) fn of(indexes: &Path, leases: &Metadata) -> Self {
        let dir = indexes.join(format!("{}-{}", leases.dev(), leases.ino()));
        Self { dir, blocks: RefCell::default() }
    }

    /// Whether it tells of the leases as they are.
    pub(crate) fn is_current(&self, leases: &Metadata) -> bool {
        let stamp = Stamp::of(leases);
        let own = || fs::symlink_metadata(&self.dir).ok().and_then(|own| Stamp::of_index(&own));
        stamp.is_some() && stamp == own()
    }

    /// Makes it tell of the leases as they are in this directory, once it has followed every change.
    pub(crate) fn settle(&self, leases: &Path) -> io::Result<()> {
        let stamp = Stamp::new();
        stamp.set_index(&self.dir)?;
        stamp.set(leases)
    }

    /// Makes it tell of nothing.
    pub(crate) fn discard(&self) {
        // Where that fails, what is wrong with it is found again.
        let _ = Stamp::void().set(&self.dir);
    }

    /// Writes it anew, from all leases.
    pub(crate) fn rebuild(&self, leases: &[Lease]) -> io::Result<()> {
        self.discard();
        self.blocks.borrow_mut().clear();
        podbond_state::make_dir(&self.dir).map_err(io::Error::other)?;
        let mut holders: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        let mut blocks: BTreeMap<IpAddr, Bitmap> = BTreeMap::new();
        for Lease { address, holder } in leases {
            if let Some(name) = name(holder) {
                holders.entry(name).or_default().push(*address);
            }
            if *holder != Holder::Nobody {
                let place = Place::of(*address);
                blocks.entry(place.block).or_insert_with(Bitmap::empty).set(place, true);
            }
        }
        // Most links are as they should be, where another program has changed a lease or two.
        let mut kept = BTreeSet::new();
        for entry in fs::read_dir(&self.dir)? {
            let file = entry?.file_name();
            let link = file.to_str().and_then(|name| Some((name, holders.get(name)?)));
            match link {
                Some((name, addresses))
                    if self.addresses_of(name).ok().as_ref() == Some(addresses) =>
                {
                    kept.insert(name.to_owned());
                }
                _ => self.clear(&file)?,
            }
        }
        for (name, addresses) in holders.iter().filter(|(name, _)| !kept.contains(*name)) {
            symlink(written(addresses), self.dir.join(name))?;
        }
        blocks.into_iter().try_for_each(|(block, taken)| {
            create(&self.dir.join(block_name(block)))?.write_all(taken.as_bytes())
        })
    }

    fn clear(&self, name: &OsStr) -> io::Result<()> {
        let path = self.dir.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::IsADirectory => fs::remove_dir_all(&path),
            removed => removed,
        }
    }

    /// The addresses that somebody holds.
    pub(crate) fn addresses(&self, holder: &Holder) -> io::Result<Vec<IpAddr>> {
        name(holder).map_or_else(|| Ok(Vec::new()), |name| self.addresses_of(&name))
    }

    fn addresses_of(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let addresses = match fs::read_link(self.dir.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            link => link?.into_os_string().into_string().map_err(|_| torn())?,
        };
        let parsed: Result<_, _> = addresses.split(',').map(str::parse).collect();
        parsed.map_err(|_| torn())
    }

    /// The first address from one to another of its family that nobody holds.
    pub(crate) fn first_free(&self, from: IpAddr, to: IpAddr) -> io::Result<Option<IpAddr>> {
        for (from, to) in parts(from, to) {
            let free = self.with_block(Place::of(from).block, |block| match block {
                Some(block) => block.taken.first_free(from, to),
                None => Some(from),
            })?;
            if free.is_some() {
                return Ok(free);
            }
        }
        Ok(None)
    }

    /// Follows a lease that was made.
    pub(crate) fn add(&self, lease: &Lease) -> io::Result<()> {
        if let Some(name) = name(&lease.holder) {
            match symlink(written(&[lease.address]), self.dir.join(&name)) {
                // It holds others beside it.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    self.change(&name, |addresses| addresses.push(lease.address))?;
                }
                made => made?,
            }
        }
        self.mark(lease.address, true)
    }

    /// Follows a lease that was removed.
    pub(crate) fn remove(&self, lease: &Lease) -> io::Result<()> {
        if let Some(name) = name(&lease.holder) {
            self.change(&name, |addresses| addresses.retain(|held| *held != lease.address))?;
        }
        self.mark(lease.address, false)
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<IpAddr>)) -> io::Result<()> {
        let path = self.dir.join(name);
        let mut addresses = self.addresses_of(name)?;
        if !addresses.is_empty() {
            fs::remove_file(&path)?;
        }
        change(&mut addresses);
        if addresses.is_empty() { Ok(()) } else { symlink(written(&addresses), path) }
    }

    /// Notes whether an address is taken. A block is written in its place: it counts only with the
    /// stamp that follows.
    fn mark(&self, address: IpAddr, is_taken: bool) -> io::Result<()> {
        let place = Place::of(address);
        let is_written = self.with_block(place.block, |block| {
            block.as_mut().map(|Block { file, taken }| {
                let byte = taken.set(place, is_taken);
                file.write_all_at(&[byte], place.byte as u64)
            })
        })?;
        match is_written {
            Some(written) => written,
            None if is_taken => {
                let mut taken = Bitmap::empty();
                taken.set(place, true);
                let mut file = create(&self.dir.join(block_name(place.block)))?;
                file.write_all(taken.as_bytes())?;
                self.blocks.borrow_mut().insert(place.block, Some(Block { file, taken }));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What is taken of the block that begins with this address: of none that has no file, nothing.
    fn with_block<T>(
        &self,
        first: IpAddr,
        look: impl FnOnce(&mut Option<Block>) -> T,
    ) -> io::Result<T> {
        let mut blocks = self.blocks.borrow_mut();
        if let Some(block) = blocks.get_mut(&first) {
            return Ok(look(block));
        }
        let mut block = match options().read(true).open(self.dir.join(block_name(first))) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            file => {
                let mut file = file?;
                // One more than there may be, to see that there is no more.
                let mut bytes = vec![0; SIZE + 1];
                let length = file.read(&mut bytes)?;
                let taken = Bitmap::parse(&bytes[..length]).ok_or_else(torn)?;
                Some(Block { file, taken })
            }
        };
        let seen = look(&mut block);
        blocks.insert(first, block);
        Ok(seen)
    }
}

/// The name of the link of a holder; none if nobody can ask for what he holds.
fn name(holder: &Holder) -> Option<String> {
    let (container, ifname) = match holder {
        Holder::Interface { container, ifname } => {
            (container, ifname.parse::<LinkName>().ok()?.to_string())
        }
        Holder::Container(container) => (container, String::new()),
        Holder::Nobody => return None,
    };
    let container = ContainerId::try_from(container.clone()).ok()?;
    Some(format!("{container}:{ifname}"))
}

/// No container ID begins with a `+`.
fn block_name(first: IpAddr) -> String {
    format!("+{first}")
}

fn written(addresses: &[IpAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    addresses.join(",")
}

fn create(path: &Path) -> io::Result<File> {
    options().create_new(true).open(path)
}

/// For a file that is read and written, if it is one.
fn options() -> OpenOptions {
    let mut open = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    open.read(true).write(true).mode(0o600).custom_flags(flags.bits().cast_signed());
    open
}

fn torn() -> io::Error {
    ErrorKind::InvalidData.into()
}
