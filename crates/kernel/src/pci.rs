//! Changes of PCI functions through sysfs: `sriov_numvfs`, binding of drivers; userspace drivers.

use std::fs;
use std::time::Duration;

use podbond_names::PciAddress;

use crate::sysfs::write;
use crate::wait::poll;
use crate::{Error, Result, Sysfs};

/// How long new VFs may take to get their drivers and links. Without any driver that binds to
/// them they never do.
const VFS_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Drivers that give a PCI function to a process: it has no link, and its user sets address and
/// MTU.
pub const USERSPACE_DRIVERS: [&str; 3] = ["vfio-pci", "uio_pci_generic", "igb_uio"];

/// Returns whether a driver gives a PCI function to a process: one of [`USERSPACE_DRIVERS`], or a
/// card's own vfio driver, like `mlx5_vfio_pci`.
pub fn is_userspace_driver(driver: &str) -> bool {
    USERSPACE_DRIVERS.contains(&driver) || driver.contains("vfio")
}

/// Drivers that keep a function from all others, for a virtual machine.
const RESERVING_DRIVERS: [&str; 3] = ["pci-stub", "pciback", "xen-pciback"];

/// Returns whether a driver makes links: one that gives the function neither to a process nor to a virtual
/// machine.
pub fn makes_links(driver: &str) -> bool {
    !is_userspace_driver(driver) && !RESERVING_DRIVERS.contains(&driver)
}

impl Sysfs {
    /// Sets `sriov_numvfs`. `sriov_drivers_autoprobe` is left unchanged.
    pub(crate) fn set_num_vfs(&self, pf: PciAddress, from: u16, to: u16) -> Result<()> {
        let file = self.device(pf).join("sriov_numvfs");
        let had_carrier = self.has_carrier(pf)?;
        // The kernel refuses to go from one number of VFs to another (EBUSY).
        let by_way_of_zero = from != 0 && to != 0;
        if by_way_of_zero {
            write(file.clone(), "0")?;
        }
        write(file.clone(), &to.to_string()).inspect_err(|_| {
            if by_way_of_zero {
                // The error that is reported is the first one; these VFs are lost with it.
                let _ = write(file, &from.to_string());
            }
        })?;
        self.wait_for_vfs(pf, to)?;
        // Some drivers (igb) reset the card for it, and refuse VF rates until its link is back.
        if had_carrier {
            poll(VFS_TIMEOUT, POLL_INTERVAL, || Ok(self.has_carrier(pf)?.then_some(())))?;
        }
        Ok(())
    }

    /// Returns whether a link of the function has carrier. A link that is down has none; reading it
    /// then is an error, which is ignored.
    fn has_carrier(&self, pci: PciAddress) -> Result<bool> {
        let net = self.device(pci).join("net");
        Ok(self.links_of(pci)?.iter().any(|link| {
            let carrier = fs::read_to_string(net.join(link.as_str()).join("carrier"));
            carrier.is_ok_and(|text| text.trim() == "1")
        }))
    }

    /// Waits until the new VFs are bound to a driver and have their links. Running out of time is
    /// no error: who needs a link looks for it and can say which one is missing.
    fn wait_for_vfs(&self, pf: PciAddress, count: u16) -> Result<()> {
        if self.attribute(pf, "sriov_drivers_autoprobe")?.as_deref() == Some("0") {
            return Ok(());
        }
        poll(VFS_TIMEOUT, POLL_INTERVAL, || {
            let vfs = self.vfs_of(pf)?;
            let mut ready = vfs.len() == usize::from(count);
            for (_, vf) in vfs {
                ready = ready && self.is_ready(vf)?;
            }
            Ok(ready.then_some(()))
        })?;
        Ok(())
    }

    fn is_ready(&self, vf: PciAddress) -> Result<bool> {
        Ok(match self.driver(vf)? {
            None => false,
            Some(driver) => !makes_links(&driver) || !self.links_of(vf)?.is_empty(),
        })
    }

    /// Binds a function to a driver, whatever the driver's own list of devices says; without one it
    /// is left unbound. When the driver does not bind, the one before it is bound again. A link that the
    /// driver makes is waited for, at most 10 s; running out of time is no error.
    pub(crate) fn bind_driver(&self, pci: PciAddress, to: Option<&str>) -> Result<()> {
        let before = self.driver(pci)?;
        if before.is_some() {
            write(self.device(pci).join("driver/unbind"), &pci.to_string())?;
        }
        let Some(to) = to else { return Ok(()) };
        self.probe(pci, to).inspect_err(|_| {
            // The error that is reported is the first one.
            let _ = before.map(|before| self.probe(pci, &before));
        })?;
        // Some drivers (iavf) make it when the probe is over.
        poll(VFS_TIMEOUT, POLL_INTERVAL, || Ok(self.is_ready(pci)?.then_some(())))?;
        Ok(())
    }

    fn probe(&self, pci: PciAddress, driver: &str) -> Result<()> {
        let r#override = self.device(pci).join("driver_override");
        write(r#override.clone(), driver)?;
        let probed = write(self.bus().join("drivers_probe"), &pci.to_string());
        // A line without a name ends the override. The binding stays.
        write(r#override, "\n")?;
        probed?;
        match self.driver(pci)? {
            Some(bound) if bound == driver => Ok(()),
            shown => Err(Error::NotTaken {
                object: format!("driver of {pci}"),
                wanted: driver.to_owned(),
                shown: shown.unwrap_or_else(|| "none: is its module loaded?".to_owned()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn numvfs_is_written() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("bus/pci/devices/0000:03:00.0");
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("sriov_numvfs"), "0").unwrap();
        fs::write(device.join("sriov_drivers_autoprobe"), "0\n").unwrap();
        Sysfs::new(root.path()).set_num_vfs("0000:03:00.0".parse().unwrap(), 0, 4).unwrap();
        assert_eq!(fs::read_to_string(device.join("sriov_numvfs")).unwrap(), "4");
    }

    #[test]
    fn missing_numvfs_file_is_named() {
        let root = tempfile::tempdir().unwrap();
        let error = Sysfs::new(root.path()).set_num_vfs("0000:03:00.0".parse().unwrap(), 0, 4);
        let text = error.unwrap_err().to_string();
        assert!(text.contains("0000:03:00.0/sriov_numvfs"), "{text}");
    }

    #[test]
    fn driver_that_does_not_bind_is_reported() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("bus/pci/devices/0000:03:10.0");
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("driver_override"), "").unwrap();
        fs::write(root.path().join("bus/pci/drivers_probe"), "").unwrap();
        let sysfs = Sysfs::new(root.path());
        let error = sysfs.bind_driver("0000:03:10.0".parse().unwrap(), Some("vfio-pci"));
        assert!(matches!(error, Err(Error::NotTaken { .. })), "{error:?}");
        let probed = fs::read_to_string(root.path().join("bus/pci/drivers_probe")).unwrap();
        assert_eq!(probed, "0000:03:10.0");
    }

    #[test]
    fn every_vfio_driver_is_a_userspace_driver() {
        for driver in ["vfio-pci", "uio_pci_generic", "igb_uio", "mlx5_vfio_pci"] {
            assert!(is_userspace_driver(driver) && !makes_links(driver), "{driver}");
        }
        for driver in ["igbvf", "mlx5_core", ""] {
            assert!(!is_userspace_driver(driver) && makes_links(driver), "{driver}");
        }
        assert!(!is_userspace_driver("pci-stub") && !makes_links("pci-stub"));
    }
}
