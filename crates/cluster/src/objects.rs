//! The API's objects, with no more of them than is read.

use std::collections::BTreeMap;

use kube::api::{ApiResource, Object, ObjectMeta};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A Pod (`v1`).
pub(crate) type Pod = Object<PodSpec, PodStatus>;

/// A NetworkAttachmentDefinition (`k8s.cni.cncf.io/v1`).
pub(crate) type Nad = Object<NadSpec, NoStatus>;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSpec {
    pub(crate) host_network: bool,
    pub(crate) containers: Vec<Container>,
    pub(crate) init_containers: Vec<Container>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Container {
    pub(crate) resources: Resources,
    /// `Always` of an init container that runs as long as the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) restart_policy: Option<String>,
}

/// Of a device the limit is the request.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Resources {
    pub(crate) limits: BTreeMap<String, Value>,
    pub(crate) requests: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PodStatus {
    pub(crate) phase: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct NadSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct NoStatus {}

/// Returns how the API is asked about pods.
pub(crate) fn pods() -> ApiResource {
    ApiResource {
        group: String::new(),
        version: "v1".to_owned(),
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        plural: "pods".to_owned(),
    }
}

/// Returns how the API is asked about NADs: no rule of English makes their plural.
pub(crate) fn nads() -> ApiResource {
    ApiResource {
        group: "k8s.cni.cncf.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "k8s.cni.cncf.io/v1".to_owned(),
        kind: "NetworkAttachmentDefinition".to_owned(),
        plural: "network-attachment-definitions".to_owned(),
    }
}

/// Drops what nobody reads of an object's metadata, and annotations that are not of networks.
pub(crate) fn trim(metadata: &mut ObjectMeta, keeps: fn(&str) -> bool) {
    let old = std::mem::take(metadata);
    let mut annotations = old.annotations.unwrap_or_default();
    annotations.retain(|key, _| keeps(key));
    *metadata = ObjectMeta {
        name: old.name,
        namespace: old.namespace,
        uid: old.uid,
        resource_version: old.resource_version,
        deletion_timestamp: old.deletion_timestamp,
        annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
        ..ObjectMeta::default()
    };
}
