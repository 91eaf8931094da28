use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use podbond_api::{Nad, ObjectKey, Pod, SriovNetworkNodePolicy};
use podbond_attach::{Chain, Sandbox};
use podbond_cni::{ContainerId, PodRef};
use podbond_inventory::Applied;
use podbond_kernel::{Kernel, NamedNetns};

use crate::cli::{ApplyArgs, Labels};
use crate::error::Error;
use crate::files;
use crate::node::{Nads, Node};
use crate::output::{note, say};
use crate::preview;
use crate::store::PodRecord;
use crate::wanted::Wanted;

/// What is said of an object for which nothing is done.
pub(crate) const UNCHANGED: &str = "unchanged";

/// Makes what manifests ask for. All of it is checked before any of it is begun.
pub(crate) fn apply(node: &Node<'_>, args: &ApplyArgs) -> Result<(), Error> {
    let wanted = Wanted::read(files::read(&args.manifests.files)?)?;
    let _lock = node.lock("apply")?;
    let labels = label_map(&args.labels);
    let mut kernel = Kernel::host()?;
    let pods = checked_pods(node, &wanted)?;
    for (pod, _) in &pods {
        sweep_dead(node, &pod.key)?;
    }
    let foreseen = preview::preview(node, &mut kernel, &wanted, labels.as_ref(), &pods)?;

    for ignored in &wanted.ignored {
        note(format_args!("{ignored} is of no kind that podbond knows: not looked at"));
    }
    if !wanted.policies.is_empty() {
        if let Some(first) = foreseen.policies.steps.first()
            && io::stderr().is_terminal()
        {
            // A card may take seconds to make its VFs.
            note(format_args!("making VFs: {first} …"));
        }
        apply_policies(node, &mut kernel, &wanted.policies, labels.as_ref())?;
    }
    for nad in &wanted.nads {
        let outcome = nad_outcome(node, nad)?;
        if outcome != UNCHANGED {
            node.store.put_nad(nad)?;
        }
        say(format_args!("{} {outcome}", wanted.origin(nad)));
    }
    let mut errors = Vec::new();
    for (pod, chain) in &pods {
        match apply_pod(node, pod, chain) {
            Ok(outcome) => say(format_args!("Pod {} {outcome}", pod.key)),
            // One pod's misfortune is not the next one's.
            Err(error) => errors.push(error),
        }
    }
    Error::gather(errors)
}

fn apply_pod(node: &Node<'_>, pod: &Pod, chain: &Chain) -> Result<&'static str, Error> {
    if is_running(node, pod)? { Ok(UNCHANGED) } else { create(node, pod, chain) }
}

/// What keeping a NAD comes to.
pub(crate) fn nad_outcome(node: &Node<'_>, nad: &Nad) -> Result<&'static str, Error> {
    let known = match node.store.nad(&nad.key) {
        Err(Error::Record { .. }) => return Ok("created in the place of a damaged record"),
        known => known?,
    };
    Ok(match known {
        Some(known) if known == *nad => UNCHANGED,
        Some(_) => "changed, for pods that are made from now on",
        None => "created",
    })
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
        note(format_args!("{dir} holds no default network: pods get no eth0"));
    }
    let source = Nads { new: &wanted.nads, store: &node.store };
    let mut pods = Vec::new();
    for pod in &wanted.pods {
        let chain = Chain::resolve(pod, &source, default_network.as_ref())
            .map_err(|error| Error::Refused(error.into()))?;
        for attachment in &chain.attachments {
            for key in &attachment.ignored {
                let (ifname, name) = (&attachment.ifname, attachment.name());
                note(format_args!(
                    "pod {}: {ifname} ({name}): no plugin takes {key:?}: ignored",
                    pod.key
                ));
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
    // One whose record is torn is put in force anew.
    let (known, _) = node.holdings.policies().readable()?;
    let applied = node.holdings.policies().apply(kernel, policies, labels)?;
    policy_notes(&applied).into_iter().for_each(note);
    for policy in policies.iter().filter(|policy| !applied.not_for_node.contains(&policy.key)) {
        let outcome = match known.iter().find(|old| old.key == policy.key) {
            Some(old) if old == policy && applied.steps.is_empty() => UNCHANGED,
            // As after a reboot, which takes the VFs.
            Some(old) if old == policy => "applied again",
            Some(_) => "changed",
            None => "created",
        };
        say(format_args!("SriovNetworkNodePolicy {} {outcome}", policy.key));
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
    let netns = NamedNetns::find(&PodRecord::netns_name(&pod.key))?;
    let record = match (node.store.pod(&pod.key)?, netns) {
        (Some(record), Some(_)) if record.is_complete() => record,
        (None, Some(_)) => return Err(Error::NetnsTaken { key: pod.key.clone() }),
        _ => return Ok(false),
    };
    if record.networks.as_deref() == pod.networks() {
        Ok(true)
    } else {
        let running = record.networks.unwrap_or_default();
        Err(Error::PodDiffers { key: pod.key.clone(), running })
    }
}

/// Undoes what is left of a pod that does not run: its namespace is gone, as after a reboot, or the
/// command that made it was killed. Before the preview, which would find its VFs held.
///
/// What cannot be undone is told and stays recorded; it is not in the way.
fn sweep_dead(node: &Node<'_>, key: &ObjectKey) -> Result<(), Error> {
    let netns = NamedNetns::find(&PodRecord::netns_name(key))?;
    let applied = match node.store.pod(key) {
        Err(Error::Record { .. }) => None,
        applied => applied?,
    };
    if applied.is_some_and(|pod| pod.is_complete()) && netns.is_some() {
        return Ok(());
    }
    for sandbox in node.sandboxes_of(key)? {
        for line in node.detach(&sandbox).iter().flat_map(Error::lines) {
            note(format_args!("pod {key}: of its earlier sandbox {sandbox} is left: {line}"));
        }
    }
    if let Some(netns) = netns {
        netns.remove()?;
    }
    node.store.remove_pod(key).map(drop)
}

fn create(node: &Node<'_>, pod: &Pod, chain: &Chain) -> Result<&'static str, Error> {
    let container_id = new_container_id()?;
    let record = PodRecord::new(pod, container_id.clone());
    node.store.put_pod(&record)?;
    let outcome = NamedNetns::create(&PodRecord::netns_name(&pod.key))
        .map_err(Error::from)
        .and_then(|netns| fill(node, pod, chain, &record, netns));
    match outcome {
        Ok(()) => Ok("created"),
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

/// Attaches a new namespace to the pod's networks and records that it is up; removes it when that
/// fails.
fn fill(
    node: &Node<'_>,
    pod: &Pod,
    chain: &Chain,
    record: &PodRecord,
    netns: NamedNetns,
) -> Result<(), Error> {
    let sandbox = Sandbox {
        pod: PodRef {
            namespace: pod.key.namespace.clone(),
            name: pod.key.name.clone(),
            uid: pod.uid.as_ref().and_then(|uid| uid.parse().ok()),
        },
        container_id: record.container_id.clone(),
        netns: netns.path().to_owned(),
    };
    let up = node.attach(&sandbox, chain).and_then(|statuses| {
        let recorded = node.store.put_pod(&record.clone().with_status(&statuses));
        recorded.inspect_err(|_| {
            // While its links are in it. What is left is told by who tries again without it.
            let _ = node.detach(&record.container_id);
        })
    });
    up.map_err(|error| match netns.remove() {
        Ok(()) => error,
        Err(left) => Error::Several(vec![error, left.into()]),
    })
}

/// A new ID, as a runtime would give: no two sandboxes share one, whatever their pods are called.
fn new_container_id() -> Result<ContainerId, Error> {
    let path = std::path::Path::new("/proc/sys/kernel/random/uuid");
    let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
    let uuid = std::fs::read_to_string(path).map_err(failed)?;
    let id = uuid.trim().replace('-', "");
    ContainerId::try_from(id).map_err(|reason| Error::Record { path: path.to_owned(), reason })
}
