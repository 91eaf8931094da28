use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A network namespace as a record remembers it: its path, and what tells it from a later
/// namespace at the same path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetnsRef {
    /// The path given as `CNI_NETNS`.
    pub path: PathBuf,
    /// `/proc/sys/kernel/random/boot_id`: no namespace outlives its boot.
    boot: String,
    /// The inode number; the kernel reuses it.
    inode: u64,
    /// When the inode was made, in ns since 1970: a mounted namespace keeps its inode.
    made: i128,
}

impl NetnsRef {
    /// What is at this path now.
    pub(crate) fn of(path: &Path) -> std::io::Result<Self> {
        let _ = path;
        todo!()
    }

    /// Whether the path still leads to the same namespace.
    pub(crate) fn is_same(&self) -> bool {
        Self::of(&self.path).is_ok_and(|now| now == *self)
    }
}
