//! The locks of VFs: `pci/vf_lock/<address>.lock` in sriov-cni's directory, which sriov-cni takes too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use podbond_names::PciAddress;
use podbond_state::Lock;

use crate::Error;

/// How long another process is waited for that works on the same VF: as long as sriov-cni waits, since
/// an IPAM plugin may ask a server.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The locks of the node's VFs, each held with flock(2) while a process works on the VF.
///
/// An attachment's lock is taken before that of its VF, and the inventory's before any. Who holds a VF's
/// lock takes none but those of IPAM networks after it; only who holds the inventory's takes several, in
/// order of address.
#[derive(Debug, Clone)]
pub struct VfLocks {
    dir: PathBuf,
    timeout: Duration,
}

impl VfLocks {
    /// Returns the locks in the directory of sriov-cni, which need not exist.
    pub fn new(sriov_cni: &Path) -> Self {
        Self { dir: sriov_cni.join("pci/vf_lock"), timeout: TIMEOUT }
    }

    /// Waits no longer than this for another process.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Waits until no other process works on the VF, and locks it.
    pub fn lock(&self, pci: PciAddress) -> Result<Lock, Error> {
        Ok(Lock::take(&self.dir.join(format!("{pci}.lock")), self.timeout)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: lock-names-holder
    #[test]
    fn locked_vf_is_waited_for_then_its_holder_named() {
        let dir = tempfile::tempdir().unwrap();
        let locks = VfLocks::new(dir.path()).with_timeout(Duration::from_millis(20));
        let (pci, other) = ("0000:02:10.4".parse().unwrap(), "0000:02:10.6".parse().unwrap());
        let held = locks.lock(pci).unwrap();
        assert!(dir.path().join("pci/vf_lock/0000:02:10.4.lock").exists());
        let _other = locks.lock(other).unwrap();
        let error = locks.lock(pci).unwrap_err().to_string();
        let holder = format!("0000:02:10.4.lock is locked by process {}", std::process::id());
        assert!(error.contains(&holder), "{error}");
        drop(held);
        locks.lock(pci).unwrap();
    }
}
