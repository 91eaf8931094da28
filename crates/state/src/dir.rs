//! The directory of a file, opened without following a link in its place. What is done through it happens
//! in that directory, whatever somebody puts under its name meanwhile.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Where the kernel shows what this process has open.
const OPEN: &str = "/proc/self/fd";

/// A directory.
pub(crate) struct Dir(File);

impl Dir {
    /// Opens a directory. Fails with `ENOTDIR` for a symbolic link, too, but for those of `/proc/self/fd`:
    /// the caller holds that directory open, and nobody can put another one in its place.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let is_open = path.parent() == Some(Path::new(OPEN));
        let follow = if is_open { OFlags::empty() } else { OFlags::NOFOLLOW };
        let flags = OFlags::DIRECTORY | OFlags::PATH | follow;
        let mut options = OpenOptions::new();
        // A trailing slash would follow a link.
        let path: PathBuf = path.components().collect();
        options.read(true).custom_flags(flags.bits().cast_signed()).open(path).map(Self)
    }

    /// Opens the directory that holds a file.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        Self::open(path.parent().unwrap_or(Path::new("/")))
    }

    /// Returns a path that leads to this directory, as long as it is open.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new(OPEN).join(self.0.as_raw_fd().to_string())
    }

    /// Returns a path that leads to a file of this directory, as long as it is open.
    pub(crate) fn at(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path().join(name.as_ref())
    }

    /// Returns the same for the file at this path, whose directory this is.
    pub(crate) fn at_name_of(&self, path: &Path) -> PathBuf {
        self.at(path.file_name().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn directory_is_the_one_that_was_opened() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("d");
        fs::create_dir(&path).unwrap();
        let dir = Dir::of(&path.join("file")).unwrap();
        let again = Dir::of(&dir.at("file")).unwrap();
        fs::rename(&path, temp.path().join("moved")).unwrap();
        symlink("/proc", &path).unwrap();
        fs::write(again.at("file"), "x").unwrap();
        assert_eq!(fs::read(temp.path().join("moved/file")).unwrap(), b"x");
        for path in [&path, &path.join("")] {
            let error = Dir::open(path).map(drop).unwrap_err();
            assert_eq!(Errno::from_io_error(&error), Some(Errno::NOTDIR));
        }
    }
}
