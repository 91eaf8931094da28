//! What the agent of a node answers about a pod, as the pod and as the source of its NADs. Pure but for the node's
//! own configurations, which a NAD without one may mean.

use std::collections::BTreeMap;
use std::path::PathBuf;

use podbond_agent_socket::{NadText, PodId, Resolved};
use podbond_api::{
    DEFAULT_NETWORK_ANNOTATION, NETWORKS_ANNOTATION, Nad, ObjectKey, ObjectName, Pod,
    RESOURCE_NAME_ANNOTATION,
};
use podbond_cni::Failure;

use crate::chain::configuration_on_disk;
use crate::traits::Source;

/// The NADs of an answer.
#[derive(Debug)]
pub struct AnsweredNads {
    nads: BTreeMap<ObjectKey, Nad>,
    /// `confDir`: where the configuration of a NAD without one is.
    conf_dir: PathBuf,
}

impl AnsweredNads {
    /// Returns the NADs of an answer. Those without `spec.config` have that of their name in `conf_dir`.
    pub fn new(nads: &[NadText], conf_dir: PathBuf) -> Self {
        let nads = nads.iter().map(|nad| (nad.key.clone(), answered_nad(nad))).collect();
        Self { nads, conf_dir }
    }

    /// Returns a NAD of the answer.
    pub fn get(&self, key: &ObjectKey) -> Option<&Nad> {
        self.nads.get(key)
    }
}

impl Source for AnsweredNads {
    fn nad(&self, key: &ObjectKey) -> Result<Option<Nad>, Failure> {
        Ok(self.get(key).cloned())
    }

    fn configuration(&self, name: &ObjectName) -> Result<Option<String>, Failure> {
        Ok(configuration_on_disk(&self.conf_dir, name.as_str())?)
    }
}

/// Returns a NAD of an answer. A blank configuration or resource counts as absent, as for Multus.
pub fn answered_nad(nad: &NadText) -> Nad {
    let resource = nad.resource.as_ref().filter(|name| !name.trim().is_empty());
    let short =
        resource.map(|name| name.rsplit_once('/').map_or(name.as_str(), |(_, short)| short));
    Nad {
        key: nad.key.clone(),
        annotations: resource
            .map(|name| (RESOURCE_NAME_ANNOTATION.to_owned(), name.clone()))
            .into_iter()
            .collect(),
        // One with dots in it is known by its full name alone.
        resource: short.and_then(|short| short.parse().ok()),
        config: nad.config.clone().filter(|config| !config.trim().is_empty()),
    }
}

/// Returns the pod of an answer, with the annotations that name networks.
pub fn answered_pod(pod: &PodId, resolved: &Resolved) -> Pod {
    let annotations = &resolved.annotations;
    let annotations = [
        (NETWORKS_ANNOTATION, &annotations.networks),
        (DEFAULT_NETWORK_ANNOTATION, &annotations.default_network),
    ];
    let annotations = annotations
        .into_iter()
        .filter_map(|(key, text)| Some((key.to_owned(), text.clone()?)))
        .filter(|(_, text)| !text.trim().is_empty());
    Pod {
        key: ObjectKey { namespace: pod.namespace.clone(), name: pod.name.clone() },
        uid: Some(resolved.uid.to_string()),
        annotations: annotations.collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answer_is_a_pod_and_its_nads() {
        let resolved: Resolved = serde_json::from_value(json!({
            "uid": "u-1",
            "annotations": {"networks": "a, b", "defaultNetwork": " "},
            "nads": [
                {"key": "demo/a", "resource": "openshift.io/sriovnic1", "config": "{\"type\": \"sriov\"}"},
                {"key": "demo/b", "resource": "example.com/x.y", "config": ""},
            ],
        }))
        .unwrap();
        let id =
            PodId { namespace: "demo".parse().unwrap(), name: "p".parse().unwrap(), uid: None };
        let pod = answered_pod(&id, &resolved);
        assert_eq!((pod.networks(), pod.default_network()), (Some("a, b"), None));
        assert_eq!((pod.key.to_string().as_str(), pod.uid.as_deref()), ("demo/p", Some("u-1")));
        let dir = tempfile::tempdir().unwrap();
        let on_disk = r#"{"name": "b", "type": "bridge"}"#;
        std::fs::write(dir.path().join("b.conf"), on_disk).unwrap();
        let nads = AnsweredNads::new(&resolved.nads, dir.path().to_owned());
        let a = nads.nad(&"demo/a".parse().unwrap()).unwrap().unwrap();
        assert_eq!(a.resource, Some("sriovnic1".parse().unwrap()));
        let b = nads.get(&"demo/b".parse().unwrap()).unwrap();
        assert_eq!((&b.resource, &b.config), (&None, &None));
        assert_eq!(b.annotations[RESOURCE_NAME_ANNOTATION], "example.com/x.y");
        assert_eq!(nads.configuration(&b.key.name).unwrap().as_deref(), Some(on_disk));
        assert_eq!(nads.nad(&"demo/c".parse().unwrap()).unwrap(), None);
    }
}
