use podbond_api::{Nad, Object, ObjectKey, Pod, SriovNetworkNodePolicy, render};

use crate::error::Error;

/// What manifests ask for, sorted by kind: they come in any order, and are acted on in one.
#[derive(Default)]
pub(crate) struct Wanted {
    pub(crate) policies: Vec<SriovNetworkNodePolicy>,
    /// NADs, and those that SriovNetworks render to.
    pub(crate) nads: Vec<Nad>,
    pub(crate) pods: Vec<Pod>,
    /// Kind and name of what is of no kind that podbond knows.
    pub(crate) ignored: Vec<String>,
    /// The SriovNetworks.
    pub(crate) networks: Vec<ObjectKey>,
}

impl Wanted {
    /// Sorts objects; an object that stands there twice is an error.
    pub(crate) fn read(objects: Vec<Object>) -> Result<Self, Error> {
        let mut wanted = Self::default();
        for object in objects {
            match object {
                Object::SriovNetworkNodePolicy(policy) => wanted.policies.push(policy),
                Object::SriovNetwork(network) => {
                    wanted.nads.push(render(&network));
                    wanted.networks.push(network.key);
                }
                Object::Nad(nad) => wanted.nads.push(nad),
                Object::Pod(pod) => wanted.pods.push(pod),
                Object::Other { kind, name } => wanted.ignored.push(format!("{kind} {name}")),
            }
        }
        unique("SriovNetworkNodePolicy", wanted.policies.iter().map(|policy| &policy.key))?;
        unique("NetworkAttachmentDefinition", wanted.nads.iter().map(|nad| &nad.key))?;
        unique("Pod", wanted.pods.iter().map(|pod| &pod.key))?;
        Ok(wanted)
    }

    /// The SriovNetwork among the manifests that a NAD is rendered from.
    pub(crate) fn network_of(&self, nad: &Nad) -> Option<ObjectKey> {
        nad.owner().filter(|owner| self.networks.contains(owner))
    }

    /// The object of the manifests that a NAD comes from: kind, namespace and name.
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
    fn objects_are_sorted_by_kind_and_unknown_ones_named() {
        let text = format!(
            "{POD}---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: demo}}\n---\n\
             apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
             metadata: {{name: n}}\nspec: {{config: '{{\"type\": \"bond\"}}'}}\n"
        );
        let wanted = Wanted::read(read_manifests(&text, "test").unwrap()).unwrap();
        assert_eq!(wanted.pods[0].key.to_string(), "demo/p");
        assert_eq!(wanted.ignored, ["Namespace demo"]);
        assert_eq!(wanted.origin(&wanted.nads[0]), "NetworkAttachmentDefinition default/n");
    }

    #[test]
    fn an_object_that_stands_twice_is_refused() {
        let twice = read_manifests(&format!("{POD}---\n{POD}"), "test").unwrap();
        assert!(matches!(Wanted::read(twice), Err(Error::Twice { kind: "Pod", .. })));
    }
}
