//! Identity of a network namespace: whether the namespace that a record names is still there.
//!
//! A path alone does not tell: a runtime gives it to the next pod, `/proc/<pid>/ns/net` is another
//! process' once the number is used again, and a mount namespace that does not see the node's mounts
//! shows an empty file where a namespace is alive.

use std::fs;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::fstat;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::link_monitor::NetnsNumber;
use crate::netlink::{self, Socket};
use crate::netns::{self, boot_id};
use crate::node_view::NodeView;
use crate::{Error, Result};

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
        Self::seen_by_node(path, |namespace| {
            match netns::open_own().and_then(|own| netns::is_same(own.as_fd(), namespace)) {
                Ok(true) => Self::Gone,
                Ok(false) => Self::Alive,
                Err(_) => Self::Unknown,
            }
        })
    }

    /// Returns the state of what the node has at a path; `of` returns that of a namespace. Where this process may see
    /// something else than the node, only what it sees alive is so: for all else the node's view is looked at, and it
    /// is unknown where that is hidden.
    fn seen_by_node(path: &Path, of: impl Fn(BorrowedFd<'_>) -> Self) -> Self {
        let state = |seen: Seen| match seen {
            Seen::Namespace(namespace) => of(namespace.as_fd()),
            Seen::Nothing => Self::Gone,
            Seen::Unreadable => Self::Unknown,
        };
        let own = state(Seen::of(netns::open_as_seen(path)));
        if !own.is_over() {
            return own;
        }
        match NodeView::of(path) {
            NodeView::Same => own,
            NodeView::Root(root) => state(Seen::of(netns::open_of_node(&root, path))),
            NodeView::Hidden => Self::Unknown,
        }
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
        NetnsState::seen_by_node(&self.path, |namespace| self.compare(namespace))
    }

    /// Returns the number of the namespace in the calling thread's, which it is given where it has none; none where
    /// the namespace is not at its path any more, or nobody can tell. Nothing of it stays open.
    pub fn number(&self) -> Result<Option<NetnsNumber>> {
        let Seen::Namespace(namespace) = Seen::of(netns::open_if_netns(&self.path)) else {
            return Ok(None);
        };
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
    fn of(opened: rustix::io::Result<Option<OwnedFd>>) -> Self {
        match opened {
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
        let expected = match NodeView::of(&path) {
            NodeView::Same | NodeView::Root(_) => NetnsState::Gone,
            NodeView::Hidden => NetnsState::Unknown,
        };
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
}
