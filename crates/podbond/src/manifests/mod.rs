//! Manifests: read from files, and sorted by kind.

mod read;

use std::path::PathBuf;

use podbond_api::{Nad, Object, ObjectKey, Pod, SriovNetworkNodePolicy, render};

use crate::error::Error;

/// The objects of manifests by kind: they come in any order, and are applied in one.
#[derive(Default)]
pub(crate) struct Manifests {
    pub(crate) policies: Vec<SriovNetworkNodePolicy>,
    /// NADs, and those that SriovNetworks render to.
    pub(crate) nads: Vec<Nad>,
    pub(crate) pods: Vec<Pod>,
    /// Kind and name of objects of other kinds.
    pub(crate) ignored: Vec<String>,
    /// The SriovNetworks.
    pub(crate) networks: Vec<ObjectKey>,
}

impl Manifests {
    /// Reads files, directories and, for `-`, standard input.
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self, Error> {
        Self::of(read::read(paths)?)
    }

    /// Returns the objects by kind; an error where two have the same kind and name.
    pub(crate) fn of(objects: Vec<Object>) -> Result<Self, Error> {
        let mut sorted = Self::default();
        for object in objects {
            match object {
                Object::SriovNetworkNodePolicy(policy) => sorted.policies.push(policy),
                Object::SriovNetwork(network) => {
                    sorted.nads.push(render(&network));
                    sorted.networks.push(network.key);
                }
                Object::Nad(nad) => sorted.nads.push(nad),
                Object::Pod(pod) => sorted.pods.push(pod),
                Object::Other { kind, name } => sorted.ignored.push(format!("{kind} {name}")),
            }
        }
        unique("SriovNetworkNodePolicy", sorted.policies.iter().map(|policy| &policy.key))?;
        unique("NetworkAttachmentDefinition", sorted.nads.iter().map(|nad| &nad.key))?;
        unique("Pod", sorted.pods.iter().map(|pod| &pod.key))?;
        Ok(sorted)
    }

    /// Returns the SriovNetwork among the manifests that a NAD is rendered from.
    pub(crate) fn network_of(&self, nad: &Nad) -> Option<ObjectKey> {
        nad.owner().filter(|owner| self.networks.contains(owner))
    }

    /// Returns kind, namespace and name of the manifest that a NAD comes from.
    pub(crate) fn origin(&self, nad: &Nad) -> String {
        match self.network_of(nad) {
            Some(network) => format!("SriovNetwork {network}"),
            None => format!("NetworkAttachmentDefinition {}", nad.key),
        }
    }
}

fn unique<'k>(kind: &'static str, keys: impl Iterator<Item = &'k ObjectKey>) -> Result<(), Error> {
    let mut seen = Vec::new();
    for key in keys {
        if seen.contains(&key) {
            return Err(Error::Twice { kind, key: key.clone() });
        }
        seen.push(key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use podbond_api::read_manifests;

    use super::*;

    const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: demo}\n";

    #[test]
    fn objects_are_sorted_by_kind() {
        let text = format!(
            "{POD}---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: demo}}\n---\n\
             apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
             metadata: {{name: n}}\nspec: {{config: '{{\"type\": \"bond\"}}'}}\n"
        );
        let sorted = Manifests::of(read_manifests(&text, "test").unwrap()).unwrap();
        assert_eq!(sorted.pods[0].key.to_string(), "demo/p");
        assert_eq!(sorted.ignored, ["Namespace demo"]);
        assert_eq!(sorted.origin(&sorted.nads[0]), "NetworkAttachmentDefinition default/n");
    }

    #[test]
    fn object_that_is_there_twice_is_refused() {
        let twice = read_manifests(&format!("{POD}---\n{POD}"), "test").unwrap();
        assert!(matches!(Manifests::of(twice), Err(Error::Twice { kind: "Pod", .. })));
    }
}
