//! Orphaned leases of all networks, for `podbond gc`.

use std::path::{Path, PathBuf};

use podbond_cni::Failure;

use crate::config::DATA_DIR;
use crate::error::Error;
use crate::lease::{Lease, LeaseDir, leases};

/// A lease that belongs to no pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The network.
    pub network: String,
    /// The lease.
    pub lease: Lease,
    /// The directory of the network's leases.
    dir: PathBuf,
}

/// Returns the leases for which `is_orphan` holds, of all networks whose leases are in
/// `/var/lib/cni/networks`, and why others cannot be read. Nothing is locked or changed.
pub fn orphans(is_orphan: impl Fn(&Lease) -> bool) -> (Vec<Orphan>, Vec<Failure>) {
    orphans_in(Path::new(DATA_DIR), is_orphan)
}

fn orphans_in(data_dir: &Path, is_orphan: impl Fn(&Lease) -> bool) -> (Vec<Orphan>, Vec<Failure>) {
    // The administrator may keep them on another disk.
    let data_dir = &data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
    let networks = match podbond_state::names(data_dir) {
        Ok(networks) => networks,
        Err(error) => return (Vec::new(), vec![Error::from(error).into()]),
    };
    let (mut orphans, mut errors) = (Vec::new(), Vec::new());
    for network in networks {
        let dir = data_dir.join(&network);
        if dir.is_symlink() || !dir.is_dir() {
            continue;
        }
        let (leases, unread) = leases(&dir);
        errors.extend(unread);
        for lease in leases.into_iter().filter(&is_orphan) {
            orphans.push(Orphan { network: network.clone(), lease, dir: dir.clone() });
        }
    }
    (orphans, errors)
}

impl Orphan {
    /// Returns the file of the lease.
    pub fn path(&self) -> PathBuf {
        self.dir.join(self.lease.address.to_string())
    }

    /// Removes the lease, unless its file has been written again since it was listed.
    pub fn release(&self) -> Result<(), Failure> {
        let Some(dir) = LeaseDir::open(&self.dir)? else { return Ok(()) };
        if dir.lease(self.lease.address)?.as_ref() != Some(&self.lease) {
            return Ok(());
        }
        Ok(dir.release(self.lease.address)?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime};

    use tempfile::TempDir;

    use super::*;
    use crate::testing::make_pipe;

    fn data_dir(files: &[(&str, &str)]) -> TempDir {
        let data_dir = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = data_dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        data_dir
    }

    fn is_of_gone(lease: &Lease) -> bool {
        let attachment = lease.holder.attachment();
        attachment.is_some_and(|attachment| attachment.container_id.as_str() == "gone")
    }

    fn orphans_of_gone(data_dir: &Path) -> Vec<Orphan> {
        let (orphans, errors) = orphans_in(data_dir, is_of_gone);
        assert!(errors.is_empty(), "{errors:?}");
        orphans
    }

    #[test]
    fn orphans_of_every_network_are_released() {
        let data_dir = data_dir(&[
            ("a/10.0.0.2", "gone\r\nnet1"),
            ("a/10.0.0.3", "gone\r\nnet2"),
            ("a/10.0.0.4", "other\r\nnet1"),
            ("a/10.0.0.5", "gone"),
            ("a/lock", ""),
            ("b/fd00::2", "gone\r\nnet1"),
        ]);
        let orphans = orphans_of_gone(data_dir.path());
        let shown: Vec<String> = orphans
            .iter()
            .map(|Orphan { network, lease, .. }| {
                format!("{network} {} {}", lease.address, lease.holder)
            })
            .collect();
        let expected = [
            "a 10.0.0.2 net1 of container gone",
            "a 10.0.0.3 net2 of container gone",
            "b fd00::2 net1 of container gone",
        ];
        assert_eq!(shown, expected);

        // Given to another one since.
        fs::write(data_dir.path().join("b/fd00::2"), "new\r\nnet1").unwrap();
        for orphan in &orphans {
            orphan.release().unwrap();
        }
        assert_eq!(orphans_of_gone(data_dir.path()), []);
        let names = |network: &str| podbond_state::names(&data_dir.path().join(network)).unwrap();
        assert_eq!(names("a"), ["10.0.0.4", "10.0.0.5", "lock"]);
        assert_eq!(names("b"), ["fd00::2", "lock"]);
    }

    #[test]
    fn lease_that_was_written_again_is_not_released() {
        let data_dir = data_dir(&[("a/10.0.0.2", "gone\r\nnet1")]);
        let path = data_dir.path().join("a/10.0.0.2");
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        let orphans = orphans_of_gone(data_dir.path());
        assert_eq!(orphans[0].lease.modified, SystemTime::UNIX_EPOCH + Duration::from_secs(1));
        fs::write(&path, "gone\r\nnet1").unwrap();
        orphans[0].release().unwrap();
        assert!(path.exists());
    }

    /// Promise: podbond-gc
    #[test]
    fn what_is_no_lease_hides_no_orphan() {
        let lease = "gone\r\nnet1";
        let data_dir =
            data_dir(&[("a/10.0.0.5", lease), ("b/10.0.0.5", lease), ("c/10.0.0.5", lease)]);
        let path = |name: &str| data_dir.path().join("b").join(name);
        fs::File::create(path("10.0.0.2")).unwrap().set_len(2 << 20).unwrap();
        symlink("10.0.0.3", path("10.0.0.3")).unwrap();
        symlink("10.0.0.5", path("10.0.0.4")).unwrap();
        make_pipe(&path("10.0.0.6"));
        fs::write(data_dir.path().join("10.0.0.7"), lease).unwrap();
        let networks: Vec<String> =
            orphans_of_gone(data_dir.path()).into_iter().map(|orphan| orphan.network).collect();
        assert_eq!(networks, ["a", "b", "c"]);
    }

    #[test]
    fn what_cannot_be_listed_is_an_error() {
        let unlisted = std::env::temp_dir().join("x".repeat(300));
        let (orphans, errors) = orphans_in(&unlisted, |_| true);
        assert_eq!((orphans.len(), errors.len()), (0, 1));
        assert_eq!(leases(&unlisted).1.len(), 1);
        assert_eq!(orphans_of_gone(Path::new("/none")), []);
    }
}
