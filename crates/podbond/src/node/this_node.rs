//! Where the node's records, plugins and network configuration are, and who may change them.

use std::path::PathBuf;
use std::time::Duration;

use podbond_api::{ObjectKey, Pod};
use podbond_attach::DeviceInfoFiles;
use podbond_cni::Delegates;
use podbond_inventory::Holdings;
use podbond_kernel::{NamedNetns, Sysfs};
use podbond_record::Records;
use podbond_state::Lock;

use super::applied::{AppliedPod, Store};
use crate::error::Error;
use crate::plugins::holdings;

/// How long a command waits for another one that changes the node.
const LOCK_TIMEOUT: Duration = Duration::from_mins(1);

/// This node: where its state and its plugins are.
pub(crate) struct Node<'a> {
    /// Calls the plugins.
    pub(crate) delegates: &'a Delegates<'a>,
    state: PathBuf,
    /// The directories of CNI plugins.
    pub(crate) plugin_path: Vec<PathBuf>,
    /// The directory of the default network's configuration.
    pub(crate) conf_dir: PathBuf,
    /// The NADs and pods that were applied.
    pub(crate) store: Store,
    /// The records of attachments.
    pub(crate) records: Records,
    /// What device plugins and CNI plugins say of devices.
    pub(crate) device_info: DeviceInfoFiles,
    /// Which VF is held by whom.
    pub(crate) holdings: Holdings,
    /// The cards.
    pub(crate) sysfs: Sysfs,
}

impl<'a> Node<'a> {
    /// Returns the node with everything where a runtime would look for it. `CNI_PATH` says where
    /// plugins are, as for a runtime; without it they are in `/opt/cni/bin`.
    pub(crate) fn new(delegates: &'a Delegates<'a>) -> Self {
        let state = PathBuf::from(podbond_state::DIR);
        let path = std::env::var_os("CNI_PATH").unwrap_or_else(|| "/opt/cni/bin".into());
        Self {
            delegates,
            plugin_path: std::env::split_paths(&path).collect(),
            conf_dir: PathBuf::from("/etc/cni/net.d"),
            store: Store::new(&state),
            holdings: holdings(),
            records: Records::default(),
            device_info: DeviceInfoFiles::default(),
            sysfs: Sysfs::new("/sys"),
            state,
        }
    }

    /// Keeps other commands from changing the node until the guard is dropped. Only root may;
    /// `command` is the name of the one that asks.
    pub(crate) fn lock(&self, command: &'static str) -> Result<Lock, Error> {
        require_root(command)?;
        Ok(Lock::take(&self.state.join("command.lock"), LOCK_TIMEOUT)?)
    }

    /// Returns the network namespace of a pod that was applied.
    pub(crate) fn netns_of(&self, key: &ObjectKey) -> Result<NamedNetns, Error> {
        if self.store.pod(key)?.is_none() {
            return Err(Error::NoSuchPod { key: key.clone() });
        }
        NamedNetns::find(&AppliedPod::netns_name(key))?
            .ok_or_else(|| Error::PodGone { key: key.clone() })
    }

    /// Returns whether the pod runs as its manifest has it.
    pub(crate) fn is_running(&self, pod: &Pod) -> Result<bool, Error> {
        let netns = AppliedPod::netns_name(&pod.key);
        let record = match (self.store.pod(&pod.key)?, NamedNetns::find(&netns)?) {
            (Some(record), Some(_)) if record.is_complete() => record,
            (None, Some(_)) => return Err(Error::NetnsTaken { key: pod.key.clone(), netns }),
            _ => return Ok(false),
        };
        let annotations = (record.networks.as_deref(), record.default_network.as_deref());
        if annotations == (pod.networks(), pod.default_network()) {
            return Ok(true);
        }
        let running = record.networks.unwrap_or_default();
        Err(Error::PodDiffers { key: pod.key.clone(), running })
    }
}

/// Refuses everybody but root: nobody else can read the records or enter a pod.
pub(crate) fn require_root(command: &'static str) -> Result<(), Error> {
    let uid = rustix::process::geteuid();
    if uid.is_root() { Ok(()) } else { Err(Error::NotRoot { command, uid: uid.as_raw() }) }
}
