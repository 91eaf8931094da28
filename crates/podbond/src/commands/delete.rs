use podbond_api::{Object, ObjectKey};
use podbond_kernel::{Kernel, NamedNetns};

use crate::cli::{DeleteArgs, Kind};
use crate::error::Error;
use crate::files;
use crate::node::Node;
use crate::output::say;
use crate::store::PodRecord;
use crate::wanted::Wanted;

/// What is to be taken back: pods first, since they hold what the others made.
#[derive(Default)]
struct Unwanted {
    pods: Vec<ObjectKey>,
    nads: Vec<ObjectKey>,
    networks: Vec<ObjectKey>,
    policies: Vec<ObjectKey>,
}

/// Takes back what manifests asked for, or one object. It goes on past errors and tells them all.
pub(crate) fn delete(node: &Node<'_>, args: &DeleteArgs) -> Result<(), Error> {
    let (unwanted, named) = match (args.kind, &args.name) {
        (Some(kind), Some(name)) => {
            let key = ObjectKey { namespace: args.namespace.clone(), name: name.clone() };
            (one(kind, key), true)
        }
        _ => (all_of(files::read(&args.files)?)?, false),
    };
    let _lock = node.lock("delete")?;
    let mut errors = Vec::new();
    for key in &unwanted.pods {
        let deleted = delete_pod(node, key);
        errors.extend(tell("pod", key, deleted, named).err());
    }
    for key in &unwanted.nads {
        let deleted = node.store.remove_nad(key);
        errors.extend(tell("nad", key, deleted, named).err());
    }
    for key in &unwanted.networks {
        let deleted = delete_network(node, key);
        errors.extend(tell("sriovnetwork", key, deleted, named).err());
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

fn all_of(objects: Vec<Object>) -> Result<Unwanted, Error> {
    let wanted = Wanted::read(objects)?;
    let written = wanted.nads.iter().filter(|nad| wanted.network_of(nad).is_none());
    Ok(Unwanted {
        nads: written.map(|nad| nad.key.clone()).collect(),
        networks: wanted.networks,
        pods: wanted.pods.into_iter().map(|pod| pod.key).collect(),
        policies: wanted.policies.into_iter().map(|policy| policy.key).collect(),
    })
}

/// An object asked for by name must be there; one of a manifest may be gone already.
fn tell(
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

/// Whether there was such a pod. Its record stays while anything of it could not be removed.
fn delete_pod(node: &Node<'_>, key: &ObjectKey) -> Result<bool, Error> {
    let sandboxes = node.sandboxes_of(key)?;
    let left: Vec<_> = sandboxes.iter().flat_map(|sandbox| node.detach(sandbox)).collect();
    if let Some(netns) = NamedNetns::find(&PodRecord::netns_name(key))?
        && left.is_empty()
    {
        netns.remove()?;
    }
    Error::gather(left)?;
    node.store.remove_pod(key)
}

/// Removes the NADs that were rendered from a SriovNetwork, and none that people wrote.
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
        tell("policy", key, Ok(!deleted.unknown.contains(key)), named)?;
    }
    Ok(())
}
