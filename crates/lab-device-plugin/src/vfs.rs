//! The VFs of one PF as the devices of one resource.

use std::{collections::BTreeMap, fs, path::Path};

use podbond_kernel::Sysfs;
use podbond_kubelet::{AllocateError, Allocation, Device, DevicePlugin, Health};
use podbond_names::LinkName;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

/// A resource, and the PF whose VFs it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pool {
    /// With its prefix: `openshift.io/sriovnic1`.
    pub(crate) resource: String,
    /// The PF's link.
    pub(crate) pf: LinkName,
}

impl std::str::FromStr for Pool {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("`{text}` is not of the form PREFIX/RESOURCE=PF");
        let (resource, pf) = text.split_once('=').ok_or_else(wanted)?;
        let pf = pf.parse().map_err(|error| format!("`{text}`: {error}"))?;
        match resource.split_once('/') {
            Some((prefix, name)) if !prefix.is_empty() && !name.is_empty() => {
                Ok(Self { resource: resource.into(), pf })
            }
            _ => Err(wanted()),
        }
    }
}

impl Pool {
    /// Returns the VFs that the PF has now; none while it is not there.
    pub(crate) fn devices(&self, sysfs: &Sysfs) -> podbond_kernel::Result<Vec<Device>> {
        let Some(pf) = sysfs.function_of(&self.pf)? else { return Ok(Vec::new()) };
        let device = |(_, vf): (u16, podbond_names::PciAddress)| Device {
            id: vf.to_string(),
            health: Health::Healthy,
            numa_node: None,
        };
        Ok(sysfs.vfs_of(pf)?.into_iter().map(device).collect())
    }

    /// Returns the variables that the SR-IOV network device plugin gives a container for these VFs.
    fn environment(&self, ids: &[String]) -> BTreeMap<String, String> {
        let name = self.resource.replace(['/', '.'], "_").to_ascii_uppercase();
        let info = |id: &String| (id.clone(), json!({ "generic": { "deviceID": id } }));
        let info = Value::from(ids.iter().map(info).collect::<Map<_, _>>());
        [
            (format!("PCIDEVICE_{name}"), ids.join(",")),
            (format!("PCIDEVICE_{name}_INFO"), info.to_string()),
        ]
        .into()
    }

    /// Writes what the network status tells of these VFs, where a meta-plugin looks for it.
    fn write_device_info(&self, folder: &Path, ids: &[String]) -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        for id in ids {
            let info = json!({ "type": "pci", "version": "1.1.0", "pci": { "pci-address": id } });
            let file = format!("{}-{id}-device.json", self.resource.replace('/', "-"));
            fs::write(folder.join(file), info.to_string())?;
        }
        Ok(())
    }
}

/// The device plugin of a pool.
#[derive(Debug)]
pub(crate) struct PoolPlugin<'f> {
    pub(crate) pool: Pool,
    /// What [`Pool::devices`] returned last.
    pub(crate) devices: watch::Sender<Vec<Device>>,
    /// Where device information is written.
    pub(crate) device_info: &'f Path,
}

impl DevicePlugin for PoolPlugin<'static> {
    fn devices(&self) -> watch::Receiver<Vec<Device>> {
        self.devices.subscribe()
    }

    fn allocate(&self, ids: &[String]) -> Result<Allocation, AllocateError> {
        let known = self.devices.borrow();
        if let Some(id) = ids.iter().find(|id| known.iter().all(|device| device.id != **id)) {
            return Err(AllocateError::UnknownDevice { id: id.clone() });
        }
        self.pool.write_device_info(self.device_info, ids).map_err(|source| {
            AllocateError::NotReady { id: ids.join(","), source: Box::new(source) }
        })?;
        let environment = self.pool.environment(ids);
        Ok(Allocation { environment, ..Allocation::default() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic here is the failure's report")]

    use std::os::unix::fs::symlink;

    use super::*;

    fn pool() -> Pool {
        "openshift.io/sriov-nic1=pf0".parse().unwrap()
    }

    #[test]
    fn pool_is_a_resource_and_a_link() {
        assert_eq!(pool().pf.to_string(), "pf0");
        assert_eq!(pool().resource, "openshift.io/sriov-nic1");
        for bad in ["pf0", "a/b", "a=pf0", "/b=pf0", "a/=pf0", "a/b=", "a/b=a name"] {
            assert!(bad.parse::<Pool>().is_err(), "{bad}");
        }
    }

    #[test]
    fn devices_are_the_vfs_that_sysfs_shows() {
        let dir = tempfile::tempdir().unwrap();
        let devices = dir.path().join("bus/pci/devices");
        let pf = devices.join("0000:01:00.0");
        fs::create_dir_all(&pf).unwrap();
        for (index, vf) in ["0000:01:10.0", "0000:01:10.2"].into_iter().enumerate() {
            fs::create_dir_all(devices.join(vf)).unwrap();
            symlink(devices.join(vf), pf.join(format!("virtfn{index}"))).unwrap();
        }
        let sysfs = Sysfs::new(dir.path());
        assert_eq!(pool().devices(&sysfs).unwrap(), []);
        let link = dir.path().join("class/net/pf0");
        fs::create_dir_all(&link).unwrap();
        symlink(&pf, link.join("device")).unwrap();
        let found = pool().devices(&sysfs).unwrap();
        let ids: Vec<_> = found.iter().map(|device| &device.id).collect();
        assert_eq!(ids, ["0000:01:10.0", "0000:01:10.2"]);
    }

    /// The names and forms of sriov-network-device-plugin: `-` is kept.
    #[test]
    fn container_is_told_its_vfs() {
        let dir = tempfile::tempdir().unwrap();
        let folder: &'static Path = Box::leak(dir.path().join("dp").into_boxed_path());
        let device = |id: &str| Device { id: id.into(), health: Health::Healthy, numa_node: None };
        let (devices, _) = watch::channel(vec![device("0000:01:10.0"), device("0000:01:10.2")]);
        let plugin = PoolPlugin { pool: pool(), devices, device_info: folder };
        let ids = ["0000:01:10.0".to_owned(), "0000:01:10.2".to_owned()];
        let environment = plugin.allocate(&ids).unwrap().environment;
        let name = "PCIDEVICE_OPENSHIFT_IO_SRIOV-NIC1";
        assert_eq!(environment[name], "0000:01:10.0,0000:01:10.2");
        assert_eq!(
            environment[&format!("{name}_INFO")],
            r#"{"0000:01:10.0":{"generic":{"deviceID":"0000:01:10.0"}},"0000:01:10.2":{"generic":{"deviceID":"0000:01:10.2"}}}"#
        );
        let info = folder.join("openshift.io-sriov-nic1-0000:01:10.0-device.json");
        assert!(fs::read_to_string(info).unwrap().contains(r#""pci-address":"0000:01:10.0""#));
        let error = plugin.allocate(&["0000:09:00.0".into()]).unwrap_err().to_string();
        assert!(error.contains("0000:09:00.0"), "{error}");
    }
}
