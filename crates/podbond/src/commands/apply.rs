//! `podbond apply`: makes VFs, networks and pods as manifests ask for.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use podbond_api::{ObjectKey, Pod, SriovNetworkNodePolicy};
use podbond_attach::{Chain, Sandbox};
use podbond_cni::{ContainerId, PodRef};
use podbond_kernel::{Kernel, NamedNetns};

use super::preview::{UNCHANGED, nad_outcome, policy_notes, preview, resolve_pods};
use crate::arguments::ApplyArgs;
use crate::error::Error;
use crate::manifests::Manifests;
use crate::node::{AppliedPod, Node};
use crate::output::{note, say};

/// Makes what manifests ask for. All of it is checked before any of it is begun.
pub(crate) fn apply(node: &Node<'_>, args: &ApplyArgs) -> Result<(), Error> {
    let manifests = Manifests::read(&args.files)?;
    let _lock = node.lock("apply")?;
    let labels = args.labels();
    let mut kernel = Kernel::host()?;
    let pods = resolve_pods(node, &manifests)?;
    for (pod, _) in &pods {
        remove_rest(node, &pod.key)?;
    }
    let preview = preview(node, &mut kernel, &manifests, labels.as_ref(), &pods)?;

    if !manifests.policies.is_empty() {
        if let Some(first) = preview.policies.steps.first()
            && io::stderr().is_terminal()
        {
            // A card may take seconds to make its VFs.
            note(format_args!("making VFs: {first} …"));
        }
        apply_policies(node, &mut kernel, &manifests.policies, labels.as_ref())?;
    }
    for nad in &manifests.nads {
        let outcome = nad_outcome(node, nad)?;
        if outcome != UNCHANGED {
            node.store.put_nad(nad)?;
        }
        say(format_args!("{} {outcome}", manifests.origin(nad)));
    }
    let mut errors = Vec::new();
    for (pod, chain) in &pods {
        // A pod that fails does not keep the next one from being made.
        match apply_pod(node, pod, chain) {
            Ok(outcome) => say(format_args!("Pod {} {outcome}", pod.key)),
            Err(error) => errors.push(error),
        }
    }
    Error::gather(errors)
}

fn apply_pod(node: &Node<'_>, pod: &Pod, chain: &Chain) -> Result<&'static str, Error> {
    if node.is_running(pod)? { Ok(UNCHANGED) } else { create(node, pod, chain) }
}

fn apply_policies(
    node: &Node<'_>,
    kernel: &mut Kernel,
    policies: &[SriovNetworkNodePolicy],
    labels: Option<&BTreeMap<String, String>>,
) -> Result<(), Error> {
    // One whose record cannot be read is created anew.
    let (in_force, _) = node.holdings.policies().readable()?;
    let applied = node.holdings.policies().apply(kernel, policies, labels)?;
    policy_notes(&applied).into_iter().for_each(note);
    for policy in policies.iter().filter(|policy| !applied.not_for_node.contains(&policy.key)) {
        let outcome = match in_force.iter().find(|old| old.key == policy.key) {
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

/// Removes what is left of a pod that does not run: its namespace is gone, as after a reboot, or the
/// command that made it was killed. This comes before the preview, which would find its VFs held. A
/// network namespace that is there without a record of the pod is somebody else's.
///
/// What cannot be removed is printed and stays recorded; the pod is made nevertheless.
fn remove_rest(node: &Node<'_>, key: &ObjectKey) -> Result<(), Error> {
    let netns = NamedNetns::find(&AppliedPod::netns_name(key))?;
    let stays = match node.store.pod(key) {
        Ok(applied) => applied.is_none_or(|pod| pod.is_complete()),
        Err(Error::Record { .. }) => false,
        Err(error) => return Err(error),
    };
    if stays && netns.is_some() {
        return Ok(());
    }
    for sandbox in node.sandboxes_of(key)? {
        for line in node.detach(&sandbox).iter().flat_map(Error::lines) {
            note(format_args!("pod {key}: its earlier sandbox {sandbox} is not removed: {line}"));
        }
    }
    if let Some(netns) = netns {
        netns.remove()?;
    }
    node.store.remove_pod(key).map(drop)
}

/// Makes a pod and returns its outcome. A pod that fails is undone.
fn create(node: &Node<'_>, pod: &Pod, chain: &Chain) -> Result<&'static str, Error> {
    let container_id = new_container_id()?;
    let record = AppliedPod::new(pod, container_id.clone());
    node.store.put_pod(&record)?;
    let outcome = NamedNetns::create(&AppliedPod::netns_name(&pod.key))
        .map_err(Error::from)
        .and_then(|netns| fill(node, pod, chain, &record, netns));
    match outcome {
        Ok(()) => Ok("created"),
        Err(error) => {
            // What could not be undone keeps the record, so that `delete` tries again.
            let more = node.detach(&container_id);
            if more.is_empty() {
                node.store.remove_pod(&pod.key)?;
            }
            Error::gather(std::iter::once(error).chain(more).collect()).map(|()| "created")
        }
    }
}

/// Attaches a new namespace to the pod's networks and records that it is up; removes it when that
/// fails.
fn fill(
    node: &Node<'_>,
    pod: &Pod,
    chain: &Chain,
    record: &AppliedPod,
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
        meta_network: None,
    };
    let up = node.attach(&sandbox, chain).and_then(|statuses| {
        let recorded = node.store.put_pod(&record.clone().with_status(&statuses));
        recorded.inspect_err(|_| {
            // While its links are in it. Errors come again when `create` detaches it once more.
            let _ = node.detach(&record.container_id);
        })
    });
    up.map_err(|error| match netns.remove() {
        Ok(()) => error,
        Err(more) => Error::Several(vec![error, more.into()]),
    })
}

/// Returns a new container ID, which no other sandbox has.
fn new_container_id() -> Result<ContainerId, Error> {
    let path = std::path::Path::new("/proc/sys/kernel/random/uuid");
    let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
    let uuid = std::fs::read_to_string(path).map_err(failed)?;
    let id = uuid.trim().replace('-', "");
    ContainerId::try_from(id).map_err(|reason| Error::Record { path: path.to_owned(), reason })
}
