//! How an index knows that nobody else has changed the leases.
//!
//! Whoever adds or removes a file changes the time of its directory, and the kernel takes that time
//! from its clock. After each change of ours, the directory of the leases and that of the index are
//! both given one time that no such change has: they agree until anybody changes either of them, and
//! a process that is killed in between leaves them different.
//!
//! Two directories that are changed within one tick of the kernel's clock have one time as well. So the
//! index's was last read, as it says, a second later than it was changed: no directory has that by
//! itself, since to change it changes the one time and not the other.
//!
//! The time is read from the precise clock, and is odd in its last digit of ns. What a file system
//! rounds to s or to µs is even, so that an index on one of that kind never agrees. A time of the
//! kernel's own is mostly one of its clock's ticks; where it is a precise one too (multigrain
//! timestamps, Linux 6.13), it is later than ours.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
use rustix::time::{ClockId, clock_gettime};

/// A time that a directory was given, with ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(Timespec);

impl Stamp {
    /// One that no other change has.
    pub(crate) fn new() -> Self {
        let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Realtime);
        Self(Timespec { tv_sec, tv_nsec: tv_nsec | 1 })
    }

    /// One that says nothing.
    pub(crate) fn void() -> Self {
        Self(Timespec { tv_sec: 0, tv_nsec: 0 })
    }

    /// When an index was changed, if that was by one who gave it this time as an index.
    pub(crate) fn of_index(directory: &Metadata) -> Option<Self> {
        let read = Timespec { tv_sec: directory.atime(), tv_nsec: directory.atime_nsec() };
        Self::of(directory).filter(|stamp| stamp.last_read() == read)
    }

    /// When a directory was changed, if that was by one who gave it a time.
    pub(crate) fn of(directory: &Metadata) -> Option<Self> {
        let stamp = Timespec { tv_sec: directory.mtime(), tv_nsec: directory.mtime_nsec() };
        (directory.is_dir() && stamp.tv_nsec % 2 == 1).then_some(Self(stamp))
    }

    /// Gives it to the leases.
    pub(crate) fn set(self, directory: &Path) -> io::Result<()> {
        self.set_with(Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }, directory)
    }

    /// Gives it to their index.
    pub(crate) fn set_index(self, directory: &Path) -> io::Result<()> {
        self.set_with(self.last_read(), directory)
    }

    fn set_with(self, last_access: Timespec, directory: &Path) -> io::Result<()> {
        let times = Timestamps { last_access, last_modification: self.0 };
        Ok(utimensat(CWD, directory, &times, AtFlags::empty())?)
    }

    /// When an index that has it says that it was read last. Later than it was changed: a file system
    /// notes by itself only who reads what has been changed since, or not been read for a day.
    fn last_read(self) -> Timespec {
        Timespec { tv_sec: self.0.tv_sec + 1, ..self.0 }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn of(dir: &Path) -> Option<Stamp> {
        Stamp::of(&fs::metadata(dir).unwrap())
    }

    #[test]
    fn a_stamp_is_found_again_until_anything_changes_however_soon() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        // Many within each tick of the kernel's clock.
        for _ in 0..1000 {
            let changes: [fn(&Path); 2] =
                [|file| fs::write(file, "").unwrap(), |file| fs::remove_file(file).unwrap()];
            for change in changes {
                let stamp = Stamp::new();
                stamp.set(dir.path()).unwrap();
                assert_eq!(of(dir.path()), Some(stamp));
                change(&file);
                assert_ne!(of(dir.path()), Some(stamp));
            }
        }
    }

    #[test]
    fn what_the_kernels_clock_gave_to_both_is_no_stamp() {
        let [leases, index] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let of_index = || Stamp::of_index(&fs::metadata(index.path()).unwrap());
        let earlier = Stamp::new();
        earlier.set_index(index.path()).unwrap();
        assert_eq!(of_index(), Some(earlier));
        // As both are left that are changed in one tick, which may be odd.
        let tick = Stamp(Timespec { tv_sec: 1_700_000_000, tv_nsec: 4_000_001 });
        tick.set(leases.path()).unwrap();
        tick.set(index.path()).unwrap();
        assert_eq!(of(leases.path()), of(index.path()));
        assert_eq!(of_index(), None);
        // As a new one is.
        tick.set_with(tick.0, index.path()).unwrap();
        assert_eq!(of_index(), None);
    }

    #[test]
    fn what_a_file_system_has_rounded_is_no_stamp() {
        let dir = tempfile::tempdir().unwrap();
        for tv_nsec in [0, 1_000, 999_999_900] {
            Stamp(Timespec { tv_sec: 1_700_000_000, tv_nsec }).set(dir.path()).unwrap();
            assert_eq!(of(dir.path()), None);
        }
        Stamp::void().set(dir.path()).unwrap();
        assert_eq!(of(dir.path()), None);
    }
}
