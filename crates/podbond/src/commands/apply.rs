use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use podbond_api::{Pod, SriovNetworkNodePolicy};
use podbond_attach::{Chain, Sandbox};
use podbond_cni::ContainerId;
use podbond_inventory::Applied;
use podbond_kernel::{Kernel, NamedNetns};

use crate::cli::{ApplyArgs, Labels};
use crate::error::Error;
use crate::files;
use crate::node::{Nads, Node};
use crate::preview;
use crate::store::PodRecord;
use crate::wanted::Wanted;

/// Makes what manifests ask for. All of it is checked before any of it is begun.
pub(crate) fn apply(node: &Node<'_>, args: &ApplyArgs) -> Result<(), Error> {
    let wanted = Wanted::read(files::read(&args.manifests.files)?)?;
    let _lock = node.lock("apply")?;
    let labels = label_map(&args.labels);
    let mut kernel = Kernel::host()?;
    let pods = checked_pods(node, &wanted)?;
    preview::preview(node, &mut kernel, &wanted, labels.as_ref(), &pods)?;

    for ignored in &wanted.ignored {
        eprintln!("{ignored} is of no kind that podbond knows: not looked at");
    }
    apply_policies(node, &mut kernel, &wanted.policies, labels.as_ref())?;
    for nad in &wanted.nads {
        let outcome = match node.store.nad(&nad.key)? {
            Some(known) if known == *nad => "unchanged",
            Some(_) => "changed, for pods that are made from now on",
            None => "created",
        };
        if outcome != "unchanged" {
            node.store.put_nad(nad)?;
        }
        println!("{} {} {outcome}", wanted.origin(nad), nad.key);
    }
    for (pod, chain) in &pods {
        let outcome = if is_running(node, pod)? { "unchanged" } else { create(node, pod, chain)? };
        println!("Pod {} {outcome}", pod.key);
    }
    Ok(())
}

/// The labels as a map; none where none were given.
pub(crate) fn label_map(labels: &Labels) -> Option<BTreeMap<String, String>> {
    let map: BTreeMap<_, _> = labels.labels.iter().cloned().collect();
    if map.is_empty() { None } else { Some(map) }
}

/// Each pod with its chain resolved, from the NADs of the manifests and those that are here.
pub(crate) fn checked_pods<'w>(
    node: &Node<'_>,
    wanted: &'w Wanted,
) -> Result<Vec<(&'w Pod, Chain)>, Error> {
    let default_network = podbond_attach::default_network(&node.conf_dir)
        .map_err(|error| Error::Refused(error.into()))?;
    if default_network.is_none() && !wanted.pods.is_empty() {
        let dir = node.conf_dir.display();
        eprintln!("{dir} holds no default network: pods get no eth0");
    }
    let source = Nads { new: &wanted.nads, store: &node.store };
    let mut pods = Vec::new();
    for pod in &wanted.pods {
        let chain = Chain::resolve(pod, &source, default_network.as_ref())
            .map_err(|error| Error::Refused(error.into()))?;
        for attachment in &chain.attachments {
            for key in &attachment.ignored {
                let (ifname, name) = (&attachment.ifname, attachment.name());
                eprintln!("pod {}: {ifname} ({name}): no plugin takes {key:?}: ignored", pod.key);
            }
        }
        pods.push((pod, chain));
    }
    Ok(pods)
}

fn apply_policies(
    node: &Node<'_>,
    kernel: &mut Kernel,
    policies: &[SriovNetworkNodePolicy],
    labels: Option<&BTreeMap<String, String>>,
) -> Result<(), Error> {
    if policies.is_empty() {
        return Ok(());
    }
    let known = node.ledger.policies().stored()?;
    let planned = node.ledger.policies().plan(kernel, policies, labels)?;
    if !planned.steps.is_empty() && io::stderr().is_terminal() {
        // A card may take seconds to make its VFs.
        eprintln!("making VFs: {} …", planned.steps[0]);
    }
    let applied = node.ledger.policies().apply(kernel, policies, labels)?;
    for note in policy_notes(&applied) {
        eprintln!("{note}");
    }
    for policy in policies.iter().filter(|policy| !applied.not_for_node.contains(&policy.key)) {
        let outcome = match known.iter().find(|old| old.key == policy.key) {
            Some(old) if old == policy => "unchanged",
            Some(_) => "changed",
            None => "created",
        };
        println!("SriovNetworkNodePolicy {} {outcome}", policy.key);
    }
    Ok(())
}

/// What there is to say of policies beside what is done for them.
pub(crate) fn policy_notes(applied: &Applied) -> Vec<String> {
    let elsewhere = applied.not_for_node.iter().map(|key| {
        format!(
            "SriovNetworkNodePolicy {key} is not for this node: its nodeSelector does not match"
        )
    });
    let unlooked = applied.selector_not_looked_at.iter().map(|key| {
        format!(
            "SriovNetworkNodePolicy {key}: nodeSelector is not looked at: give this node's labels \
             with --node-label"
        )
    });
    let overridden = applied.assignment.overridden.iter().map(|one| {
        format!(
            "SriovNetworkNodePolicy {} gives way to {} on PF {}, which has the lower priority number",
            one.policy, one.by, one.pf
        )
    });
    elsewhere.chain(unlooked).chain(overridden).collect()
}

/// Whether the pod is here as its manifest has it.
pub(crate) fn is_running(node: &Node<'_>, pod: &Pod) -> Result<bool, Error> {
    let Some(record) = node.store.pod(&pod.key)? else { return Ok(false) };
    if NamedNetns::find(&PodRecord::netns_name(&pod.key))?.is_none() {
        return Ok(false);
    }
    if record.networks.as_deref() == pod.networks() {
        Ok(true)
    } else {
        let running = record.networks.unwrap_or_default();
        Err(Error::PodDiffers { key: pod.key.clone(), running })
    }
}

fn create(node: &Node<'_>, pod: &Pod, chain: &Chain) -> Result<&'static str, Error> {
    // A record without a namespace: the node was started anew since. What it held is swept first.
    if let Some(old) = node.store.pod(&pod.key)? {
        Error::gather(node.detach(&old.container_id))?;
    }
    let container_id = new_container_id()?;
    let record = PodRecord::new(pod, container_id.clone());
    node.store.put_pod(&record)?;
    let outcome = NamedNetns::create(&PodRecord::netns_name(&pod.key))
        .map_err(Error::from)
        .and_then(|netns| fill(node, pod, chain, &container_id, netns));
    match outcome {
        Ok(statuses) => {
            node.store.put_pod(&record.with_status(&statuses))?;
            Ok("created")
        }
        Err(error) => {
            // What could not be undone keeps the record, so that `delete` tries again.
            let left = node.detach(&container_id);
            if left.is_empty() {
                node.store.remove_pod(&pod.key)?;
            }
            Error::gather(std::iter::once(error).chain(left).collect()).map(|()| "created")
        }
    }
}

/// Attaches a new namespace to the pod's networks; removes it when that fails.
fn fill(
    node: &Node<'_>,
    pod: &Pod,
    chain: &Chain,
    container_id: &ContainerId,
    netns: NamedNetns,
) -> Result<Vec<podbond_attach::NetworkStatus>, Error> {
    let sandbox = Sandbox {
        pod: pod.key.clone(),
        uid: pod.uid.clone(),
        container_id: container_id.clone(),
        netns: netns.path().to_owned(),
    };
    let attached = node.attach(&sandbox, chain);
    if attached.is_err() {
        netns.remove()?;
    }
    attached
}

/// A new ID, as a runtime would give: no two sandboxes share one, whatever their pods are called.
fn new_container_id() -> Result<ContainerId, Error> {
    let path = std::path::Path::new("/proc/sys/kernel/random/uuid");
    let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
    let uuid = std::fs::read_to_string(path).map_err(failed)?;
    let id = uuid.trim().replace('-', "");
    ContainerId::try_from(id).map_err(|reason| Error::Record { path: path.to_owned(), reason })
}
