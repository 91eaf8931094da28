//! Who has the lock on a file, as `/proc` tells.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{fstat, major, minor};

use crate::error::LockHolder;

/// Where the kernel lists the locks on a file: by its device and inode, `08:01:131`.
pub(crate) struct Place<'f> {
    file: &'f File,
    /// By the device that the file itself tells.
    own: OnceCell<Option<String>>,
    /// By that of its mount. They differ where each part of a file system has a device of its own, as
    /// a subvolume of btrfs.
    of_mount: OnceCell<Option<String>>,
}

impl<'f> Place<'f> {
    /// Nothing is looked at yet: most locks are free.
    pub(crate) fn of(file: &'f File) -> Self {
        Self { file, own: OnceCell::new(), of_mount: OnceCell::new() }
    }

    /// The process that has the lock; 0 where it is not to be seen.
    pub(crate) fn holder(&self) -> u32 {
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        let pid = |place: &Option<String>| holder_in(&locks, place.as_deref()?);
        let own = pid(self.own.get_or_init(|| own(self.file)));
        own.or_else(|| pid(self.of_mount.get_or_init(|| of_mount(self.file)))).unwrap_or(0)
    }
}

fn own(file: &File) -> Option<String> {
    let stat = fstat(file).ok()?;
    Some(place([major(stat.st_dev), minor(stat.st_dev)], stat.st_ino))
}

fn of_mount(file: &File) -> Option<String> {
    let stat = fstat(file).ok()?;
    let fd = file.as_fd().as_raw_fd();
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    Some(place(device_in(&mounts, mount_in(&info)?)?, stat.st_ino))
}

fn place([major, minor]: [u32; 2], inode: u64) -> String {
    format!("{major:02x}:{minor:02x}:{inode}")
}

/// The number of the mount in a text like `/proc/self/fdinfo/3`: the line that begins with `mnt_id:`.
fn mount_in(info: &str) -> Option<&str> {
    info.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(str::trim)
}

/// The device of a mount in a text like `/proc/self/mountinfo`: `28 1 0:25 /@ / rw - btrfs …`.
fn device_in(mounts: &str, mount: &str) -> Option<[u32; 2]> {
    let mut words = mounts.lines().map(str::split_whitespace);
    let device = words.find_map(|mut words| (words.next()? == mount).then(|| words.nth(1)))?;
    let (major, minor) = device?.split_once(':')?;
    Some([major.parse().ok()?, minor.parse().ok()?])
}

pub(crate) fn shown(pid: u32) -> LockHolder {
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
    use rustix::fs::{FlockOperation, flock};

    use super::*;

    #[test]
    fn whoever_waits_holds_nothing() {
        let locks = "1: POSIX  ADVISORY  WRITE 1 08:01:7 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 2 08:01:7 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 3 08:01:77 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 4 08:01:7 0 EOF\n";
        assert_eq!(holder_in(locks, "08:01:7"), Some(4));
        assert_eq!(holder_in(locks, "08:01:8"), None);
    }

    #[test]
    fn the_device_of_a_subvolume_is_that_of_its_mount() {
        let mounts = "22 28 0:21 / /proc rw shared:5 - proc proc rw\n\
                      28 1 0:25 /@ / rw,relatime shared:1 - btrfs /dev/vda2 rw,subvol=/@\n\
                      128 28 254:17 / /var rw - ext4 /dev/vdb1 rw\n";
        let info = "pos:\t0\nflags:\t02100001\nmnt_id:\t28\nino:\t131\n";
        assert_eq!(mount_in(info), Some("28"));
        assert_eq!(device_in(mounts, "28").map(|device| place(device, 131)).unwrap(), "00:19:131");
        assert_eq!(device_in(mounts, "128").map(|device| place(device, 7)).unwrap(), "fe:11:7");
        assert_eq!(device_in(mounts, "8"), None);
    }

    #[test]
    fn the_holder_is_found_by_the_mount_too() {
        let file = tempfile::tempfile().unwrap();
        flock(&file, FlockOperation::LockExclusive).unwrap();
        let by_mount = Place { file: &file, own: None.into(), of_mount: OnceCell::new() };
        for place in [Place::of(&file), by_mount] {
            assert_eq!(place.holder(), std::process::id());
        }
    }
}
