//! A pod as its networks depend on it. Pure.

use std::collections::BTreeMap;

use podbond_agent_socket::{Containers, PodAnnotations};
use podbond_names::{ObjectKey, ObjectUid};

use crate::error::Error;
use crate::objects::{Container, Pod};

/// What a pod is to be attached to.
const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";

/// The default network that a pod wants in the place of the node's.
const DEFAULT_NETWORK: &str = "v1.multus-cni.io/default-network";

/// The annotations by which the kubelet marks a static pod: the UID that the runtime is told is its hash.
const CONFIG_HASH: &str = "kubernetes.io/config.hash";
const CONFIG_SOURCE: &str = "kubernetes.io/config.source";

/// A pod of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePod {
    /// Its namespace and name.
    pub key: ObjectKey,
    /// Its UID in the API.
    pub uid: ObjectUid,
    /// Where it comes from.
    pub source: PodSource,
    /// Its annotations that name networks.
    pub networks: PodAnnotations,
    /// All annotations that were kept: those about networks.
    pub annotations: BTreeMap<String, String>,
    /// Whether it has the node's own network.
    pub host_network: bool,
    /// The resources that its containers request, with those alone whose name has a prefix.
    pub requested: BTreeMap<String, Containers>,
    /// Whether it was deleted or has ended.
    pub is_over: bool,
}

/// Where a pod comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodSource {
    /// The API: the runtime is told its UID.
    Api,
    /// A file of the node: the runtime is told this hash in the UID's place.
    Static(String),
}

impl NodePod {
    /// Returns the pod of an object of the API.
    pub(crate) fn read(pod: &Pod) -> Result<Self, Error> {
        let metadata = &pod.metadata;
        let namespace = metadata.namespace.as_deref().unwrap_or("default");
        let name = metadata.name.as_deref().unwrap_or_default();
        let invalid = |source| Error::Name { source };
        let key = ObjectKey::new(namespace, name).map_err(invalid)?;
        let uid = metadata.uid.as_deref();
        let uid = uid.ok_or_else(|| Error::Incomplete { object: key.clone(), field: "UID" })?;
        let annotations = metadata.annotations.clone().unwrap_or_default();
        let get = |key: &str| annotations.get(key).cloned();
        let is_static = get(CONFIG_SOURCE).is_some_and(|source| source != "api");
        Ok(Self {
            uid: uid.parse().map_err(invalid)?,
            source: match get(CONFIG_HASH).filter(|_| is_static) {
                Some(hash) => PodSource::Static(hash),
                None => PodSource::Api,
            },
            networks: PodAnnotations {
                networks: get(NETWORKS),
                default_network: get(DEFAULT_NETWORK),
            },
            host_network: pod.spec.host_network,
            requested: requested(&pod.spec.containers, &pod.spec.init_containers),
            is_over: metadata.deletion_timestamp.is_some()
                || pod
                    .status
                    .as_ref()
                    .is_some_and(|status| ["Succeeded", "Failed"].contains(&&*status.phase)),
            annotations,
            key,
        })
    }

    /// Returns true if this is the pod that a runtime means by a UID; without one the name is all that it says.
    pub fn is_of(&self, uid: Option<&ObjectUid>) -> bool {
        let Some(uid) = uid else { return true };
        match &self.source {
            PodSource::Api => self.uid == *uid,
            PodSource::Static(hash) => hash == uid.as_str() || self.uid == *uid,
        }
    }
}

/// Returns true for the annotations of a pod that are read.
pub(crate) fn keeps(annotation: &str) -> bool {
    [NETWORKS, DEFAULT_NETWORK, CONFIG_HASH, CONFIG_SOURCE].contains(&annotation)
        || annotation.starts_with("k8s.v1.cni.cncf.io/")
        || annotation.starts_with("podbond.dev/")
}

/// Returns who requests which device resource.
fn requested(running: &[Container], init: &[Container]) -> BTreeMap<String, Containers> {
    let sidecars = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let init_only = init.iter().filter(|container| !sidecars(container));
    let running = running.iter().chain(init.iter().filter(sidecars));
    let of = |container: &Container, kind| {
        let names = container.resources.limits.keys().chain(container.resources.requests.keys());
        let devices = names.filter(|name| name.contains('/'));
        devices.map(|name| (name.clone(), kind)).collect::<Vec<_>>()
    };
    let init_only = init_only.flat_map(|container| of(container, Containers::InitOnly));
    // The later ones count: who runs as long as the pod.
    init_only.chain(running.flat_map(|container| of(container, Containers::Running))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(changes: &serde_json::Value) -> NodePod {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "bondpod1", "namespace": "demo", "uid": "u-1", "annotations": {
                "k8s.v1.cni.cncf.io/networks": "demo/a", "other": "x",
            }},
            "spec": {"containers": [
                {"name": "c", "resources": {"limits": {"openshift.io/sriovnic1": "1", "cpu": 2}}},
            ]},
            "status": {"phase": "Pending"},
        });
        for (path, value) in changes.as_object().unwrap() {
            *pod.pointer_mut(path).unwrap() = value.clone();
        }
        NodePod::read(&serde_json::from_value(pod).unwrap()).unwrap()
    }

    #[test]
    fn pod_has_what_its_networks_depend_on() {
        let pod = pod(&json!({}));
        assert_eq!((&*pod.key.to_string(), pod.uid.as_str()), ("demo/bondpod1", "u-1"));
        assert_eq!(pod.networks.networks.as_deref(), Some("demo/a"));
        assert_eq!(pod.networks.default_network, None);
        let requested = [("openshift.io/sriovnic1".to_owned(), Containers::Running)];
        assert_eq!(pod.requested, requested.into());
        assert!(!pod.host_network && !pod.is_over);
        assert!(pod.is_of(None) && pod.is_of(Some(&"u-1".parse().unwrap())));
        assert!(!pod.is_of(Some(&"u-2".parse().unwrap())));
    }

    #[test]
    fn static_pod_is_known_by_its_hash_too() {
        let annotations = json!({CONFIG_HASH: "abc", CONFIG_SOURCE: "file"});
        let of_file = pod(&json!({"/metadata/annotations": annotations}));
        assert!(of_file.is_of(Some(&"abc".parse().unwrap())));
        let annotations = json!({CONFIG_HASH: "abc", CONFIG_SOURCE: "api"});
        let of_api = pod(&json!({"/metadata/annotations": annotations}));
        assert!(!of_api.is_of(Some(&"abc".parse().unwrap())));
    }

    #[test]
    fn resources_of_init_containers_are_told_apart_unless_they_run_on() {
        let limits = json!({"limits": {"a/b": 1}});
        let of = |init: serde_json::Value| {
            let spec = json!({"containers": [], "initContainers": [init]});
            pod(&json!({"/spec": spec})).requested["a/b"]
        };
        assert_eq!(of(json!({"resources": limits})), Containers::InitOnly);
        let sidecar = json!({"resources": limits, "restartPolicy": "Always"});
        assert_eq!(of(sidecar), Containers::Running);
    }

    #[test]
    fn pod_that_has_ended_is_over() {
        assert!(pod(&json!({"/status": {"phase": "Failed"}})).is_over);
    }
}
