//! `Pod`: the part that its networks depend on.

use std::collections::BTreeMap;

use crate::fields::Fields;
use crate::{FieldError, ObjectKey};

/// The annotation of a pod that lists the networks that it asks for.
pub const NETWORKS_ANNOTATION: &str = "k8s.v1.cni.cncf.io/networks";

/// The annotation of a pod that names its default network in the place of the node's, as Multus has it.
pub const DEFAULT_NETWORK_ANNOTATION: &str = "v1.multus-cni.io/default-network";

/// The part of a Pod (`v1`) that its networks depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Namespace and name.
    pub key: ObjectKey,
    /// The cluster's identity of this pod, which a later pod of the same name does not have;
    /// absent in a manifest that was never in a cluster.
    pub uid: Option<String>,
    /// All annotations as given, [`NETWORKS_ANNOTATION`] among them.
    pub annotations: BTreeMap<String, String>,
}

impl Pod {
    /// The networks that the pod asks for, as its annotation says it.
    pub fn networks(&self) -> Option<&str> {
        self.annotations.get(NETWORKS_ANNOTATION).map(String::as_str)
    }

    /// The NAD of the pod's default network, as its annotation says it; none where that is the node's.
    pub fn default_network(&self) -> Option<&str> {
        self.annotations.get(DEFAULT_NETWORK_ANNOTATION).map(String::as_str)
    }

    pub(crate) fn read(key: ObjectKey, metadata: &Fields<'_>) -> Result<Self, FieldError> {
        Ok(Self {
            key,
            uid: metadata.text("uid")?.map(str::to_owned),
            annotations: metadata.text_map("annotations")?,
        })
    }
}
