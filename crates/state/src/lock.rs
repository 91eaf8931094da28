use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock, major, minor};
use rustix::io::Errno;

use crate::error::LockHolder;
use crate::{Error, make_dir};

/// How often a lock is tried again at first; each time after twice as long, up to the last.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(16)];

/// While it lives, no other process has the same lock. The kernel gives it back when its process
/// ends, however it ends. The file stays: removing it would let two processes lock two files.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "closing the file gives the lock back")] File);

impl Lock {
    /// Takes the lock (flock(2)) on a file, which is made if need be, with its directory. Waits at
    /// most `patience`, and then tells who has it.
    pub fn take(path: &Path, patience: Duration) -> Result<Self, Error> {
        let failed = Error::file("lock", path);
        if let Some(dir) = path.parent() {
            make_dir(dir)?;
        }
        let mut open = OpenOptions::new();
        let file = open.create(true).append(true).mode(0o600).open(path).map_err(&failed)?;
        let start = Instant::now();
        let mut pause = PAUSES[0];
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(file)),
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(errno) => return Err(failed(errno.into())),
            }
            if start.elapsed() >= patience {
                let seconds = patience.as_secs();
                let holder = holder(&file);
                return Err(Error::Locked { path: path.to_owned(), seconds, holder });
            }
            std::thread::sleep(pause);
            pause = (2 * pause).min(PAUSES[1]);
        }
    }
}

/// Who has the lock on a file: the kernel lists them with device and inode.
fn holder(file: &File) -> LockHolder {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let pid = file.metadata().ok().and_then(|metadata| {
        let (device, inode) = (metadata.dev(), metadata.ino());
        let file = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
        holder_in(&locks, &file)
    });
    let pid = pid.unwrap_or(0);
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned();
    LockHolder { pid, command }
}

/// The process that holds a lock in a text like `/proc/locks`:
/// `1: FLOCK  ADVISORY  WRITE 708 08:01:131 0 EOF`. Those that wait have `->` after the number.
fn holder_in(locks: &str, file: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [_, "FLOCK", _, _, pid, place, ..] if place == file => pid.parse().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
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
    fn whoever_waits_holds_nothing() {
        let locks = "1: POSIX  ADVISORY  WRITE 1 08:01:7 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 2 08:01:7 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 3 08:01:77 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 4 08:01:7 0 EOF\n";
        assert_eq!(holder_in(locks, "08:01:7"), Some(4));
        assert_eq!(holder_in(locks, "08:01:8"), None);
    }
}
