//! `podbond delete`: removes what manifests asked for.

use podbond_api::ObjectKey;
use podbond_kernel::{Kernel, NamedNetns};

use crate::arguments::{DeleteArgs, Kind};
use crate::error::Error;
use crate::manifests::Manifests;
use crate::node::{Node, PodRecord};
use crate::output::say;

/// What is to be removed: pods first, since they hold what the others made.
#[derive(Default)]
struct Unwanted {
    pods: Vec<ObjectKey>,
    nads: Vec<ObjectKey>,
    networks: Vec<ObjectKey>,
    policies: Vec<ObjectKey>,
}

/// Removes what manifests asked for, or one object. It goes on past errors and returns them all.
pub(crate) fn delete(node: &Node<'_>, args: &DeleteArgs) -> Result<(), Error> {
    let (unwanted, named) = match (args.kind, &args.name) {
        (Some(kind), Some(name)) => {
            let key = ObjectKey { namespace: args.namespace.clone(), name: name.clone() };
            (one(kind, key), true)
        }
        _ => (all_of(Manifests::read(&args.files)?), false),
    };
    let _lock = node.lock("delete")?;
    let mut errors = Vec::new();
    for key in &unwanted.pods {
        let deleted = delete_pod(node, key);
        errors.extend(report("pod", key, deleted, named).err());
    }
    for key in &unwanted.nads {
        let deleted = node.store.remove_nad(key);
        errors.extend(report("nad", key, deleted, named).err());
    }
    for key in &unwanted.networks {
        let deleted = delete_network(node, key);
        errors.extend(report("sriovnetwork", key, deleted, named).err());
    }
    if !unwanted.policies.is_empty() {
        errors.extend(delete_policies(node, &unwanted.policies, named).err());
    }
    Error::gather(errors)
}

fn one(kind: Kind, key: ObjectKey) -> Unwanted {
    let keys = vec![key];
    match kind {
        Kind::Pod => Unwanted { pods: keys, ..Unwanted::default() },
        Kind::Nad => Unwanted { nads: keys, ..Unwanted::default() },
        Kind::SriovNetwork => Unwanted { networks: keys, ..Unwanted::default() },
        Kind::Policy => Unwanted { policies: keys, ..Unwanted::default() },
    }
}

fn all_of(manifests: Manifests) -> Unwanted {
    let written = manifests.nads.iter().filter(|nad| manifests.network_of(nad).is_none());
    Unwanted {
        nads: written.map(|nad| nad.key.clone()).collect(),
        networks: manifests.networks,
        pods: manifests.pods.into_iter().map(|pod| pod.key).collect(),
        policies: manifests.policies.into_iter().map(|policy| policy.key).collect(),
    }
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
/// removed.
fn delete_pod(node: &Node<'_>, key: &ObjectKey) -> Result<bool, Error> {
    let sandboxes = node.sandboxes_of(key)?;
    let errors: Vec<_> = sandboxes.iter().flat_map(|sandbox| node.detach(sandbox)).collect();
    if let Some(netns) = NamedNetns::find(&PodRecord::netns_name(key))?
        && errors.is_empty()
    {
        netns.remove()?;
    }
    Error::gather(errors)?;
    node.store.remove_pod(key)
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
