//! The Kubernetes pod that a request is for, as the runtime names it in `CNI_ARGS`.

use std::fmt;

use podbond_names::{Namespace, ObjectKey, ObjectName, ObjectUid};
use serde::{Deserialize, Serialize};

use crate::{Args, Request};

/// A pod as a runtime of Kubernetes names it. Displayed, it is `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodRef {
    /// `K8S_POD_NAMESPACE`.
    pub namespace: Namespace,
    /// `K8S_POD_NAME`.
    pub name: ObjectName,
    /// `K8S_POD_UID`, which a later pod of the same name does not have. Not every runtime gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<ObjectUid>,
}

impl PodRef {
    /// Returns the pod's namespace and name as the key of a Kubernetes object.
    pub fn key(&self) -> ObjectKey {
        ObjectKey { namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

impl Args {
    /// Returns the pod that these arguments name; none where namespace or name is absent or is not
    /// one that Kubernetes allows. A UID that Kubernetes does not allow counts as absent.
    pub fn pod(&self) -> Option<PodRef> {
        Some(PodRef {
            namespace: self.get("K8S_POD_NAMESPACE")?.parse().ok()?,
            name: self.get("K8S_POD_NAME")?.parse().ok()?,
            uid: self.get("K8S_POD_UID").and_then(|uid| uid.parse().ok()),
        })
    }
}

impl Request {
    /// Returns the pod that the runtime names in `CNI_ARGS`: see [`Args::pod`].
    pub fn pod(&self) -> Option<PodRef> {
        self.args.pod()
    }
}

impl fmt::Display for PodRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.namespace, self.name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(args: &str) -> Option<PodRef> {
        Args::parse(args).unwrap().pod()
    }

    #[test]
    fn pod_is_named_by_cni_args() {
        let pod = pod("K8S_POD_NAMESPACE=demo;K8S_POD_NAME=bond.pod1;K8S_POD_UID=u-1").unwrap();
        assert_eq!(pod.to_string(), "demo/bond.pod1");
        assert_eq!(pod.key().to_string(), "demo/bond.pod1");
        assert_eq!(pod.uid.as_ref().map(ObjectUid::as_str), Some("u-1"));
    }

    #[test]
    fn invalid_or_missing_names_are_no_pod() {
        for args in [
            "",
            "K8S_POD_NAME=p",
            "K8S_POD_NAMESPACE=demo",
            "K8S_POD_NAMESPACE=;K8S_POD_NAME=p",
            "K8S_POD_NAMESPACE=a.b;K8S_POD_NAME=p",
            "K8S_POD_NAMESPACE=demo;K8S_POD_NAME=../p",
            "K8S_POD_NAMESPACE=demo;K8S_POD_NAME=a\nb",
        ] {
            assert_eq!(pod(args), None, "{args:?}");
        }
        let wrong_uid = pod("K8S_POD_NAMESPACE=demo;K8S_POD_NAME=p;K8S_POD_UID=a\nb").unwrap();
        assert_eq!(wrong_uid.uid, None);
    }

    #[test]
    fn record_of_a_pod_is_checked_when_read() {
        let pod = pod("K8S_POD_NAMESPACE=demo;K8S_POD_NAME=p").unwrap();
        let mut record = serde_json::to_value(&pod).unwrap();
        assert_eq!(record, json!({"namespace": "demo", "name": "p"}));
        assert_eq!(serde_json::from_value::<PodRef>(record.clone()).unwrap(), pod);
        record["uid"] = json!("../u");
        assert!(serde_json::from_value::<PodRef>(record).is_err());
    }
}
