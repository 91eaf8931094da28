//! A pod's networks in a cluster: what the agent of the node answers about the pod, with the rules of the
//! meta-plugin's configuration, as a chain whose devices are chosen.

use std::borrow::Cow;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use podbond_agent_socket::{
    Client, Error as AgentError, PodId, RefusalReason, Report, Resolve, Written,
};
use podbond_api::{Nad, ObjectKey, Pod};
use podbond_attach::{
    AnsweredNads, Asked, Chain, ConfiguredNetwork, NodeNetwork, PassedOver, Place, Rules,
    Undeclared, answered_pod, assign_devices, network_at, network_named,
};
use podbond_cni::{Code, Failure, PodRef, Request};
use podbond_kernel::Sysfs;
use podbond_names::{LinkName, Namespace, ObjectUid};
use podbond_state::settings::PATH;

use super::config::{Cluster, NetworkRef, Primary};

/// How long ADD waits for the file in which a primary network says that it is ready, as Multus.
const READINESS_TIMEOUT: Duration = Duration::from_secs(45);

/// Where the daemon of a thick Multus has the node's folders.
const HOST: &str = "/host";

/// Between two looks at that file.
const READINESS_INTERVAL: Duration = Duration::from_millis(250);

/// A pod's networks, ready to be attached.
pub(super) struct PodNetworks {
    pub(super) chain: Chain,
    /// The UID of the pod in the API.
    pub(super) uid: ObjectUid,
    /// What has no effect, and what does not survive: for the log.
    pub(super) warnings: Vec<String>,
}

/// Returns the networks of a pod, as the agent answers. Nothing is changed.
pub(super) fn pod_networks(
    cluster: &Cluster,
    request: &Request,
    pod: &PodRef,
    agent: &Client,
) -> Result<PodNetworks, Failure> {
    if let Some(file) = &cluster.readiness_file {
        wait_for(file, READINESS_TIMEOUT)?;
    }
    let id = pod_id(pod);
    let resolve = Resolve {
        pod: id.clone(),
        default_network_namespace: cluster.multus_namespace.clone(),
        configured: configured_nads(cluster, &pod.namespace),
    };
    let resolved = agent.resolve(resolve).map_err(|error| of_agent(&error, pod))?;
    let nads = AnsweredNads::new(&resolved.nads, cluster.conf_dir.clone());
    let sources =
        Sources { cluster, nad: &|key| nads.get(key).cloned(), missing: Missing::Refused };
    let asked = Asked { config: request.config.raw.clone(), args: request.args.clone() };
    let rules = sources.rules(&request.ifname, Some(asked), Some(&pod.namespace))?;
    let of_api = answered_pod(&id, &resolved);
    let mut chain = Chain::resolve_by(&of_api, &nads, &rules)?;
    let undeclared = Undeclared::read(Path::new(PATH));
    let undeclared = undeclared.map_err(|error| Failure::new(Code::INVALID_CONFIG, error))?;
    undeclared.check(&of_api.key, &chain)?;
    let sysfs = Sysfs::new("/sys");
    let shared = assign_devices(&mut chain, &of_api.key, &resolved, |vf| {
        // What sysfs does not show has no PF here; its plugin says so.
        sysfs.pf_of(vf).ok().flatten()
    })?;
    let shared = shared.iter().map(|shared| format!("pod {pod}: {shared}"));
    let warnings = passed_over(&of_api, &chain).into_iter().chain(shared).collect();
    Ok(PodNetworks { chain, uid: resolved.uid, warnings })
}

/// Has the pod's status written. Returns why it is not yet, for the log: the agent writes it later.
pub(super) fn report(agent: &Client, pod: &PodRef, container_id: &str) -> Option<String> {
    let report = Report { pod: pod_id(pod), container_id: container_id.to_owned() };
    let reason = match agent.report(report) {
        Ok(reported) if reported.written == Written::Written => return None,
        Ok(reported) => reported.reason.unwrap_or_else(|| "the API does not answer".to_owned()),
        Err(error) => error.to_string(),
    };
    Some(format!(
        "pod {pod}: network-status is not in the API yet, podbond-agent writes it later: {reason}"
    ))
}

/// Returns the networks that the configuration gives to a pod, without those of its annotation and without NADs:
/// as far as the node itself tells them.
pub(super) fn configured_for_pod(
    cluster: &Cluster,
    request: &Request,
    pod: &Namespace,
) -> Result<Chain, Failure> {
    let asked = Asked { config: request.config.raw.clone(), args: request.args.clone() };
    let sources = Sources { cluster, nad: &|_| None, missing: Missing::LeftOut };
    chain_of(cluster, &sources.rules(&request.ifname, Some(asked), Some(pod))?)
}

/// Returns the networks that the configuration gives to every pod, as [`configured_for_pod`].
pub(super) fn configured(cluster: &Cluster) -> Result<Chain, Failure> {
    let sources = Sources { cluster, nad: &|_| None, missing: Missing::LeftOut };
    chain_of(cluster, &sources.rules(&eth0()?, None, None)?)
}

/// Returns the primary network of the configuration; none where it is a NAD, which only the API has.
///
/// # Errors
/// Where its file is not there.
pub(super) fn primary(cluster: &Cluster) -> Result<Chain, Failure> {
    let is_nad = matches!(&cluster.primary, Primary::ClusterNetwork(NetworkRef::Name(_)));
    let missing = if is_nad { Missing::LeftOut } else { Missing::Refused };
    let sources = Sources { cluster, nad: &|_| None, missing };
    let mut chain = chain_of(cluster, &sources.rules(&eth0()?, None, None)?)?;
    chain.attachments.retain(|attachment| attachment.place == Place::Default);
    Ok(chain)
}

/// Returns the chain of a pod without annotations.
fn chain_of(cluster: &Cluster, rules: &Rules) -> Result<Chain, Failure> {
    let name = "none".parse().map_err(|error| Failure::new(Code::DEFECT, error))?;
    let key = ObjectKey { namespace: cluster.multus_namespace.clone(), name };
    let pod = Pod { key, uid: None, annotations: [].into() };
    let no_nads = AnsweredNads::new(&[], cluster.conf_dir.clone());
    Ok(Chain::resolve_by(&pod, &no_nads, rules)?)
}

/// Returns the interface of the default network where no runtime names it.
pub(super) fn eth0() -> Result<LinkName, Failure> {
    "eth0".parse().map_err(|error| Failure::new(Code::DEFECT, error))
}

/// What becomes of a network that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// It is an error, with the remedy.
    Refused,
    /// It is left out.
    LeftOut,
}

/// Where the networks of a configuration are found.
struct Sources<'a> {
    cluster: &'a Cluster,
    /// Returns a NAD that the configuration names.
    nad: &'a dyn Fn(&ObjectKey) -> Option<Nad>,
    missing: Missing,
}

impl Sources<'_> {
    /// Returns the rules by which the chain of a pod of this namespace is made, or of any pod.
    fn rules(
        &self,
        ifname: &LinkName,
        asked: Option<Asked>,
        pod: Option<&Namespace>,
    ) -> Result<Rules, Failure> {
        let cluster = self.cluster;
        let (default_network, mut more) = match &cluster.primary {
            Primary::ClusterNetwork(network) => (self.find("clusterNetwork", network)?, Vec::new()),
            Primary::Delegates(delegates) => {
                let networks = NodeNetwork::delegates(delegates)?;
                let mut networks = networks.into_iter().map(ConfiguredNetwork::OnNode);
                (networks.next(), networks.collect())
            }
        };
        if !pod.is_some_and(|pod| cluster.system_namespaces.contains(pod)) {
            for network in &cluster.default_networks {
                more.extend(self.find("defaultNetworks", network)?);
            }
        }
        Ok(Rules {
            ifname: ifname.clone(),
            default_network,
            more,
            multus_namespace: cluster.multus_namespace.clone(),
            isolation: cluster.isolation.clone(),
            asked,
        })
    }

    /// Returns the network that a field refers to.
    fn find(
        &self,
        field: &'static str,
        network: &NetworkRef,
    ) -> Result<Option<ConfiguredNetwork>, Failure> {
        let Cluster { conf_dir, multus_namespace, .. } = self.cluster;
        let found = match network {
            NetworkRef::Path(path) => {
                network_at(&path_on_node(path))?.map(ConfiguredNetwork::OnNode)
            }
            NetworkRef::Name(name) => {
                match nad_key(self.cluster, name).and_then(|key| (self.nad)(&key)) {
                    Some(nad) => Some(ConfiguredNetwork::Nad(nad)),
                    None => network_named(conf_dir, name)?.map(ConfiguredNetwork::OnNode),
                }
            }
        };
        if found.is_some() || self.missing == Missing::LeftOut {
            return Ok(found);
        }
        Err(match network {
            NetworkRef::Path(path) => not_there(field, path),
            NetworkRef::Name(name) => {
                let msg = format!(
                    "field {field} names network {name:?}, and there is neither a \
                     NetworkAttachmentDefinition {name} in namespace {multus_namespace} nor a file \
                     with this name in {}: apply the one or write the other, or correct the name",
                    conf_dir.display()
                );
                Failure::new(Code::INVALID_CONFIG, msg)
            }
        })
    }
}

/// Returns a path as the node has it. A thick Multus writes the paths of its own container into the node's
/// configuration, where the node's folders are below `/host`; on the node nothing may be there.
fn path_on_node(path: &Path) -> Cow<'_, Path> {
    match path.strip_prefix(HOST) {
        Ok(below) if !path.exists() => Path::new("/").join(below).into(),
        _ => path.into(),
    }
}

/// Returns the failure for a file that is not there: a primary network's plugin writes it when it is ready.
fn not_there(field: &str, path: &Path) -> Failure {
    let msg = format!(
        "field {field} names {:?}, and no network's configuration is there: wait until the primary \
         network's pod on this node is ready, or correct the path",
        path.display().to_string()
    );
    Failure::new(Code::TRY_AGAIN, msg)
}

/// Returns the NADs that a configuration may name, for a pod of this namespace.
fn configured_nads(cluster: &Cluster, pod: &Namespace) -> Vec<ObjectKey> {
    let primary = match &cluster.primary {
        Primary::ClusterNetwork(network) => Some(network),
        Primary::Delegates(_) => None,
    };
    let is_system = cluster.system_namespaces.contains(pod);
    let more = cluster.default_networks.iter().filter(|_| !is_system);
    let names = primary.into_iter().chain(more).filter_map(|network| match network {
        NetworkRef::Name(name) => nad_key(cluster, name),
        NetworkRef::Path(_) => None,
    });
    names.collect()
}

/// Returns the NAD of a name in `multusNamespace`; none where no NAD can have the name.
fn nad_key(cluster: &Cluster, name: &str) -> Option<ObjectKey> {
    let namespace = cluster.multus_namespace.clone();
    Some(ObjectKey { namespace, name: name.parse().ok()? })
}

fn pod_id(pod: &PodRef) -> PodId {
    PodId { namespace: pod.namespace.clone(), name: pod.name.clone(), uid: pod.uid.clone() }
}

/// Waits until a file is there.
fn wait_for(file: &Path, timeout: Duration) -> Result<(), Failure> {
    let end = Instant::now() + timeout;
    while !file.exists() {
        if Instant::now() >= end {
            let msg = format!(
                "readinessindicatorfile {:?} is not there after {} s: the primary network's pod on this \
                 node is not ready; look at its log, or correct the path",
                file.display().to_string(),
                timeout.as_secs()
            );
            return Err(Failure::new(Code::TRY_AGAIN, msg));
        }
        sleep(READINESS_INTERVAL);
    }
    Ok(())
}

/// Returns the failure for an exchange with the agent that failed. The kubelet tries again after any of them;
/// the codes say what has to be changed before it can succeed.
fn of_agent(error: &AgentError, pod: &PodRef) -> Failure {
    let code = match error {
        AgentError::Refused(refusal) => match refusal.reason {
            RefusalReason::NoPod | RefusalReason::OtherPod => Code::INVALID_ENVIRONMENT,
            RefusalReason::Annotation | RefusalReason::NoNad | RefusalReason::ResourceClaim => {
                Code::INVALID_CONFIG
            }
            RefusalReason::Version => Code::NOT_AVAILABLE,
            RefusalReason::NotReady | RefusalReason::Other => Code::TRY_AGAIN,
        },
        AgentError::Newer { .. } => Code::NOT_AVAILABLE,
        AgentError::TooLong { .. } => Code::INVALID_CONFIG,
        AgentError::Unexpected | AgentError::Malformed { .. } => Code::DEFECT,
        AgentError::NoAgent { .. } | AgentError::Broken { .. } => Code::TRY_AGAIN,
    };
    let failure = Failure::new(code, format_args!("pod {pod}: {error}"));
    match error {
        AgentError::NoAgent { source, .. } => failure.with_details(source.to_string()),
        _ => failure,
    }
}

/// Returns what of the pod's annotation has no effect, each as a sentence.
fn passed_over(pod: &Pod, chain: &Chain) -> Vec<String> {
    let mut lines = Vec::new();
    for attachment in &chain.attachments {
        let told = attachment.passed_over.iter();
        for passed_over in told.filter(|it| !matches!(it, PassedOver::ArgsOnly { .. })) {
            let (ifname, name) = (&attachment.ifname, attachment.name());
            lines.push(format!("pod {}: {ifname} ({name}): {passed_over}", pod.key));
        }
    }
    lines
}

#[cfg(test)]
mod tests;
