//! Advisory file locks (flock(2)) with a timeout, whose error names the process that holds the lock.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{fstat, major, minor};
use rustix::io::Errno;

use crate::Error;
use crate::dir::Dir;
use crate::error::LockHolder;
use crate::file::make_dir_of;
use crate::regular::{Access, open_or_create, open_regular};

/// How long to wait before a lock is tried again: at first, and at most. Each wait is twice the last.
const INTERVALS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(16)];

/// The mode of a lock's file.
const MODE: u32 = 0o600;

/// A lock that is held. Dropping it releases the lock, and so does the kernel when the process ends,
/// however it ends.
#[derive(Debug)]
pub struct Lock {
    /// Closing it releases the lock.
    file: File,
    /// The file's path, if the file is to be removed with the lock.
    passing: Option<PathBuf>,
}

impl Lock {
    /// Takes the lock on a file, which is created if there is none, with its directory, and stays. On
    /// a file system that is read-only an existing file is enough, or else the directory that would
    /// hold it.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process holds the lock at the end of `timeout`.
    pub fn take(path: &Path, timeout: Duration) -> Result<Self, Error> {
        let file = lock(path, timeout, Instant::now() + timeout)?;
        Ok(Self { file, passing: None })
    }

    /// The same for a lock on something that comes and goes: the file is removed when the lock is
    /// released. A killed process leaves it for the next one that takes the lock.
    pub fn take_passing(path: &Path, timeout: Duration) -> Result<Self, Error> {
        let deadline = Instant::now() + timeout;
        loop {
            let file = lock(path, timeout, deadline)?;
            let metadata = file.metadata().map_err(Error::file("lock", path))?;
            if !metadata.is_file() {
                // The directory of a read-only file system.
                return Ok(Self { file, passing: None });
            }
            // The last holder may have removed the file: others lock the one that is there now.
            if is_linked(&file) {
                return Ok(Self { file, passing: Some(path.to_owned()) });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Only the file that is locked: another one may be at its path, locked by another process.
        if let Some(path) = &self.passing
            && is_linked(&self.file)
        {
            // One that stays does no harm.
            let _ = Dir::of(path).and_then(|dir| fs::remove_file(dir.at_name_of(path)));
        }
    }
}

/// Returns true for a file that has a name.
fn is_linked(file: &File) -> bool {
    fstat(file).is_ok_and(|stat| stat.st_nlink > 0)
}

/// Opens a file and locks it; `timeout` is what the error says of `deadline`.
fn lock(path: &Path, timeout: Duration, deadline: Instant) -> Result<File, Error> {
    let file = open(path)?;
    let mut interval = INTERVALS[0];
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(Error::file("lock", path)(error)),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                let (seconds, holder) = (timeout.as_secs(), holder(&file));
                return Err(Error::Locked { path: path.to_owned(), seconds, holder });
            }
            Err(TryLockError::WouldBlock) => sleep(interval),
        }
        interval = (2 * interval).min(INTERVALS[1]);
    }
}

/// Opens the file of a lock, which is created if there is none. A link, a pipe or a device in its place
/// is an error, and is not opened.
fn open(path: &Path) -> Result<File, Error> {
    let opened = match make_dir_of(path) {
        Ok(dir) => match open_or_create(&dir.at_name_of(path), MODE) {
            Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => open_existing(path),
            opened => opened,
        },
        Err(error) if error.errno() == Some(Errno::ROFS) => open_existing(path),
        Err(error) => return Err(error),
    };
    let opened = opened.map_err(Error::file("lock", path))?;
    opened.ok_or_else(|| Error::NotRegular { path: path.to_owned() })
}

/// Opens a file, or the nearest directory above it that exists. None where something else than a regular
/// file is.
fn open_existing(path: &Path) -> io::Result<Option<File>> {
    match open_regular(path, Access::Read) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        opened => return opened,
    }
    for dir in path.ancestors().skip(1) {
        match Dir::open(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => return File::open(opened?.path()).map(Some),
        }
    }
    Err(ErrorKind::NotFound.into())
}

/// Returns the process that holds the lock on a file, as `/proc/locks` shows it: by device and inode.
/// They are not those of fstat(2) on a btrfs subvolume, where the process stays unknown.
fn holder(file: &File) -> LockHolder {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let pid = fstat(file).ok().and_then(|stat| {
        let [major, minor] = [major(stat.st_dev), minor(stat.st_dev)];
        holder_in(&locks, &format!("{major:02x}:{minor:02x}:{}", stat.st_ino))
    });
    let Some(pid) = pid else { return LockHolder { pid: 0, command: String::new() } };
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned();
    LockHolder { pid, command }
}

/// Returns the process that holds a lock in the text of `/proc/locks`:
/// `1: FLOCK  ADVISORY  WRITE 708 08:01:131 0 EOF`. One that waits has `->` after the number.
fn holder_in(locks: &str, file: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [_, "FLOCK", _, _, pid, locked, ..] if locked == file => pid.parse().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    const SHORT: Duration = Duration::from_millis(30);

    /// Promise: lock-names-holder
    #[test]
    fn timeout_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/lock");
        let lock = Lock::take(&path, SHORT).unwrap();
        let error = Lock::take(&path, SHORT).unwrap_err().to_string();
        let pid = std::process::id();
        let expected = format!("lock is locked by process {pid} (");
        assert!(error.contains(&expected), "{error}");
        drop(lock);
        Lock::take(&path, SHORT).unwrap();
    }

    #[test]
    fn waiting_process_is_not_the_holder() {
        let locks = "1: POSIX  ADVISORY  WRITE 1 08:01:7 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 2 08:01:7 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 3 08:01:77 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 4 08:01:7 0 EOF\n";
        assert_eq!(holder_in(locks, "08:01:7"), Some(4));
        assert_eq!(holder_in(locks, "08:01:8"), None);
    }

    #[test]
    fn passing_lock_is_exclusive_and_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/lock");
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let _lock = Lock::take_passing(&path, Duration::from_mins(1)).unwrap();
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!((most.into_inner(), path.exists()), (1, false));
    }

    /// Promise: lock-names-holder
    #[test]
    fn passing_lock_of_a_killed_process_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        fs::write(&path, "").unwrap();
        drop(Lock::take_passing(&path, SHORT).unwrap());
        assert!(!path.exists());
    }

    /// Promise: no-link-followed
    #[test]
    fn directory_link_and_pipe_are_not_locked() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("lock"), dir.path().join("other"));
        let refused = || Lock::take(&path, SHORT).unwrap_err();
        let not_regular = Error::NotRegular { path: path.clone() };
        fs::create_dir(&path).unwrap();
        assert_eq!(refused(), not_regular);
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert_eq!((refused(), other.exists()), (not_regular.clone(), false));
        fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into()).unwrap();
        assert_eq!(refused(), not_regular);
    }

    #[test]
    fn nearest_directory_is_opened_where_no_file_can_be_created() {
        let dir = tempfile::tempdir().unwrap();
        let opened = open_existing(&dir.path().join("a/b/lock")).unwrap().unwrap();
        let inode = |metadata: io::Result<fs::Metadata>| metadata.unwrap().ino();
        assert_eq!(inode(opened.metadata()), inode(fs::metadata(dir.path())));
    }
}
