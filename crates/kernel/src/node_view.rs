//! What the node has at the path of a network namespace, for a process that may see something else there: one in a
//! mount namespace of its own, as a container's.
//!
//! That a mount of this process receives what the node mounts proves nothing: it may be the mount of another folder,
//! as of `/run/netns` at `/var/run/netns` where the node's `/var/run` is no link to `/run`. What the first process sees
//! is what the node sees, and `/proc/1/root` leads there.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

/// The inode of the initial PID namespace: the kernel's `PROC_PID_INIT_INO`.
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// The root of the node's first process.
const NODE_ROOT: &str = "/proc/1/root";

/// How this process sees what the node has at a path.
#[derive(Debug)]
pub(crate) enum NodeView {
    /// It sees the same.
    Same,
    /// Below this root.
    Root(OwnedFd),
    /// Not at all: its first process is not the node's, or it may not look at that one.
    Hidden,
}

impl NodeView {
    /// Returns how this process sees what the node has at a path.
    pub(crate) fn of(path: &Path) -> Self {
        let inode = |path: &str| fs::metadata(path).ok().map(|metadata| metadata.ino());
        if inode("/proc/self/ns/pid") != Some(INITIAL_PID_NAMESPACE) {
            return Self::Hidden;
        }
        if path.starts_with("/proc") {
            return Self::Same;
        }
        let (own, first) = (inode("/proc/self/ns/mnt"), inode("/proc/1/ns/mnt"));
        if own.is_some() && own == first {
            return Self::Same;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(NODE_ROOT, flags, Mode::empty()).map_or(Self::Hidden, Self::Root)
    }
}

/// Opens a path below a root, which symbolic links do not leave either.
pub(crate) fn open_below(
    root: impl AsFd,
    path: &Path,
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn absolute_symbolic_link_stays_below_the_root() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("run/netns")).unwrap();
        fs::write(dir.path().join("run/netns/pod"), "the node's").unwrap();
        fs::create_dir(dir.path().join("var")).unwrap();
        symlink("/run", dir.path().join("var/run")).unwrap();
        let root = fs::File::open(dir.path()).unwrap();
        let found = open_below(&root, Path::new("/var/run/netns/pod"), OFlags::RDONLY).unwrap();
        assert_eq!(std::io::read_to_string(fs::File::from(found)).unwrap(), "the node's");
        assert!(open_below(&root, Path::new("/var/run/netns/other"), OFlags::RDONLY).is_err());
    }

    #[test]
    fn path_below_proc_is_the_nodes_where_the_processes_are() {
        let is_node = fs::metadata("/proc/self/ns/pid").unwrap().ino() == INITIAL_PID_NAMESPACE;
        let view = NodeView::of(Path::new("/proc/1/ns/net"));
        assert_eq!(matches!(view, NodeView::Same), is_node, "{view:?}");
    }
}
