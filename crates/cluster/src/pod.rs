//! A pod as the API has it, reduced to what attaching it needs: annotations, UID, phase, the devices that its
//! containers request.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use podbond_agent_socket::{Containers, PodAnnotations};
use podbond_names::{ObjectKey, ObjectUid};
use serde::Deserialize;

use crate::error::Error;

/// What a pod is to be attached to.
const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
/// The default network that a pod wants in the place of the node's.
const DEFAULT_NETWORK: &str = "v1.multus-cni.io/default-network";

/// What a pod is attached to.
pub(crate) const NETWORK_STATUS: &str = "k8s.v1.cni.cncf.io/network-status";

/// The state of a pod's bonds.
pub(crate) const BONDS: &str = "podbond.dev/bonds";

/// Only the kubelet can make a pod with it: the mirror of a static pod.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// The UID by which the kubelet knows a static pod; that of its mirror in the API is another one.
const STATIC_UID: &str = "kubernetes.io/config.hash";

/// A pod of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePod {
    /// Its namespace and name.
    pub key: ObjectKey,
    /// Its UID in the API.
    pub uid: ObjectUid,
    /// The UID by which the kubelet knows it, where that is another one: of a static pod.
    pub static_uid: Option<ObjectUid>,
    /// The annotations that name networks.
    pub networks: PodAnnotations,
    /// `k8s.v1.cni.cncf.io/network-status`, as it is in the API.
    pub network_status: Option<String>,
    /// `podbond.dev/bonds`, as it is in the API.
    pub bonds: Option<String>,
    /// How far it has come.
    pub phase: Phase,
    /// Whose network it uses.
    pub network: PodNetwork,
    /// Whether it is being deleted.
    pub is_deleting: bool,
    /// The device resources that its containers request.
    pub requested: BTreeMap<String, Containers>,
}

/// How far a pod has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Phase {
    /// Not all of its containers have been started.
    #[default]
    Pending,
    /// It runs.
    Running,
    /// It has ended well.
    Succeeded,
    /// It has ended badly.
    Failed,
    /// Anything else.
    #[serde(other)]
    Unknown,
}

/// Whose network a pod uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodNetwork {
    /// One of its own.
    Own,
    /// The node's (`hostNetwork`): no plugin is called for it.
    Node,
}

impl NodePod {
    /// Returns whether a runtime means this pod by a UID; one that names none may mean it.
    pub fn is_of(&self, uid: Option<&ObjectUid>) -> bool {
        uid.is_none_or(|uid| *uid == self.uid || Some(uid) == self.static_uid.as_ref())
    }

    /// Returns whether it has ended or is being deleted.
    pub fn is_over(&self) -> bool {
        self.is_deleting || matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Returns the UID by which the kubelet and the runtime know it.
    pub fn runtime_uid(&self) -> &ObjectUid {
        self.static_uid.as_ref().unwrap_or(&self.uid)
    }
}

/// The object as it arrives.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PodObject {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    host_network: bool,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    /// `Always` of an init container that runs as long as the pod.
    restart_policy: Option<String>,
    resources: Resources,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Resources {
    /// Of device resources the limits are the requests.
    limits: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: Phase,
}

impl PodObject {
    /// Returns its namespace and name.
    pub(crate) fn key(&self) -> Result<ObjectKey, Error> {
        key_of("Pod", &self.metadata)
    }

    /// Returns what is needed of it.
    pub(crate) fn reduced(self) -> Result<NodePod, Error> {
        let key = self.key()?;
        let malformed = |reason: String| Error::Object { object: format!("pod {key}"), reason };
        let uid = self.metadata.uid.unwrap_or_default();
        let uid = uid.parse().map_err(|error| malformed(format!("metadata.uid: {error}")))?;
        let mut annotations = self.metadata.annotations.unwrap_or_default();
        let is_mirror = annotations.contains_key(MIRROR);
        let static_uid = annotations.remove(STATIC_UID).filter(|_| is_mirror);
        Ok(NodePod {
            uid,
            static_uid: static_uid.and_then(|uid| uid.parse().ok()),
            networks: PodAnnotations {
                networks: annotations.remove(NETWORKS),
                default_network: annotations.remove(DEFAULT_NETWORK),
            },
            network_status: annotations.remove(NETWORK_STATUS),
            bonds: annotations.remove(BONDS),
            phase: self.status.phase,
            network: if self.spec.host_network { PodNetwork::Node } else { PodNetwork::Own },
            is_deleting: self.metadata.deletion_timestamp.is_some(),
            requested: self.spec.requested(),
            key,
        })
    }
}

impl Spec {
    fn requested(&self) -> BTreeMap<String, Containers> {
        let always = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
        let ending = self.init_containers.iter().filter(|container| !always(container));
        let running = self.init_containers.iter().filter(always).chain(&self.containers);
        let mut requested = BTreeMap::new();
        for (containers, kind) in [
            (ending.collect::<Vec<_>>(), Containers::InitOnly),
            (running.collect(), Containers::Running),
        ] {
            for (resource, amount) in containers.iter().flat_map(|it| &it.resources.limits) {
                if resource.contains('/') && !is_zero(amount) {
                    requested.insert(resource.clone(), kind);
                }
            }
        }
        requested
    }
}

fn is_zero(amount: &serde_json::Value) -> bool {
    match amount {
        serde_json::Value::String(text) => text == "0",
        amount => amount.as_u64() == Some(0),
    }
}

/// Returns the namespace and name of an object.
pub(crate) fn key_of(kind: &str, metadata: &ObjectMeta) -> Result<ObjectKey, Error> {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    let (namespace, name) = (part(&metadata.namespace), part(&metadata.name));
    ObjectKey::new(&namespace, &name).map_err(|error| Error::Object {
        object: format!("{kind} {namespace}/{name}"),
        reason: error.to_string(),
    })
}

impl Resource for PodObject {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(value: Value) -> NodePod {
        serde_json::from_value::<PodObject>(value).unwrap().reduced().unwrap()
    }

    #[test]
    fn pod_is_reduced_to_what_attaching_needs() {
        let pod = pod(json!({
            "metadata": {
                "namespace": "demo",
                "name": "p",
                "uid": "u-1",
                "annotations": {
                    "k8s.v1.cni.cncf.io/networks": "a",
                    "kubernetes.io/config.hash": "h",
                    "podbond.dev/bonds": "[]",
                },
            },
            "spec": {
                "hostNetwork": true,
                "containers": [
                    {"name": "c", "resources": {"limits": {"cpu": "1", "example.com/a": "2"}}},
                    {"name": "d"},
                ],
                "initContainers": [
                    {"resources": {"limits": {"example.com/a": 1, "example.com/b": "1"}}},
                    {"restartPolicy": "Always", "resources": {"limits": {"example.com/c": "1"}}},
                    {"resources": {"limits": {"example.com/none": "0"}}},
                ],
            },
            "status": {"phase": "Running", "conditions": []},
        }));
        assert_eq!(pod.networks.networks.as_deref(), Some("a"));
        assert_eq!((pod.phase, pod.network), (Phase::Running, PodNetwork::Node));
        assert_eq!(pod.bonds.as_deref(), Some("[]"));
        // Anybody can write the annotation of a static pod to another one.
        assert_eq!((pod.static_uid.as_ref(), pod.runtime_uid().as_str()), (None, "u-1"));
        let requested: Vec<_> = pod.requested.iter().map(|(r, c)| (r.as_str(), *c)).collect();
        assert_eq!(
            requested,
            [
                ("example.com/a", Containers::Running),
                ("example.com/b", Containers::InitOnly),
                ("example.com/c", Containers::Running),
            ]
        );
    }

    #[test]
    fn static_pod_is_known_by_both_uids() {
        let pod = pod(json!({"metadata": {
            "namespace": "kube-system", "name": "etcd-n", "uid": "u-1",
            "annotations": {"kubernetes.io/config.mirror": "h", "kubernetes.io/config.hash": "h"},
        }}));
        let [api, kubelet, other] = ["u-1", "h", "u-2"].map(|uid| uid.parse().unwrap());
        assert!(pod.is_of(Some(&api)) && pod.is_of(Some(&kubelet)));
        assert!(pod.is_of(None) && !pod.is_of(Some(&other)));
        assert_eq!(*pod.runtime_uid(), kubelet);
        assert_eq!(pod.phase, Phase::Pending);
    }
}
