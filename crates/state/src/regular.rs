//! Opening a file only if it is a regular one, in a directory to which others have access: no link is
//! followed, no pipe waited for, and no device opened, which may do something by that alone.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// What an existing file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To read it.
    Read,
    /// To append to it.
    Append,
}

/// Returns the file at a path; none where something else is: a link, a directory, a pipe, a socket, a
/// device. An error of kind `NotFound` says that nothing is. What it is cannot change between the look and
/// the opening, even where others may write to the directory.
pub fn open_regular(path: &Path, access: Access) -> io::Result<Option<File>> {
    // This opens nothing: it only holds on to what is at the path.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let here = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !here.metadata()?.is_file() {
        return Ok(None);
    }
    let mut options = OpenOptions::new();
    match access {
        Access::Read => options.read(true),
        Access::Append => options.append(true),
    };
    // Another process may have a lease on the file (`F_SETLEASE`), which open(2) would wait for.
    options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    options.open(format!("/proc/self/fd/{}", here.as_raw_fd())).map(Some)
}

/// Opens a file to append to it, and creates it with this mode where nothing is. None where something else
/// than a regular file is.
pub(crate) fn open_or_create(path: &Path, mode: u32) -> io::Result<Option<File>> {
    loop {
        match open_regular(path, Access::Append) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => return opened,
        }
        match OpenOptions::new().append(true).create_new(true).mode(mode).open(path) {
            // Somebody else was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => return created.map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, mkfifoat};

    use super::*;

    /// Promise: no-link-followed
    #[test]
    fn only_a_regular_file_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("file"), "x").unwrap();
        symlink(path("file"), path("link")).unwrap();
        mkfifoat(CWD, path("pipe"), 0o600.into()).unwrap();
        fs::create_dir(path("dir")).unwrap();
        assert!(open_regular(&path("file"), Access::Read).unwrap().is_some());
        let others = ["link", "pipe", "dir"].map(path);
        // To open the terminal of a process without one fails: that it does not shows that nothing is opened.
        for other in others.iter().map(AsRef::as_ref).chain([Path::new("/dev/tty")]) {
            for access in [Access::Read, Access::Append] {
                assert!(open_regular(other, access).unwrap().is_none(), "{}", other.display());
            }
            assert!(open_or_create(other, 0o600).unwrap().is_none());
        }
        assert_eq!(
            open_regular(&path("none"), Access::Read).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert!(open_or_create(&path("none"), 0o600).unwrap().is_some());
    }
}
