use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FileType, FlockOperation, OFlags, flock, fstat};
use rustix::io::Errno;

use crate::holder::{Place, shown};
use crate::{Error, make_dir};

/// How often a lock is tried again at first; each time after twice as long, up to the last.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(16)];

/// While it lives, no other process has the same lock. The kernel gives it back when its process
/// ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    /// Closing it gives the lock back.
    file: File,
    /// The file's path, where it goes with the lock.
    passing: Option<PathBuf>,
}

impl Lock {
    /// Takes the lock (flock(2)) on a file, which is made if need be, with its directory, and stays.
    /// Waits until the one who has it has had it for `patience`, and then tells who that is: in a
    /// queue that moves on, one waits for as long as it takes.
    ///
    /// On a file system that is read-only the file itself is enough, or else its directory.
    pub fn take(path: &Path, patience: Duration) -> Result<Self, Error> {
        Ok(Self { file: locked(path, patience)?, passing: None })
    }

    /// The same for something that comes and goes: the file goes when the lock is given back. One
    /// who is killed leaves it, for whoever takes the lock next.
    pub fn take_passing(path: &Path, patience: Duration) -> Result<Self, Error> {
        loop {
            let file = locked(path, patience)?;
            let stat = fstat(&file).map_err(|errno| Error::file("lock", path)(errno.into()))?;
            if FileType::from_raw_mode(stat.st_mode).is_dir() {
                // Where no file can be made there is none to be removed.
                return Ok(Self { file, passing: None });
            }
            // The one who had it may have removed the file that we waited for: that lock is nobody's.
            if stat.st_nlink > 0 {
                return Ok(Self { file, passing: Some(path.to_owned()) });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Only as long as it is ours: without the file, the next one makes and locks another.
        if let Some(path) = &self.passing
            && fstat(&self.file).is_ok_and(|stat| stat.st_nlink > 0)
        {
            // One that stays is in nobody's way.
            let _ = fs::remove_file(path);
        }
    }
}

/// The file, once its lock is ours.
fn locked(path: &Path, patience: Duration) -> Result<File, Error> {
    let failed = Error::file("lock", path);
    let file = open(path)?;
    let place = Place::of(&file);
    let mut pause = PAUSES[0];
    // The one waited for, and since when.
    let mut waiting: Option<(u32, Instant)> = None;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
        let pid = place.holder();
        match waiting {
            Some((before, since)) if before == pid => {
                if since.elapsed() >= patience {
                    let (seconds, holder) = (patience.as_secs(), shown(pid));
                    return Err(Error::Locked { path: path.to_owned(), seconds, holder });
                }
            }
            _ => waiting = Some((pid, Instant::now())),
        }
        std::thread::sleep(pause);
        pause = (2 * pause).min(PAUSES[1]);
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let make = || {
        let mut open = OpenOptions::new();
        // A link may lead elsewhere, and a pipe waits for a reader: neither is a lock of ours.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        open.create(true).append(true).mode(0o600).custom_flags(flags.bits().cast_signed());
        let file = open.open(path);
        file.map_err(Error::file("lock", path))
    };
    let opened = make().or_else(|error| match (error.errno(), path.parent()) {
        (Some(Errno::NOENT), Some(parent)) => make_dir(parent).and_then(|()| make()),
        _ => Err(error),
    });
    opened.or_else(|error| match error.errno() {
        Some(Errno::ROFS | Errno::ISDIR) => open_as_it_is(path).map_err(Error::file("lock", path)),
        _ => Err(error),
    })
}

/// What is there of a path that cannot be made: the last of it.
fn open_as_it_is(path: &Path) -> io::Result<File> {
    match (File::open(path), path.parent()) {
        (Err(error), Some(parent)) if error.kind() == ErrorKind::NotFound => open_as_it_is(parent),
        (opened, _) => opened,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const SHORT: Duration = Duration::from_millis(30);

    #[test]
    fn one_has_a_lock_at_a_time_and_who_waits_too_long_is_told_who() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/lock");
        let lock = Lock::take(&path, SHORT).unwrap();
        let error = Lock::take(&path, SHORT).unwrap_err().to_string();
        let us = format!("lock is locked since more than 0 s by process {} (", std::process::id());
        assert!(error.contains(&us), "{error}");
        drop(lock);
        Lock::take(&path, SHORT).unwrap();
    }

    #[test]
    fn a_passing_lock_leaves_no_file_and_is_one_for_all_who_wait() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/lock");
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
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

    #[test]
    fn who_was_killed_with_a_passing_lock_keeps_nobody_from_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        fs::write(&path, "").unwrap();
        drop(Lock::take_passing(&path, SHORT).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_in_the_locks_place_is_locked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        fs::create_dir(&path).unwrap();
        let _lock = Lock::take(&path, SHORT).unwrap();
        assert!(matches!(Lock::take(&path, SHORT), Err(Error::Locked { .. })));
    }

    #[test]
    fn no_link_is_followed_to_a_lock_and_no_pipe_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("lock"), dir.path().join("other"));
        std::os::unix::fs::symlink(&other, &path).unwrap();
        let error = Lock::take(&path, SHORT).unwrap_err();
        assert_eq!((error.errno(), other.exists()), (Some(Errno::LOOP), false));
        fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into()).unwrap();
        assert_eq!(Lock::take(&path, SHORT).unwrap_err().errno(), Some(Errno::NXIO));
    }

    #[test]
    fn what_cannot_be_made_is_locked_by_what_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let opened = open_as_it_is(&dir.path().join("a/b/lock")).unwrap();
        let inode = |metadata: io::Result<fs::Metadata>| metadata.unwrap().ino();
        assert_eq!(inode(opened.metadata()), inode(fs::metadata(dir.path())));
    }
}
