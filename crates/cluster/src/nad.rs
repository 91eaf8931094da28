//! A NetworkAttachmentDefinition as the API has it, reduced to what attaching a pod needs.

use std::borrow::Cow;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use podbond_agent_socket::NadText;
use podbond_names::ObjectKey;
use serde::Deserialize;

use crate::error::Error;
use crate::pod::key_of;

/// The annotation that names a NAD's resource.
const RESOURCE_NAME: &str = "k8s.v1.cni.cncf.io/resourceName";

/// The object as it arrives.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NadObject {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Option<Spec>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Spec {
    #[serde(default)]
    config: Option<String>,
}

impl NadObject {
    /// Returns its namespace and name.
    pub(crate) fn key(&self) -> Result<ObjectKey, Error> {
        key_of("NetworkAttachmentDefinition", &self.metadata)
    }

    /// Returns what is needed of it.
    pub(crate) fn reduced(mut self) -> Result<NadText, Error> {
        let key = self.key()?;
        let annotations = self.metadata.annotations.as_mut();
        let resource = annotations.and_then(|annotations| annotations.remove(RESOURCE_NAME));
        Ok(NadText { key, resource, config: self.spec.and_then(|spec| spec.config) })
    }
}

impl Resource for NadObject {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "NetworkAttachmentDefinition".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "k8s.cni.cncf.io".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "network-attachment-definitions".into()
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
    use serde_json::json;

    use super::*;

    #[test]
    fn nad_is_its_key_resource_and_configuration() {
        let object = json!({
            "apiVersion": "k8s.cni.cncf.io/v1",
            "kind": "NetworkAttachmentDefinition",
            "metadata": {
                "namespace": "demo",
                "name": "sriovnet1",
                "annotations": {RESOURCE_NAME: "openshift.io/sriovnic1", "other": "x"},
                "managedFields": [{"manager": "kubectl"}],
            },
            "spec": {"config": "{}", "more": 1},
        });
        let nad: NadObject = serde_json::from_value(object).unwrap();
        let expected = NadText {
            key: "demo/sriovnet1".parse().unwrap(),
            resource: Some("openshift.io/sriovnic1".to_owned()),
            config: Some("{}".to_owned()),
        };
        assert_eq!(nad.reduced().unwrap(), expected);
        let bare = json!({"metadata": {"namespace": "demo", "name": "a.b"}});
        let nad: NadObject = serde_json::from_value(bare).unwrap();
        assert_eq!(nad.reduced().unwrap().config, None);
        let nameless: NadObject = serde_json::from_value(json!({"metadata": {}})).unwrap();
        assert!(nameless.reduced().is_err());
    }
}
