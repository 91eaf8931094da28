//! The meta-plugin: called by a runtime, it attaches a pod to all its networks in one process.
//!
//! In a cluster the agent of the node says what the pod asks for; without one the configuration lists the networks
//! in `delegates`, as Multus' does where it asks no cluster. It is called by its own name and by those of Multus.

mod cluster;
mod config;

use std::fmt::Display;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use podbond_agent_socket::{Client, READY_SINCE_BOOT, SOCKET};
use podbond_api::ResourceName;
use podbond_attach::{
    AttachedByMultus, Attacher, Chain, Checked, Device, DeviceInfoFiles, Devices, Sandbox,
};
use podbond_cni::{
    CniResult, Code, Command, Delegates, Failure, NetConf, NodeRequest, Plugin, Request,
};
use podbond_names::PciAddress;
use podbond_record::{Record, Records, State, Unreadable};

use self::cluster::PodNetworks;
use self::config::{CNI_DIR, MetaConfig, Networks};

/// How long STATUS of the primary network may take: a runtime asks every 5 s, and the node's state waits for it.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// The meta-plugin.
#[derive(Debug)]
pub(crate) struct Meta {
    records: Records,
    device_info: DeviceInfoFiles,
    agent: Client,
    /// Is there once the agent was ready since the node was started.
    was_ready: PathBuf,
}

impl Default for Meta {
    fn default() -> Self {
        Self {
            records: Records::default(),
            device_info: DeviceInfoFiles::default(),
            agent: Client::new(SOCKET),
            was_ready: READY_SINCE_BOOT.into(),
        }
    }
}

impl Plugin for Meta {
    fn name(&self) -> &'static str {
        "podbond"
    }

    /// Returns the result of the first network, which is the pod's default network.
    fn add(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Failure> {
        let config = MetaConfig::read(&request.config)?;
        let mut sandbox = sandbox(request)?;
        let warn = |what: &dyn Display| delegates.warn(Command::Add, request, "warning", what);
        for key in &config.passed_over {
            warn(key);
        }
        let chain = match &config.networks {
            Networks::Listed(networks) => {
                Chain::delegated(networks, &request.ifname)?.pass_on(request)?
            }
            Networks::Cluster(cluster) => {
                let networks = cluster::pod_networks(cluster, request, &sandbox.pod, &self.agent)?;
                let PodNetworks { chain, uid, warnings } = networks;
                for warning in &warnings {
                    warn(warning);
                }
                sandbox.pod.uid.get_or_insert(uid);
                chain
            }
        };
        let path = plugin_path(config.bin_dir, &request.path);
        let added = self.attacher(delegates, &path).add(&sandbox, &chain)?;
        if let Networks::Cluster(_) = config.networks {
            let id = request.container_id.as_str();
            if let Some(deferred) = cluster::report(&self.agent, &sandbox.pod, id) {
                warn(&deferred);
            }
        }
        Ok(added.first.unwrap_or_default())
    }

    /// Deletes by the records, since a configuration may have changed since ADD; by the configuration
    /// where they cannot be read, or there are none; by Multus' file what Multus has attached.
    fn del(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure> {
        let path = path_of(&request.config, &request.path);
        let attacher = self.attacher(delegates, &path);
        let id = &request.container_id;
        let mut errors = Vec::new();
        if let Some((sandbox, attached)) = attached_by_multus(request, delegates) {
            errors.extend(attacher.delete_of_another(&sandbox, &attached.chain));
            // It stays for the next DEL where there was an error.
            if errors.is_empty() {
                errors.extend(attached.remove().err());
                errors.extend(attacher.delete(id, || None));
            }
        } else {
            errors.extend(attacher.delete(id, || configured_for_pod(request).ok()));
        }
        all(errors.into_iter().map(Failure::from))
    }

    fn check(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure> {
        let (records, unreadable) = self
            .records
            .of_container(&request.container_id)
            .map_err(|e| Failure::new(Code::IO, e))?;
        let path = path_of(&request.config, &request.path);
        let attacher = self.attacher(delegates, &path);
        let active = records.iter().filter(|record| record.state != State::IpamPending);
        let checked = active.flat_map(|record| attacher.check(record));
        let differ: Vec<Failure> = checked.filter_map(|(_, checked)| failure_of(checked)).collect();
        // What cannot be read may be of any of them.
        let lost = if unreadable.is_empty() { unrecorded(request, &records) } else { Vec::new() };
        all(unreadable.iter().map(cannot_be_read).chain(lost).chain(differ))
    }

    /// "If a plugin relies on a delegated plugin (e.g. IPAM) to service ADD requests, it must also
    /// execute a STATUS request to that plugin" (section "STATUS"). In a cluster a pod's own networks are not
    /// known here: the primary network is asked, within a second. The agent is missed only until it was
    /// ready once: later its absence is that of a pod's ADD alone, and not of the node.
    fn status(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        let config = MetaConfig::read(&request.config)?;
        let path = plugin_path(config.bin_dir, &request.path);
        let cluster = match &config.networks {
            Networks::Listed(networks) => {
                let chain = Chain::delegated(networks, &cluster::eth0()?)?;
                let unready = self.attacher(delegates, &path).unready(&chain);
                return podbond_ipam::readiness(unready, request, delegates);
            }
            Networks::Cluster(cluster) => cluster,
        };
        if !self.was_ready.exists() {
            let msg = "podbond-agent was not ready since this node was started: is its pod on this node \
                       running? kubectl -n podbond-system get pods -o wide";
            return Err(Failure::new(Code::NOT_AVAILABLE, msg));
        }
        let unready_network = |failure: Failure| Failure { code: Code::NOT_AVAILABLE, ..failure };
        let chain = cluster::primary(cluster).map_err(unready_network)?;
        let delegates = delegates.until(Instant::now() + STATUS_TIMEOUT);
        let unready = self.attacher(&delegates, &path).unready(&chain);
        podbond_ipam::readiness(unready, request, &delegates)
    }

    /// Deletes by the records what is of no valid pod, and passes GC on to the networks' plugins, each with
    /// what is valid of its network.
    fn gc(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        let chain = configured(&request.config);
        let networks = chain.as_ref().cloned().unwrap_or_default();
        let path = path_of(&request.config, &request.path);
        let failures = self.attacher(delegates, &path).gc(request, &networks);
        all(chain.err().into_iter().chain(failures))
    }
}

impl Meta {
    fn attacher<'a>(&'a self, delegates: &'a Delegates<'a>, path: &'a [PathBuf]) -> Attacher<'a> {
        Attacher {
            delegates,
            devices: &Chosen,
            records: &self.records,
            path,
            device_info: &self.device_info,
        }
    }
}

/// Returns the failure of a CHECK, if it has one.
fn failure_of(checked: Checked) -> Option<Failure> {
    match checked {
        Checked::Same | Checked::NotChecked(_) => None,
        Checked::Differs(failure) | Checked::Failed(failure) => Some(failure),
    }
}

fn cannot_be_read(file: &Unreadable) -> Failure {
    let msg = format!("record {} {}: make the pod anew", file.path.display(), file.problem);
    Failure::new(Code::DECODE, msg)
}

/// Returns the sandbox that a request is about.
fn sandbox(request: &Request) -> Result<Sandbox, Failure> {
    let pod = request.pod().ok_or_else(|| {
        let msg = "CNI_ARGS: K8S_POD_NAMESPACE and K8S_POD_NAME are missing or malformed: they name \
                   the pod";
        Failure::new(Code::INVALID_ENVIRONMENT, msg)
    })?;
    let netns = request.netns.clone().unwrap_or_default();
    let (container_id, network) = (request.container_id.clone(), request.config.name.clone());
    Ok(Sandbox { pod, container_id, netns, meta_network: Some(network) })
}

/// Returns the sandbox that a request is about and the networks that its configuration gives to the pod: all
/// of them where no cluster is asked, else those of every pod that need no NAD.
fn configured_for_pod(request: &Request) -> Result<(Sandbox, Chain), Failure> {
    let sandbox = sandbox(request)?;
    let chain = match MetaConfig::read(&request.config)?.networks {
        Networks::Listed(networks) => {
            Chain::delegated(&networks, &request.ifname)?.pass_on(request)?
        }
        Networks::Cluster(cluster) => {
            cluster::configured_for_pod(&cluster, request, &sandbox.pod.namespace)?
        }
    };
    Ok((sandbox, chain))
}

/// Returns what Multus has recorded of the sandbox that DEL is about; none where it has not attached it. What
/// cannot be read is treated as missing, as a record is.
fn attached_by_multus(
    request: &Request,
    delegates: &Delegates<'_>,
) -> Option<(Sandbox, AttachedByMultus)> {
    let sandbox = sandbox(request).ok()?;
    let config = MetaConfig::read(&request.config).ok();
    let cni_dir = config.map_or_else(|| CNI_DIR.into(), |config| config.cni_dir);
    let attached = AttachedByMultus::read(&cni_dir, &request.container_id, &request.ifname);
    let attached = attached.unwrap_or_else(|error| {
        delegates.warn(Command::Del, request, "warning", &error);
        None
    });
    Some((sandbox, attached?))
}

/// Returns the directories of plugins: `binDir` before those of `CNI_PATH`.
fn plugin_path(bin_dir: Option<PathBuf>, path: &[PathBuf]) -> Vec<PathBuf> {
    bin_dir.into_iter().chain(path.iter().cloned()).collect()
}

/// Returns the directories of plugins by a configuration that may be wrong.
fn path_of(config: &NetConf, path: &[PathBuf]) -> Vec<PathBuf> {
    plugin_path(MetaConfig::read(config).ok().and_then(|config| config.bin_dir), path)
}

/// Returns a failure for each network of the configuration of which the pod has no record: it was never
/// attached, or its record is lost. Without networks in the configuration one record is enough.
fn unrecorded(request: &Request, records: &[Record]) -> Vec<Failure> {
    let Ok((sandbox, chain)) = configured_for_pod(request) else {
        let container = format_args!("container {}", request.container_id);
        return if records.is_empty() { vec![not_recorded(container)] } else { Vec::new() };
    };
    let mut failures = Vec::new();
    for attachment in chain.attachments {
        if !records.iter().any(|record| record.ifname == attachment.ifname) {
            failures.push(not_recorded(sandbox.attachment_id(&attachment)));
        }
    }
    failures
}

fn not_recorded(what: impl Display) -> Failure {
    let msg = format!(
        "{what}: nothing is recorded of it, so that nothing can be compared: make the pod anew"
    );
    Failure::new(Code::DIFFERS, msg)
}

/// The devices that the caller has chosen: the configuration of each network names its own.
struct Chosen;

impl Devices for Chosen {
    fn choose(&self, resource: &ResourceName) -> Result<Device, Failure> {
        let msg =
            format!("resource {resource}: who calls podbond chooses the device: set deviceID");
        Err(Failure::new(Code::INVALID_CONFIG, msg))
    }

    fn choose_this(&self, address: PciAddress) -> Result<Device, Failure> {
        Ok(Device { address, lock: None })
    }
}

/// Returns the networks of a configuration that need no NAD, for what concerns no single pod.
fn configured(config: &NetConf) -> Result<Chain, Failure> {
    match MetaConfig::read(config)?.networks {
        Networks::Listed(networks) => Ok(Chain::delegated(&networks, &cluster::eth0()?)?),
        Networks::Cluster(cluster) => cluster::configured(&cluster),
    }
}

/// Returns success without failures; else the first, with the others as its details.
fn all(failures: impl IntoIterator<Item = Failure>) -> Result<(), Failure> {
    let mut failures = failures.into_iter();
    let Some(first) = failures.next() else { return Ok(()) };
    let details = Some(first.details.clone()).filter(|details| !details.is_empty());
    let details: Vec<String> =
        details.into_iter().chain(failures.map(|failure| failure.to_string())).collect();
    Err(first.with_details(details.join("; ")))
}

#[cfg(test)]
mod tests;
