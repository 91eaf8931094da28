use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

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
    /// inode; through a link, as those below `/proc` are, each look may make a new one, so that it says
    /// nothing there.
    made: Option<i64>,
}

impl NetnsRef {
    /// What is at this path now.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let is_link = fs::symlink_metadata(path)?.is_symlink();
        let seconds = metadata.ctime().saturating_mul(1_000_000_000);
        let made = seconds.saturating_add(metadata.ctime_nsec());
        Ok(Self {
            path: path.to_owned(),
            // Without /proc there is nothing to compare, and nothing to be confused with either.
            boot: podbond_kernel::boot_id().unwrap_or_default(),
            inode: metadata.ino(),
            made: Some(made).filter(|_| !is_link),
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_to_a_namespace_leads_to_the_same_one_however_often_it_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("pod");
        symlink("/proc/self/ns/net", &link).unwrap();
        for path in [Path::new("/proc/self/ns/net"), &link] {
            let seen = NetnsRef::of(path).unwrap();
            // The kernel forgets an inode that nobody looks at.
            for _ in 0..10 {
                std::thread::sleep(std::time::Duration::from_millis(10));
                assert!(seen.is_same() && !seen.is_gone(), "{}", path.display());
            }
        }
        let seen = NetnsRef::of(&link).unwrap();
        fs::remove_file(&link).unwrap();
        assert!(seen.is_gone());
    }

    #[test]
    fn another_namespace_in_the_same_place_is_not_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pod");
        fs::write(&path, "").unwrap();
        let seen = NetnsRef::of(&path).unwrap();
        assert!(seen.is_same());
        fs::write(dir.path().join("next"), "").unwrap();
        fs::rename(dir.path().join("next"), &path).unwrap();
        assert!(seen.is_gone());
    }
}
