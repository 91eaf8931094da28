use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::abort;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, fstatfs};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive,
    mount_change, unmount,
};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use crate::error::with_remedy;
use crate::netlink::{Socket, set_state};
use crate::node_view::{NodeView, open_below};
use crate::sysfs::read;
use crate::{Error, LinkState, Result};

/// Where iproute2 keeps its names.
const DIRECTORY: &str = "/run/netns";
/// The calling thread's own namespace.
const OWN: &str = "/proc/thread-self/ns/net";
/// `NSFS_MAGIC`: what fstatfs(2) says of a namespace.
const NSFS_MAGIC: i64 = 0x6e73_6673;
/// The loopback is the first link of every namespace: the kernel's `LOOPBACK_IFINDEX`.
const LOOPBACK_INDEX: u32 = 1;
/// Changes with every boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// `NAME_MAX`
const MAX_NAME_BYTES: usize = 255;

/// Returns what the kernel calls this start of the node: no two have the same (`random(4)`).
pub(crate) fn boot_id() -> Result<String> {
    let path = Path::new(BOOT_ID);
    read(path).map_err(|source| Error::File { action: "read", path: path.to_owned(), source })
}

/// A named network namespace as iproute2 keeps them: a mount at `/run/netns/<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedNetns {
    path: PathBuf,
}

impl NamedNetns {
    /// Makes the namespace, with its loopback up; it is an error when the name is taken.
    pub fn create(name: &str) -> Result<Self> {
        let path = Self::path_of(name)?;
        let wrong = |what: &str, error: io::Error| error_at(&path, format!("{what}: {error}"));
        let mut directory = fs::DirBuilder::new();
        directory.recursive(true).mode(0o755);
        directory
            .create(DIRECTORY)
            .map_err(|error| wrong("its directory cannot be made", error))?;
        // Held until all is done: it excludes others that share the directory at the same time,
        // iproute2 among them.
        let lock = File::open(DIRECTORY)
            .and_then(|lock| {
                flock(&lock, FlockOperation::LockExclusive).map(|()| lock).map_err(Into::into)
            })
            .map_err(|error| wrong("its directory cannot be locked", error))?;
        share_directory().map_err(|error| wrong("its directory cannot be shared", error.into()))?;
        match OpenOptions::new().write(true).create_new(true).mode(0o444).open(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if is_netns(&path) {
                    return Err(error_at(&path, "the name is taken"));
                }
                // What is left of a creation that was killed half-way: nobody else is at it, since
                // we hold the lock.
            }
            Err(error) => return Err(wrong("it cannot be made", error)),
        }
        let made = std::thread::scope(|scope| {
            let thread = scope.spawn(|| create_at(&path));
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        });
        drop(lock);
        match made {
            Ok(()) => Ok(Self { path }),
            Err(error) => {
                // Nothing is mounted there, or create_at has unmounted it.
                let _ = fs::remove_file(&path);
                Err(error)
            }
        }
    }

    /// Returns the path that the namespace of this name has while it is there.
    pub fn path_of(name: &str) -> Result<PathBuf> {
        let reason = match name {
            "" => "its name is empty",
            "." | ".." => "its name is a directory's",
            _ if name.contains(['/', '\0']) => "its name holds `/` or NUL",
            _ if name.len() > MAX_NAME_BYTES => "its name has more than 255 bytes",
            _ => return Ok(Path::new(DIRECTORY).join(name)),
        };
        Err(error_at(&Path::new(DIRECTORY).join(name), reason))
    }

    /// The namespace of this name, if it is there.
    pub fn find(name: &str) -> Result<Option<Self>> {
        let path = Self::path_of(name)?;
        Ok(is_netns(&path).then_some(Self { path }))
    }

    /// The path to give as `CNI_NETNS`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the name, and with its last user the namespace. Success when it is already gone.
    pub fn remove(self) -> Result<()> {
        let path = &self.path;
        match unmount(path, UnmountFlags::DETACH) {
            // Not mounted (any more), or not there at all.
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
            Err(error) => return Err(error_at(path, format!("it cannot be unmounted: {error}"))),
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error_at(path, format!("it cannot be removed: {error}")))
            }
            _ => Ok(()),
        }
    }
}

fn error_at(path: &Path, reason: impl Into<String>) -> Error {
    Error::Namespace { path: path.to_owned(), reason: reason.into() }
}

/// Makes the directory a shared mount, so that a namespace that is unmounted in one mount
/// namespace goes away in all of them, and can be freed.
fn share_directory() -> rustix::io::Result<()> {
    let share =
        || mount_change(DIRECTORY, MountPropagationFlags::SHARED | MountPropagationFlags::REC);
    match share() {
        // It is no mount point yet.
        Err(Errno::INVAL) => {
            mount_bind_recursive(DIRECTORY, DIRECTORY)?;
            share()
        }
        result => result,
    }
}

/// Runs in a thread of its own: makes a namespace, mounts it at `path`, brings up its loopback.
fn create_at(path: &Path) -> Result<()> {
    let wrong =
        |what, error: Errno| error_at(path, format!("{what}: {}", with_remedy(&error.into())));
    new_namespace().map_err(|error| wrong("it cannot be made", error))?;
    let loopback = set_state(LOOPBACK_INDEX, LinkState::Up);
    Socket::open()?.change(&"bring up the loopback of a new namespace", &loopback, 0)?;
    mount_bind(OWN, path).map_err(|error| wrong("it cannot be mounted", error))
}

#[allow(unsafe_code, reason = "unshare(2) is unsafe where it unshares file descriptors")]
fn new_namespace() -> rustix::io::Result<()> {
    // SAFETY: the flags hold NEWNET alone. File descriptors stay shared with the other threads,
    // which is all that the function's contract is about.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }
}

/// Returns whether a path is a network namespace.
pub(crate) fn is_netns(path: &Path) -> bool {
    open(path).is_ok()
}

/// Moves the calling thread into a namespace for good, with a `/sys` of its own that shows the
/// links of that namespace, as `ip netns exec` does: for `podbond exec`, just before exec.
pub fn enter(path: &Path) -> Result<()> {
    let netns = open(path)?;
    let wrong = |what, error: &io::Error| error_at(path, format!("{what}: {}", with_remedy(error)));
    set(netns.as_fd()).map_err(|error| wrong("it cannot be entered", &error))?;
    show_own_sysfs().map_err(|error| wrong("its /sys cannot be mounted", &error.into()))
}

/// Moves the process into the mount namespace of the node's first process: it sees what the node sees from then on.
/// The process may have one thread only (`setns(2)`).
pub fn enter_node_mounts() -> Result<()> {
    let path = Path::new("/proc/1/ns/mnt");
    let wrong = |error: Errno| error_at(path, with_remedy(&error.into()));
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let mounts = rustix::fs::open(path, flags, Mode::empty()).map_err(wrong)?;
    move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount)).map_err(wrong)
}

/// sysfs shows the links of the namespace in which it was mounted.
fn show_own_sysfs() -> rustix::io::Result<()> {
    new_mount_namespace()?;
    // What is mounted here stays here.
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    unmount("/sys", UnmountFlags::DETACH)?;
    mount("sysfs", "/sys", "sysfs", MountFlags::empty(), None)
}

#[allow(unsafe_code, reason = "unshare(2) is unsafe where it unshares file descriptors")]
fn new_mount_namespace() -> rustix::io::Result<()> {
    // SAFETY: the flags hold NEWNS alone; file descriptors stay shared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }
}

/// Opens a namespace for [`within`] and for moving links into it.
pub(crate) fn open(path: &Path) -> Result<OwnedFd> {
    match open_if_netns(path) {
        Ok(Some(netns)) => Ok(netns),
        Ok(None) => Err(error_at(
            path,
            "it is a file of another kind (a namespace that was removed leaves one)",
        )),
        Err(errno) => Err(error_at(path, io::Error::from(errno).to_string())),
    }
}

// NONBLOCK: a path that is a pipe must not make us wait for its other end.
const OPEN_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// Opens the namespace at a path; none where a file of another kind is there. A process that sees no namespace there
/// and may see something else than the node opens what the node has.
pub(crate) fn open_if_netns(path: &Path) -> rustix::io::Result<Option<OwnedFd>> {
    match open_as_seen(path) {
        Ok(Some(netns)) => Ok(Some(netns)),
        own => match NodeView::of(path) {
            NodeView::Root(root) => open_of_node(&root, path),
            NodeView::Same | NodeView::Hidden => own,
        },
    }
}

/// Opens the namespace at a path as this process sees it; none where a file of another kind is there.
pub(crate) fn open_as_seen(path: &Path) -> rustix::io::Result<Option<OwnedFd>> {
    if_netns(rustix::fs::open(path, OPEN_FLAGS, Mode::empty())?)
}

/// Opens the namespace that the node has at a path, below the root of its first process; none where a file of another
/// kind is there.
pub(crate) fn open_of_node(root: &OwnedFd, path: &Path) -> rustix::io::Result<Option<OwnedFd>> {
    if_netns(open_below(root, path, OPEN_FLAGS)?)
}

fn if_netns(file: OwnedFd) -> rustix::io::Result<Option<OwnedFd>> {
    Ok((fstatfs(&file)?.f_type == NSFS_MAGIC).then_some(file))
}

/// Whether two namespaces are the same one: namespaces(7) tells them apart by device and inode.
pub(crate) fn is_same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> Result<bool> {
    let identity = |netns| match fstat(netns) {
        Ok(stat) => Ok((stat.st_dev, stat.st_ino)),
        Err(errno) => Err(Error::Socket { action: "look at a namespace", source: errno.into() }),
    };
    Ok(identity(one)? == identity(other)?)
}

/// The calling thread's own namespace.
pub(crate) fn open_own() -> Result<OwnedFd> {
    open(Path::new(OWN))
}

/// Runs `work` in a namespace: the calling thread goes there and comes back, also when `work` panics.
/// Does none of the work when the namespace cannot be entered, and returns the reason.
///
/// The process is aborted if there is no way back: all that it would do from then on would befall the
/// wrong namespace.
pub(crate) fn within<T>(netns: BorrowedFd<'_>, work: impl FnOnce() -> T) -> io::Result<T> {
    let own = rustix::fs::open(OWN, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    set(netns)?;
    let _return = Return(own);
    Ok(work())
}

/// Moves the thread back when it is dropped, also when `work` panics.
struct Return(OwnedFd);

impl Drop for Return {
    fn drop(&mut self) {
        // The rights that led there (CAP_SYS_ADMIN) lead back, and the descriptor is ours.
        if set(self.0.as_fd()).is_err() {
            abort();
        }
    }
}

fn set(netns: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_that_leaves_the_directory_is_refused() {
        let long = "n".repeat(256);
        for name in ["", ".", "..", "a/b", "../x", "a\0b", &long] {
            assert!(NamedNetns::path_of(name).is_err(), "{name:?} was accepted");
            assert!(NamedNetns::find(name).is_err(), "{name:?} was looked for");
        }
        let path = NamedNetns::path_of("demo-bondpod1").unwrap();
        assert_eq!(path, Path::new("/run/netns/demo-bondpod1"));
    }

    #[test]
    fn only_namespaces_are_namespaces() {
        assert!(is_netns(Path::new("/proc/self/ns/net")));
        assert!(!is_netns(Path::new("/proc/self/status")));
        assert!(!is_netns(Path::new("/proc/self/ns/no-such")));
        let error = open(Path::new("/dev/null")).unwrap_err().to_string();
        assert!(error.starts_with("network namespace /dev/null: "), "{error}");
    }
}
