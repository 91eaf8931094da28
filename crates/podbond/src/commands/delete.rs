//! `podbond delete`: removes what manifests asked for.

use podbond_api::ObjectKey;
use podbond_kernel::{Kernel, NamedNetns};

use crate::arguments::{DeleteArgs, Kind};
use crate::error::Error;
use crate::manifests::Manifests;
use crate::node::{AppliedPod, Node};
use crate::output::say;

/// Removes what manifests asked for, or one object. It goes on past errors and returns them all.
pub(crate) fn delete(node: &Node<'_>, args: &DeleteArgs) -> Result<(), Error> {
    let (objects, named) = match (args.kind, &args.name) {
        (Some(kind), Some(name)) => {
            let key = ObjectKey { namespace: args.namespace.clone(), name: name.clone() };
            (vec![(kind, key)], true)
        }
        _ => (objects_of(Manifests::read(&args.files)?), false),
    };
    let _lock = node.lock("delete")?;
    let (mut policies, mut errors) = (Vec::new(), Vec::new());
    for (kind, key) in objects {
        let (kind, deleted) = match kind {
            Kind::Pod => ("pod", delete_pod(node, &key)),
            Kind::Nad => ("nad", node.store.remove_nad(&key)),
            Kind::SriovNetwork => ("sriovnetwork", delete_network(node, &key)),
            // All at once: a PF may have VFs by several of them.
            Kind::Policy => {
                policies.push(key);
                continue;
            }
        };
        errors.extend(report(kind, &key, deleted, named).err());
    }
    if !policies.is_empty() {
        errors.extend(delete_policies(node, &policies, named).err());
    }
    Error::gather(errors)
}

/// Returns the objects of manifests, pods first, since they hold what the others made.
fn objects_of(manifests: Manifests) -> Vec<(Kind, ObjectKey)> {
    let written = manifests.nads.iter().filter(|nad| manifests.network_of(nad).is_none());
    let nads: Vec<ObjectKey> = written.map(|nad| nad.key.clone()).collect();
    let pods = manifests.pods.into_iter().map(|pod| (Kind::Pod, pod.key));
    let networks = manifests.networks.into_iter().map(|key| (Kind::SriovNetwork, key));
    let policies = manifests.policies.into_iter().map(|policy| (Kind::Policy, policy.key));
    pods.chain(nads.into_iter().map(|key| (Kind::Nad, key)))
        .chain(networks)
        .chain(policies)
        .collect()
}

/// Prints that an object is deleted. One asked for by name must be there; one of a manifest may be gone
/// already.
fn report(
    kind: &'static str,
    key: &ObjectKey,
    deleted: Result<bool, Error>,
    named: bool,
) -> Result<(), Error> {
    match deleted? {
        true => say(format_args!("{kind} {key} deleted")),
        false if named => return Err(Error::NoSuchObject { kind, key: key.clone() }),
        false => say(format_args!("{kind} {key} is not here")),
    }
    Ok(())
}

/// Deletes a pod; returns whether there was one. Its record stays while anything of it could not be
/// removed. A network namespace of its name without a record of the pod is somebody else's.
fn delete_pod(node: &Node<'_>, key: &ObjectKey) -> Result<bool, Error> {
    let sandboxes = node.sandboxes_of(key)?;
    Error::gather(sandboxes.iter().flat_map(|sandbox| node.detach(sandbox)).collect())?;
    if !matches!(node.store.pod(key), Ok(None))
        && let Some(netns) = NamedNetns::find(&AppliedPod::netns_name(key))?
    {
        netns.remove()?;
    }
    // Also what a killed command has begun to write of it.
    Ok(node.store.remove_pod(key)? || !sandboxes.is_empty())
}

/// Removes the NADs that were rendered from a SriovNetwork; returns whether there was one.
fn delete_network(node: &Node<'_>, key: &ObjectKey) -> Result<bool, Error> {
    let nads = node.store.nads_of(key)?;
    for nad in &nads {
        node.store.remove_nad(nad)?;
    }
    Ok(!nads.is_empty())
}

fn delete_policies(node: &Node<'_>, keys: &[ObjectKey], named: bool) -> Result<(), Error> {
    let deleted = node.holdings.policies().delete(&mut Kernel::host()?, keys)?;
    for key in keys {
        report("policy", key, Ok(!deleted.unknown.contains(key)), named)?;
    }
    Ok(())
}
