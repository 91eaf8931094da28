use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use podbond_api::{NETWORKS_ANNOTATION, Nad, ObjectKey, Pod, ResourceName};
use podbond_attach::{Attacher, Chain, Checked, Device, Devices, NetworkStatus, Sandbox, Source};
use podbond_cni::{Code, ContainerId, Delegates, Failure, NetConf, PodRef};
use podbond_inventory::Holdings;
use podbond_kernel::{NamedNetns, Sysfs};
use podbond_names::PciAddress;
use podbond_record::{Record, Records};
use podbond_state::Lock;

use crate::error::Error;
use crate::output::note;
use crate::store::{PodRecord, Store};

/// How long a command waits for another one that changes the node.
const LOCK_TIMEOUT: Duration = Duration::from_mins(1);

/// This node: where its state and its plugins are.
pub(crate) struct Node<'a> {
    /// Through which every plugin is called.
    pub(crate) delegates: &'a Delegates<'a>,
    state: PathBuf,
    /// Where plugins are.
    pub(crate) plugin_path: Vec<PathBuf>,
    /// Where the default network's configuration is.
    pub(crate) conf_dir: PathBuf,
    /// What was applied.
    pub(crate) store: Store,
    /// What is remembered of attachments.
    pub(crate) records: Records,
    /// Who holds which VF.
    pub(crate) holdings: Holdings,
    /// The cards.
    pub(crate) sysfs: Sysfs,
}

impl<'a> Node<'a> {
    /// The node with everything where a runtime would look for it. `CNI_PATH` says where plugins
    /// are, as for a runtime; without it they are in `/opt/cni/bin`.
    pub(crate) fn new(delegates: &'a Delegates<'a>) -> Self {
        let state = PathBuf::from(podbond_state::DIR);
        let path = std::env::var_os("CNI_PATH").unwrap_or_else(|| "/opt/cni/bin".into());
        Self {
            delegates,
            plugin_path: std::env::split_paths(&path).collect(),
            conf_dir: PathBuf::from("/etc/cni/net.d"),
            store: Store::new(&state),
            holdings: Holdings::new(&state, Records::default(), Path::new(podbond_sriov::DIR)),
            records: Records::default(),
            sysfs: Sysfs::new("/sys"),
            state,
        }
    }

    /// Keeps other commands from changing the node until the guard is dropped. `command` is the
    /// name of the one that asks; only root may.
    pub(crate) fn lock(&self, command: &'static str) -> Result<Lock, Error> {
        require_root(command)?;
        Ok(Lock::take(&self.state.join("command.lock"), LOCK_TIMEOUT)?)
    }

    /// The namespace of a pod that runs here.
    pub(crate) fn running_pod(&self, key: &ObjectKey) -> Result<NamedNetns, Error> {
        if self.store.pod(key)?.is_none() {
            return Err(Error::NoSuchPod { key: key.clone() });
        }
        NamedNetns::find(&PodRecord::netns_name(key))?
            .ok_or_else(|| Error::PodGone { key: key.clone() })
    }

    /// Attaches a sandbox to its networks.
    pub(crate) fn attach(
        &self,
        sandbox: &Sandbox,
        chain: &Chain,
    ) -> Result<Vec<NetworkStatus>, Error> {
        let added = self.attacher(&NodeDevices(self)).add(sandbox, chain);
        Ok(added.map_err(|error| Error::Failed(error.into()))?.statuses)
    }

    /// Whether the plugins that a configuration names are installed.
    pub(crate) fn look_up(&self, config: &NetConf) -> Result<(), Failure> {
        self.delegates.check_installed(config, &self.plugin_path)
    }

    /// Undoes a sandbox's attachments, from their records. One that cannot be read is made up for by the
    /// pod's networks as they would be today.
    pub(crate) fn detach(&self, container_id: &ContainerId) -> Vec<Error> {
        let devices = NodeDevices(self);
        let attacher = self.attacher(&devices);
        let errors = attacher.delete(container_id, || self.chain_of(container_id));
        errors.into_iter().map(|error| Error::Failed(error.into())).collect()
    }

    /// Returns the networks of the pod that a sandbox was made for, as they would be today. Nothing, where
    /// that cannot be found out, or the sandbox is not the pod's last.
    fn chain_of(&self, container_id: &ContainerId) -> Option<(Sandbox, Chain)> {
        let pods = self.store.pods(None).ok()?;
        let mut records = pods.into_iter().filter_map(|(_, record)| record.ok());
        let record = records.find(|pod| pod.container_id == *container_id)?;
        let networks = record.networks.clone();
        let annotation = networks.map(|text| (NETWORKS_ANNOTATION.to_owned(), text));
        let pod = Pod {
            key: record.pod.clone(),
            uid: None,
            annotations: annotation.into_iter().collect(),
        };
        let default_network = podbond_attach::default_network(&self.conf_dir).ok()?;
        let source = Nads { new: &[], store: &self.store };
        let chain = Chain::resolve(&pod, &source, default_network.as_ref()).ok()?;
        let netns = NamedNetns::find(&PodRecord::netns_name(&record.pod)).ok()?;
        let netns = netns.map_or_else(PathBuf::new, |netns| netns.path().to_owned());
        let pod = PodRef { namespace: record.pod.namespace, name: record.pod.name, uid: None };
        Some((Sandbox { pod, container_id: container_id.clone(), netns }, chain))
    }

    /// Returns the sandboxes that `podbond apply` made for a pod, as far as anything is recorded of them.
    pub(crate) fn sandboxes_of(&self, pod: &ObjectKey) -> Result<BTreeSet<ContainerId>, Error> {
        let netns = NamedNetns::path_of(&PodRecord::netns_name(pod))?;
        let (records, unreadable) = self.records.all()?;
        let is_in_it =
            |record: &Record| record.netns.as_ref().is_some_and(|recorded| recorded.path == netns);
        let mut sandboxes: BTreeSet<ContainerId> = records
            .into_iter()
            .filter(|record| {
                record.pod.as_ref().is_some_and(|of| of.key() == *pod) && is_in_it(record)
            })
            .map(|record| record.container_id)
            .collect();
        match self.store.pod(pod) {
            Ok(applied) => sandboxes.extend(applied.map(|applied| applied.container_id)),
            // What cannot be read is treated as missing.
            Err(error @ Error::Record { .. }) => note(format_args!("{error}")),
            Err(error) => return Err(error),
        }
        for file in unreadable {
            note(format_args!("record {} {}", file.path.display(), file.problem));
        }
        Ok(sandboxes)
    }

    /// Undoes an attachment that nobody can use any more.
    pub(crate) fn end_orphan(&self, record: &Record) -> Vec<Error> {
        let errors = self.attacher(&NodeDevices(self)).end_orphan(record);
        errors.into_iter().map(|error| Error::Failed(error.into())).collect()
    }

    /// Returns what CHECK of each plugin of an attachment comes to.
    pub(crate) fn check(&self, record: &Record) -> Vec<(String, Checked)> {
        self.attacher(&NodeDevices(self)).check(record)
    }

    fn attacher<'n>(&'n self, devices: &'n NodeDevices<'n>) -> Attacher<'n> {
        Attacher {
            delegates: self.delegates,
            devices,
            records: &self.records,
            path: &self.plugin_path,
        }
    }
}

/// Refuses everybody but root: nobody else can read the records or enter a pod.
pub(crate) fn require_root(command: &'static str) -> Result<(), Error> {
    let uid = rustix::process::geteuid();
    if uid.is_root() { Ok(()) } else { Err(Error::NotRoot { command, uid: uid.as_raw() }) }
}

/// The NADs of this node: those about to be applied before those that were.
pub(crate) struct Nads<'n> {
    pub(crate) new: &'n [Nad],
    pub(crate) store: &'n Store,
}

impl Source for Nads<'_> {
    fn nad(&self, key: &ObjectKey) -> Result<Option<Nad>, Failure> {
        match self.new.iter().find(|nad| nad.key == *key) {
            Some(nad) => Ok(Some(nad.clone())),
            None => self.store.nad(key).map_err(|error| Failure::new(Code::IO, error)),
        }
    }
}

/// Devices from this node's own cards and policies.
struct NodeDevices<'n>(&'n Node<'n>);

impl Devices for NodeDevices<'_> {
    fn choose(&self, resource: &ResourceName) -> Result<Device, Failure> {
        let chosen = self.0.holdings.choose(&self.0.sysfs, resource);
        let (address, lock) = chosen.map_err(device_failure)?;
        Ok(Device { address, lock: Some(lock) })
    }

    fn choose_this(&self, address: PciAddress) -> Result<Device, Failure> {
        let lock = self.0.holdings.choose_this(&self.0.sysfs, address).map_err(device_failure)?;
        Ok(Device { address, lock: Some(lock) })
    }
}

pub(crate) fn device_failure(error: podbond_inventory::Error) -> Failure {
    use podbond_inventory::Error as E;
    let code = match error {
        E::NoFreeVf { .. } | E::NoVfs { .. } => Code::EXHAUSTED,
        E::Held { .. } | E::InUse { .. } => Code::CONFLICT,
        E::Kernel(_) => Code::KERNEL,
        E::State(podbond_state::Error::Locked { .. }) => Code::TRY_AGAIN,
        E::State(_) | E::Record(_) | E::Unreadable { .. } => Code::IO,
        _ => Code::INVALID_CONFIG,
    };
    Failure::new(code, error)
}
