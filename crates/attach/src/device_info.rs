//! Device information files: what a device plugin says of a device, passed on to CNI plugins and into the pod's
//! network status (Device Information Specification 1.1.0).

use std::path::{Path, PathBuf};

use podbond_cni::nests_too_deep;
use podbond_names::PciAddress;
use podbond_record::{ChainPart, Record};
use serde_json::{Map, Value};

use crate::chain::set_runtime_config;

/// Where the files are.
const DIR: &str = "/var/run/k8s.cni.cncf.io/devinfo";

/// The capability of a plugin that reads or writes the file of its attachment.
const CAPABILITY: &str = "CNIDeviceInfoFile";

/// The device information files of the node: in `dp` those of device plugins, one for each device, in `cni`
/// one for each attachment.
#[derive(Debug, Clone)]
pub struct DeviceInfoFiles {
    dir: PathBuf,
}

impl Default for DeviceInfoFiles {
    fn default() -> Self {
        Self::new(Path::new(DIR))
    }
}

impl DeviceInfoFiles {
    /// Returns the files below a directory, which need not exist.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Gives each plugin of an attachment that declares the capability the path of the attachment's file:
    /// "the NPWG Implementation must set it to the full path" (section 5.1.1).
    pub(crate) fn pass_on(&self, record: &mut Record) {
        let path = Value::from(self.of_attachment(record).display().to_string());
        for config in record.chain.iter_mut().flat_map(|chain| &mut chain.configs) {
            set_runtime_config(&mut config.raw, CAPABILITY, &path);
        }
    }

    /// Copies what a device plugin says of a device to the attachment's file, if it says anything. `resource`
    /// is the resource's full name.
    pub(crate) fn copy(
        &self,
        resource: &str,
        device: PciAddress,
        record: &Record,
    ) -> Result<(), String> {
        let name = format!("{resource}-{device}-device.json").replace('/', "-");
        let file = self.dir.join("dp").join(name);
        // A name that no file can have is that of no file.
        if file.symlink_metadata().is_err() {
            return Ok(());
        }
        let Some(bytes) = podbond_state::read(&file).map_err(|error| error.to_string())? else {
            return Ok(());
        };
        object(&file, &bytes)?;
        let path = self.of_attachment(record);
        podbond_state::write(&path, &bytes).map_err(|error| error.to_string())
    }

    /// Returns what the attachment's file says, once its plugins have been called.
    pub(crate) fn read(&self, record: &Record) -> Result<Option<Map<String, Value>>, String> {
        let file = self.of_attachment(record);
        let bytes = podbond_state::read(&file).map_err(|error| error.to_string())?;
        bytes.map(|bytes| object(&file, &bytes)).transpose()
    }

    /// Removes the attachment's file; success where there is none.
    pub(crate) fn remove(&self, record: &Record) -> Result<(), podbond_state::Error> {
        let file = self.of_attachment(record);
        let is_there = file.symlink_metadata().is_ok();
        if is_there { podbond_state::remove(&file) } else { Ok(()) }
    }

    /// Returns the file of an attachment, by Multus' name for it. All parts are validated names.
    fn of_attachment(&self, record: &Record) -> PathBuf {
        let (network, container) = (record.network_name().replace('/', "-"), &record.container_id);
        self.dir.join("cni").join(format!("{network}-{container}_{}", record.ifname))
    }
}

/// Returns whether an attachment may have such a file: it has a device, or a plugin that takes the file.
pub(crate) fn takes_device_info(chain: &ChainPart) -> bool {
    let declares = |config: &podbond_cni::NetConf| {
        config.get("capabilities").and_then(|all| all.get(CAPABILITY)) == Some(&Value::Bool(true))
    };
    chain.device.is_some() || chain.configs.iter().any(declares)
}

fn object(file: &Path, bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let passed_over = |why: &dyn std::fmt::Display| {
        format!("{} is passed over, since it is no JSON object: {why}", file.display())
    };
    let object: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|error| passed_over(&error))?;
    if object.values().any(nests_too_deep) {
        return Err(passed_over(&"it nests too deep"));
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use crate::DeviceInfo;
    use crate::testing::{Node, VFS};

    /// Promise: device-info-files
    #[test]
    fn what_the_device_plugin_says_is_passed_on_and_in_the_status() {
        let node = Node::new();
        let dp = node.path("devinfo/dp");
        fs::create_dir_all(&dp).unwrap();
        let said = json!({"type": "pci", "version": "1.1.0", "pci": {
            "pci-address": VFS[0], "pf-pci-address": "0000:03:00.0", "representor-device": "eth3",
        }});
        let file = dp.join(format!("openshift.io-pool-{}-device.json", VFS[0]));
        fs::write(&file, said.to_string()).unwrap();
        let sandbox = node.sandbox("c1");
        let added = node.add(&sandbox, &node.chain_of("info, vf")).unwrap();
        let said = said.as_object().unwrap().clone();
        assert_eq!(added.statuses[1].device_info, Some(DeviceInfo::File(said)));
        let second = DeviceInfo::Pci(VFS[1].parse().unwrap());
        assert_eq!(added.statuses[2].device_info, Some(second));

        let own = node.path("devinfo/cni/demo-info-c1_net1");
        let requests = node.script.requests();
        let of = |plugin: &str, ifname: &str| {
            let mut all = requests.iter();
            let is_it = |it: &&podbond_cni::Request| {
                it.config.plugin == plugin && it.ifname.as_str() == ifname
            };
            all.find(is_it).unwrap().config.get("runtimeConfig").cloned()
        };
        let path = json!({ "CNIDeviceInfoFile": own });
        // Only the one that declares the capability.
        assert_eq!((of("two", "net1"), of("one", "net1")), (Some(path), None));
        assert!(own.exists());
        assert_eq!(node.delete(&sandbox), []);
        assert!(!own.exists() && file.exists());
    }

    #[test]
    fn file_that_is_no_object_is_passed_over() {
        let node = Node::new();
        let dp = node.path("devinfo/dp");
        fs::create_dir_all(&dp).unwrap();
        let file = dp.join(format!("openshift.io-pool-{}-device.json", VFS[0]));
        for text in ["", "[]", "{"] {
            fs::write(&file, text).unwrap();
            let sandbox = node.sandbox("c1");
            let added = node.add(&sandbox, &node.chain_of("vf")).unwrap();
            let device = DeviceInfo::Pci(VFS[0].parse().unwrap());
            assert_eq!(added.statuses[1].device_info, Some(device));
            assert_eq!(node.delete(&sandbox), []);
            fs::remove_file(node.path("netns-c1")).unwrap();
        }
    }
}
