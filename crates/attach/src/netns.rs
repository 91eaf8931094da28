use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Changes with every boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A network namespace as a record remembers it: its path, and what tells it from a later
/// namespace at the same path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetnsRef {
    /// The path given as `CNI_NETNS`.
    pub path: PathBuf,
    /// No namespace outlives its boot.
    boot: String,
    /// The inode number, which the kernel gives again to a later namespace.
    inode: u64,
    /// When the inode was made, in ns since 1970. A namespace that is mounted at its path keeps its
    /// inode; below `/proc` each look may make a new one, so that it says nothing there.
    made: Option<i64>,
}

impl NetnsRef {
    /// What is at this path now.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let seconds = metadata.ctime().saturating_mul(1_000_000_000);
        let made = seconds.saturating_add(metadata.ctime_nsec());
        Ok(Self {
            path: path.to_owned(),
            // Without /proc there is nothing to compare, and nothing to be confused with either.
            boot: fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned(),
            inode: metadata.ino(),
            made: Some(made).filter(|_| !path.starts_with("/proc")),
        })
    }

    /// What was at this path and is not any more, or is at least not known to be the same.
    pub(crate) fn gone(path: &Path) -> Self {
        Self { path: path.to_owned(), boot: String::new(), inode: 0, made: None }
    }

    /// Whether the path still leads to the same namespace.
    pub fn is_same(&self) -> bool {
        Self::of(&self.path).is_ok_and(|now| now == *self)
    }

    /// Whether the namespace is certainly not there any more. What cannot be looked at is not
    /// thereby gone: this is asked before something is taken away.
    pub fn is_gone(&self) -> bool {
        match Self::of(&self.path) {
            Ok(now) if now.boot.is_empty() => false,
            Ok(now) => now != *self,
            Err(error) => {
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
            }
        }
    }
}
