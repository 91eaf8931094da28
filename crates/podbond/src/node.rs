use std::path::{Path, PathBuf};
use std::time::Duration;

use podbond_api::{NETWORKS_ANNOTATION, Nad, ObjectKey, Pod, ResourceName};
use podbond_attach::{
    Attacher, Chain, Checked, Devices, Holder, NetworkStatus, Record, Records, Sandbox, Source,
};
use podbond_cni::{Code, ContainerId, Delegates, Failure, NetConf};
use podbond_inventory::Ledger;
use podbond_kernel::{NamedNetns, Sysfs, is_netns};
use podbond_names::PciAddress;
use podbond_state::Lock;

use crate::error::Error;
use crate::output::note;
use crate::store::{PodRecord, Store};

/// How long a command waits for another one that changes the node.
const LOCK_PATIENCE: Duration = Duration::from_mins(1);

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
    /// Who holds which VF.
    pub(crate) ledger: Ledger,
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
            ledger: Ledger::new(&state, Path::new(podbond_sriov::DIR)),
            sysfs: Sysfs::new("/sys"),
            state,
        }
    }

    /// Keeps other commands from changing the node until the guard is dropped. `command` is the
    /// name of the one that asks; only root may.
    pub(crate) fn lock(&self, command: &'static str) -> Result<Lock, Error> {
        require_root(command)?;
        Ok(Lock::take(&self.state.join("command.lock"), LOCK_PATIENCE)?)
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
        let devices = NodeDevices { node: self, netns: &sandbox.netns };
        let added = self.attacher(&devices).add(sandbox, chain);
        let added = added.map_err(|error| Error::Failed(error.into()))?;
        for warning in added.warnings {
            note(format_args!("pod {}: {warning}", sandbox.pod));
        }
        Ok(added.statuses)
    }

    /// Whether the plugins that a configuration names are installed.
    pub(crate) fn look_up(&self, config: &NetConf) -> Result<(), Failure> {
        self.delegates.check_installed(config, &self.plugin_path)
    }

    /// Takes a sandbox's attachments away, from their records alone. Where one stays, so does what
    /// the ledger tells of the sandbox.
    pub(crate) fn detach(&self, container_id: &ContainerId) -> Vec<Error> {
        // A holder is known by its container and interface: where its namespace was is not asked.
        let devices = NodeDevices { node: self, netns: Path::new("") };
        let attacher = self.attacher(&devices);
        let (_, damaged) = self.records().of(container_id);
        let anew = if damaged.is_empty() { None } else { self.chain_of(container_id) };
        let errors = match anew {
            Some((sandbox, chain)) => attacher.delete_as(&sandbox, &chain),
            None => attacher.delete(container_id),
        };
        if !errors.is_empty() {
            return errors.into_iter().map(|error| Error::Failed(error.into())).collect();
        }
        // A command that was killed may have taken a VF and recorded no attachment of it yet.
        let released = self.ledger.release_all(container_id.as_str());
        released.err().map(Error::from).into_iter().collect()
    }

    /// The networks of the pod that a sandbox was made for, as they would be today. Nothing, where
    /// that cannot be found out: it is asked for when records are damaged.
    fn chain_of(&self, container_id: &ContainerId) -> Option<(Sandbox, Chain)> {
        let pods = self.store.pods(None).ok()?;
        let mut records = pods.into_iter().filter_map(|(_, record)| record.ok());
        let record = records.find(|pod| pod.sandboxes().any(|id| id == container_id))?;
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
        // The namespace of an earlier sandbox is gone, and its path is the next one's.
        let netns = (record.container_id == *container_id)
            .then(|| NamedNetns::find(&PodRecord::netns_name(&record.pod)).ok()?)
            .flatten();
        let netns = netns.map_or_else(PathBuf::new, |netns| netns.path().to_owned());
        let container_id = container_id.clone();
        Some((Sandbox { pod: record.pod, uid: None, container_id, netns }, chain))
    }

    /// Takes an attachment away whose namespace is gone.
    pub(crate) fn take_away(&self, record: &Record) -> Vec<Error> {
        let devices = NodeDevices { node: self, netns: Path::new("") };
        let errors = self.attacher(&devices).take_away(record);
        errors.into_iter().map(|error| Error::Failed(error.into())).collect()
    }

    /// CHECK of each plugin of an attachment.
    pub(crate) fn check(&self, record: &Record) -> Vec<(String, Checked)> {
        let devices = NodeDevices { node: self, netns: &record.netns.path };
        self.attacher(&devices).check(record)
    }

    /// The directory of podbond's own state.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// The records of all attachments.
    pub(crate) fn records(&self) -> Records {
        Records::new(&self.state)
    }

    fn attacher<'n>(&'n self, devices: &'n NodeDevices<'n>) -> Attacher<'n> {
        Attacher {
            delegates: self.delegates,
            devices,
            state: &self.state,
            path: &self.plugin_path,
            is_netns: &is_netns,
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
            None => self.store.nad(key).map_err(|error| Failure::new(Code::Io, error)),
        }
    }
}

/// Devices from this node's own cards and policies, for the pod in one namespace.
struct NodeDevices<'n> {
    node: &'n Node<'n>,
    netns: &'n Path,
}

impl NodeDevices<'_> {
    fn holder(&self, holder: &Holder) -> podbond_inventory::Holder {
        podbond_inventory::Holder {
            pod: holder.pod.clone(),
            container_id: holder.container_id.to_string(),
            interface: holder.ifname.clone(),
            netns: self.netns.to_owned(),
        }
    }
}

impl Devices for NodeDevices<'_> {
    fn allocate(&self, resource: &ResourceName, holder: &Holder) -> Result<PciAddress, Failure> {
        let holder = self.holder(holder);
        self.node.ledger.allocate(&self.node.sysfs, resource, &holder).map_err(device_failure)
    }

    fn claim(&self, device: PciAddress, holder: &Holder) -> Result<(), Failure> {
        let holder = self.holder(holder);
        self.node.ledger.claim(&self.node.sysfs, device, &holder).map_err(device_failure)
    }

    fn release(&self, device: PciAddress, holder: &Holder) -> Result<(), Failure> {
        self.node.ledger.release(device, &self.holder(holder)).map_err(device_failure)
    }
}

pub(crate) fn device_failure(error: podbond_inventory::Error) -> Failure {
    use podbond_inventory::Error as E;
    let code = match error {
        E::NoFreeVf { .. } | E::NoVfs { .. } => Code::EXHAUSTED,
        E::Held { .. } | E::InUse { .. } => Code::CONFLICT,
        E::Kernel(_) => Code::KERNEL,
        E::State(podbond_state::Error::Locked { .. }) => Code::TryAgain,
        E::State(_) | E::Damaged { .. } => Code::Io,
        _ => Code::InvalidConfig,
    };
    Failure::new(code, error)
}
