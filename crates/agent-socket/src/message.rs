//! The messages. Every field that was not there from the first version on has a default.

use std::collections::BTreeMap;

use podbond_names::{Namespace, ObjectKey, ObjectName, ObjectUid};
use serde::{Deserialize, Serialize};

/// The version of the messages that this executable writes, and the newest that it understands.
pub const VERSION: u32 = 1;

/// What a plugin asks of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// What a pod's networks are made of. Answered by [`Answer::Resolved`].
    Resolve(Resolve),
    /// A pod was attached to its networks, as the records say. Answered by [`Answer::Reported`].
    Report(Report),
}

/// What the agent answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Request::Resolve`].
    Resolved(Box<Resolved>),
    /// To [`Request::Report`].
    Reported(Reported),
    /// To either.
    Refused(Refusal),
}

/// A pod as the runtime names it in `CNI_ARGS`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodId {
    /// `K8S_POD_NAMESPACE`.
    pub namespace: Namespace,
    /// `K8S_POD_NAME`.
    pub name: ObjectName,
    /// `K8S_POD_UID`, which not every runtime gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<ObjectUid>,
}

/// Asks for a pod's annotations, the NADs that it is attached by, and its devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resolve {
    /// The pod.
    pub pod: PodId,
    /// The namespace of a NAD that the annotation `v1.multus-cni.io/default-network` names without one.
    pub default_network_namespace: Namespace,
    /// NADs that the plugin's configuration names. One that is not there is left out of the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configured: Vec<ObjectKey>,
}

/// What a pod's networks are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// The UID of the pod in the API, also of a static pod, which the runtime knows by a hash.
    pub uid: ObjectUid,
    /// The pod's annotations that name networks.
    #[serde(default)]
    pub annotations: PodAnnotations,
    /// Each NAD that the annotations name, and those of [`Resolve::configured`] that are there.
    #[serde(default)]
    pub nads: Vec<NadText>,
    /// The pod's devices, as the kubelet has given them to it. Only asked for where a NAD names a resource.
    #[serde(default)]
    pub devices: Vec<ResourceDevices>,
    /// The device resources that the pod's containers request, by resource: what explains a missing device.
    #[serde(default)]
    pub requested: BTreeMap<String, Containers>,
}

/// The annotations of a pod that name networks, as given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodAnnotations {
    /// `k8s.v1.cni.cncf.io/networks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<String>,
    /// `v1.multus-cni.io/default-network`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_network: Option<String>,
}

/// A NetworkAttachmentDefinition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NadText {
    /// Its namespace and name.
    pub key: ObjectKey,
    /// `k8s.v1.cni.cncf.io/resourceName`, with its prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// `spec.config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
}

/// The devices of one resource that the kubelet has given to a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceDevices {
    /// The resource, with its prefix: `openshift.io/sriovnic1`.
    pub resource: String,
    /// The IDs over all containers, each once, in string order.
    pub devices: Vec<String>,
}

/// Which kind of a pod's containers requests a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Containers {
    /// At least one that runs as long as the pod.
    Running,
    /// Only init containers that end: the kubelet does not tell their devices.
    InitOnly,
}

/// Says that a pod was attached. The results are in the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The pod.
    pub pod: PodId,
    /// `CNI_CONTAINERID`, by which the records are found.
    pub container_id: String,
}

/// What became of a pod's status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reported {
    /// Whether it is in the API.
    pub written: Written,
    /// Why it is not, for the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether the status is in the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Written {
    /// It is.
    Written,
    /// It will be written later, from the records.
    Deferred,
}

/// Why the agent cannot answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The kind of reason.
    pub reason: RefusalReason,
    /// What is wrong and what to do, on one line, without the pod: who asked names it.
    pub message: String,
}

/// The kinds of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalReason {
    /// The agent has not yet been told what there is, or the API or the kubelet does not answer: try again.
    NotReady,
    /// The API has no such pod.
    NoPod,
    /// The pod in the API has another UID than the one that the runtime names.
    OtherPod,
    /// An annotation of the pod is malformed.
    Annotation,
    /// A NAD that an annotation names is not there.
    NoNad,
    /// A device of the pod comes from a resource claim.
    ResourceClaim,
    /// The agent does not understand the version of the request.
    Version,
    /// Anything else, and what an agent of a later version may say.
    #[serde(other)]
    Other,
}
