//! Identity of a network namespace: whether the namespace that a record names is still there.
//!
//! A path alone does not tell: a runtime gives it to the next pod, `/proc/<pid>/ns/net` is another
//! process' once the number is used again, and a mount namespace that does not see the node's mounts
//! shows an empty file where a namespace is alive.

use std::fs;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::fstat;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::link_monitor::NetnsNumber;
use crate::netlink::{self, Socket};
use crate::netns::{self, boot_id};
use crate::{Error, Result};

/// The inode of the initial PID namespace: the kernel's `PROC_PID_INIT_INO`.
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// A network namespace as a record remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetnsIdentity {
    /// The path given as `CNI_NETNS`.
    pub path: PathBuf,
    /// The boot in which it was seen: no namespace outlives its kernel.
    boot: String,
    device: u64,
    /// The inode number, which the kernel uses again.
    inode: u64,
    /// The kernel's own number of the namespace, which it uses once in a boot (`SO_NETNS_COOKIE`,
    /// Linux 5.14).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cookie: Option<NonZeroU64>,
    /// When the inode changed last, in ns since 1970, where there is no cookie and the path is no
    /// symbolic link: each look through one, as those of `/proc`, may make a new inode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed: Option<i64>,
}

/// What has become of a recorded network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetnsState {
    /// The path leads to it.
    Alive,
    /// Nothing that is a namespace is at its path, or the node was restarted since.
    Gone,
    /// Another namespace is at its path.
    Another,
    /// Nobody can tell: what belongs to it must be left alone.
    Unknown,
}

impl NetnsState {
    /// Returns whether the namespace is certainly not at its path any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Gone | Self::Another)
    }

    /// Returns the state of a namespace of which only the path is known, as sriov-cni's claims tell
    /// it. A path that leads to the calling process' own namespace, the node's, is no pod's any more.
    pub fn of_path(path: &Path) -> Self {
        if !path.is_absolute() {
            // Nobody wrote this as the path of a namespace.
            return Self::Gone;
        }
        let state = match Seen::at(path) {
            Seen::Namespace(namespace) => {
                match netns::open_own()
                    .and_then(|own| netns::is_same(own.as_fd(), namespace.as_fd()))
                {
                    Ok(true) => Self::Gone,
                    Ok(false) => Self::Alive,
                    Err(_) => Self::Unknown,
                }
            }
            Seen::Nothing => Self::Gone,
            Seen::Unreadable => Self::Unknown,
        };
        state.as_far_as_visible(path)
    }

    /// Returns the same, or unknown where the path may show this process something else than it shows
    /// the node.
    fn as_far_as_visible(self, path: &Path) -> Self {
        if self.is_over() && !sees_node(path) { Self::Unknown } else { self }
    }
}

impl NetnsIdentity {
    /// Returns the identity of the namespace at a path; an error where there is none.
    pub fn of(path: &Path) -> Result<Self> {
        let namespace = netns::open(path)?;
        let cookie = cookie(namespace.as_fd())?;
        Self::of_open(path, namespace.as_fd(), cookie)
    }

    /// Returns the identity of a namespace that is open, was opened by this path and has this cookie.
    pub(crate) fn of_open(
        path: &Path,
        namespace: BorrowedFd<'_>,
        cookie: Option<NonZeroU64>,
    ) -> Result<Self> {
        let stat = fstat(namespace).map_err(|errno| cannot_look(path, errno))?;
        let changed = match cookie {
            Some(_) => None,
            None if is_symlink(path) => None,
            None => {
                Some(stat.st_ctime.saturating_mul(1_000_000_000) + stat.st_ctime_nsec.cast_signed())
            }
        };
        Ok(Self {
            path: path.to_owned(),
            boot: boot_id()?,
            device: stat.st_dev,
            inode: stat.st_ino,
            cookie,
            changed,
        })
    }

    /// Returns whether the namespace was seen since the node was started last. False also where the
    /// kernel does not tell its boot ID.
    pub fn is_of_this_boot(&self) -> bool {
        boot_id().is_ok_and(|boot| boot == self.boot)
    }

    /// Returns what has become of the namespace.
    pub fn state(&self) -> NetnsState {
        match boot_id() {
            Ok(boot) if boot == self.boot => {}
            Ok(_) => return NetnsState::Gone,
            Err(_) => return NetnsState::Unknown,
        }
        let state = match Seen::at(&self.path) {
            Seen::Namespace(namespace) => self.compare(namespace.as_fd()),
            Seen::Nothing => NetnsState::Gone,
            Seen::Unreadable => NetnsState::Unknown,
        };
        state.as_far_as_visible(&self.path)
    }

    /// Returns the number of the namespace in the calling thread's, which it is given where it has none; none where
    /// the namespace is not at its path any more, or nobody can tell. Nothing of it stays open.
    pub fn number(&self) -> Result<Option<NetnsNumber>> {
        let Seen::Namespace(namespace) = Seen::at(&self.path) else { return Ok(None) };
        if !self.is_of_this_boot() || self.compare(namespace.as_fd()) != NetnsState::Alive {
            return Ok(None);
        }
        let mut socket = Socket::open()?;
        let action = format_args!("ask for the number of a network namespace");
        let ask = netlink::id_of(namespace.as_fd());
        if let Some(number) = socket.ask(&action, &ask, netlink::read_id)? {
            return Ok(Some(NetnsNumber::new(number)));
        }
        let give = netlink::assign_id(namespace.as_fd());
        match socket.change(&"give a network namespace a number", &give, 0) {
            Ok(()) => {}
            // Another process was faster.
            Err(error) if error.errno() == Some(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        Ok(socket.ask(&action, &ask, netlink::read_id)?.map(NetnsNumber::new))
    }

    fn compare(&self, namespace: BorrowedFd<'_>) -> NetnsState {
        match fstat(namespace) {
            Ok(stat) if (stat.st_dev, stat.st_ino) == (self.device, self.inode) => {}
            Ok(_) => return NetnsState::Another,
            Err(_) => return NetnsState::Unknown,
        }
        let cookie = match self.cookie {
            None => None,
            Some(_) => match cookie(namespace) {
                Ok(Some(cookie)) => Some(cookie),
                // It cannot be entered, or the kernel that runs now has no cookies.
                Ok(None) | Err(_) => return NetnsState::Unknown,
            },
        };
        match Self::of_open(&self.path, namespace, cookie) {
            Ok(now) if now == *self => NetnsState::Alive,
            Ok(_) => NetnsState::Another,
            Err(_) => NetnsState::Unknown,
        }
    }
}

/// What is at the path of a namespace.
enum Seen {
    Namespace(OwnedFd),
    /// Nothing, or a file that is no namespace.
    Nothing,
    Unreadable,
}

impl Seen {
    fn at(path: &Path) -> Self {
        match netns::open_if_netns(path) {
            Ok(Some(namespace)) => Self::Namespace(namespace),
            // The last two: longer than a path can be, or with NUL in it.
            Ok(None) | Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::INVAL) => {
                Self::Nothing
            }
            Err(_) => Self::Unreadable,
        }
    }
}

/// Returns the kernel's own number of a namespace; none before Linux 5.14.
fn cookie(namespace: BorrowedFd<'_>) -> Result<Option<NonZeroU64>> {
    let socket = netns::within(namespace, Socket::open)
        .map_err(|source| Error::Socket { action: "enter a network namespace", source })??;
    Ok(socket.netns_cookie())
}

fn cannot_look(path: &Path, errno: Errno) -> Error {
    let source = errno.into();
    Error::File { action: "look at", path: path.to_owned(), source }
}

fn is_symlink(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}

/// Returns whether this process sees at a path what the node sees there: it is in PID 1's mount
/// namespace and in the initial PID namespace, or the mount of the path's folder receives what is
/// mounted on the node (`master:` in `/proc/self/mountinfo`). That the mount is shared itself, as every
/// mount of a container may be, proves nothing.
fn sees_node(path: &Path) -> bool {
    let inode = |path: &str| fs::metadata(path).ok().map(|metadata| metadata.ino());
    if inode("/proc/self/ns/pid") == Some(INITIAL_PID_NAMESPACE) {
        if path.starts_with("/proc") {
            return true;
        }
        let (own, first) = (inode("/proc/self/ns/mnt"), inode("/proc/1/ns/mnt"));
        if own.is_some() && own == first {
            return true;
        }
    }
    let folder = path.parent().and_then(|folder| fs::canonicalize(folder).ok());
    let mounts = fs::read_to_string("/proc/self/mountinfo");
    match (folder, mounts) {
        (Some(folder), Ok(mounts)) => receives_propagation(&mounts, &folder),
        _ => false,
    }
}

/// Returns whether the mount that holds a folder is a slave of another (`master:`), in a text like
/// `/proc/self/mountinfo`: `128 28 0:25 / /run/netns rw shared:5 master:3 - tmpfs tmpfs rw`.
fn receives_propagation(mounts: &str, folder: &Path) -> bool {
    let mut covering: Option<(usize, bool)> = None;
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let Some(mount_point) = fields.get(4) else { continue };
        let mount_point = Path::new(mount_point);
        if !folder.starts_with(mount_point) {
            continue;
        }
        let options = fields.iter().skip(6).take_while(|field| **field != "-");
        let is_slave = options.into_iter().any(|field| field.starts_with("master:"));
        let depth = mount_point.components().count();
        // The last of those at one point lies on top.
        if covering.is_none_or(|(deepest, _)| depth >= deepest) {
            covering = Some((depth, is_slave));
        }
    }
    covering.is_some_and(|(_, is_slave)| is_slave)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The own namespace by another path, as a pod's would be.
    fn linked() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pod");
        symlink("/proc/self/ns/net", &path).unwrap();
        (dir, path)
    }

    #[test]
    fn namespace_is_alive_while_its_path_leads_to_it() {
        let (_dir, path) = linked();
        let identity = NetnsIdentity::of(&path).unwrap();
        assert_eq!(identity.state(), NetnsState::Alive);
        assert!(identity.is_of_this_boot());
        let json = serde_json::to_string(&identity).unwrap();
        assert_eq!(serde_json::from_str::<NetnsIdentity>(&json).unwrap(), identity);
    }

    /// Promise: namespace-identity
    #[test]
    fn namespace_of_an_earlier_boot_is_gone() {
        let (_dir, path) = linked();
        let identity =
            NetnsIdentity { boot: "earlier".to_owned(), ..NetnsIdentity::of(&path).unwrap() };
        assert_eq!(identity.state(), NetnsState::Gone);
        assert!(!identity.is_of_this_boot());
    }

    /// Promise: namespace-identity
    #[test]
    fn inode_cookie_and_time_tell_another_namespace() {
        let (_dir, path) = linked();
        let identity = NetnsIdentity::of(&path).unwrap();
        let namespace = netns::open(&path).unwrap();
        let inode = NetnsIdentity { inode: identity.inode + 1, ..identity.clone() };
        assert_eq!(inode.compare(namespace.as_fd()), NetnsState::Another);
        // Where the namespace cannot be entered its cookie cannot be compared.
        let reused = NetnsIdentity { cookie: NonZeroU64::new(u64::MAX), ..identity.clone() };
        let expected = match identity.cookie {
            Some(_) => NetnsState::Another,
            None => NetnsState::Unknown,
        };
        assert_eq!(reused.compare(namespace.as_fd()), expected);
        let changed = NetnsIdentity { cookie: None, changed: Some(1), ..identity };
        assert_eq!(changed.compare(namespace.as_fd()), NetnsState::Another);
    }

    /// Promise: namespace-unknown
    #[test]
    fn missing_path_or_plain_file_is_gone_only_where_the_node_is_seen() {
        let (dir, path) = linked();
        let identity = NetnsIdentity::of(&path).unwrap();
        let expected = if sees_node(&path) { NetnsState::Gone } else { NetnsState::Unknown };
        fs::remove_file(&path).unwrap();
        assert_eq!(identity.state(), expected);
        fs::write(&path, "").unwrap();
        assert_eq!((identity.state(), NetnsState::of_path(&path)), (expected, expected));
        let missing = dir.path().join("no-such/pod");
        assert!(matches!(NetnsState::of_path(&missing), NetnsState::Gone | NetnsState::Unknown));
    }

    /// Promise: namespace-unknown
    #[test]
    fn unreadable_path_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("circle");
        symlink(&path, &path).unwrap();
        assert_eq!(NetnsState::of_path(&path), NetnsState::Unknown);
    }

    #[test]
    fn claim_that_leads_to_the_own_namespace_is_gone() {
        let state = NetnsState::of_path(Path::new("/proc/self/ns/net"));
        assert!(matches!(state, NetnsState::Gone | NetnsState::Unknown));
        for text in ["", "\0\0", "proc/self/ns/net"] {
            assert_eq!(NetnsState::of_path(Path::new(text)), NetnsState::Gone, "{text:?}");
        }
    }

    #[test]
    fn only_a_slave_mount_receives_propagation() {
        let mounts = "22 28 0:21 / /proc rw shared:5 - proc proc rw\n\
                      28 1 0:25 / / rw,relatime shared:1 master:9 - overlay overlay rw\n\
                      30 28 0:26 / /run rw shared:7 - tmpfs tmpfs rw\n\
                      31 30 0:26 /netns /run/netns rw shared:8 master:3 - tmpfs tmpfs rw\n";
        assert!(receives_propagation(mounts, Path::new("/run/netns")));
        assert!(!receives_propagation(mounts, Path::new("/run/other")), "shared alone");
        assert!(!receives_propagation(mounts, Path::new("/run/netnsx")), "no prefix of a name");
        assert!(receives_propagation(mounts, Path::new("/var/run")), "the root's own");
        let over = format!("{mounts}40 31 0:27 / /run/netns rw - tmpfs tmpfs rw\n");
        assert!(!receives_propagation(&over, Path::new("/run/netns")), "the mount on top counts");
    }
}
