//! `NetworkAttachmentDefinition`: a network that a pod may ask for.

use std::collections::BTreeMap;

use crate::fields::Fields;
use crate::{FieldError, ObjectKey, Reason, ResourceName, json_text};

/// The annotation of a NAD that ties it to a device resource: `openshift.io/sriovnic1`.
pub const RESOURCE_NAME_ANNOTATION: &str = "k8s.v1.cni.cncf.io/resourceName";

/// A NetworkAttachmentDefinition (`k8s.cni.cncf.io/v1`): a network that a pod may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nad {
    /// Namespace and name.
    pub key: ObjectKey,
    /// All annotations as given.
    pub annotations: BTreeMap<String, String>,
    /// The pool that a device is taken from, if any: [`RESOURCE_NAME_ANNOTATION`] without its
    /// prefix, which differs between clusters.
    pub resource: Option<ResourceName>,
    /// The CNI configuration or list of configurations as given: one JSON object.
    pub config: String,
}

impl Nad {
    pub(crate) fn read(
        key: ObjectKey,
        metadata: &Fields<'_>,
        spec: &Fields<'_>,
    ) -> Result<Self, FieldError> {
        let annotations = metadata.text_map("annotations")?;
        let resource = resource(&annotations).map_err(|error| {
            metadata.error(&format!("annotations[{RESOURCE_NAME_ANNOTATION:?}]"), error)
        })?;
        let config = spec.required_text("config", "the network's CNI configuration as JSON")?;
        json_text::object(config).map_err(|reason| spec.error("config", reason))?;
        Ok(Self { key, annotations, resource, config: config.to_owned() })
    }
}

fn resource(annotations: &BTreeMap<String, String>) -> Result<Option<ResourceName>, Reason> {
    let Some(text) = annotations.get(RESOURCE_NAME_ANNOTATION).filter(|text| !text.is_empty())
    else {
        return Ok(None);
    };
    let name = text.rsplit_once('/').map_or(text.as_str(), |(_, name)| name);
    name.parse().map(Some).map_err(|_| {
        Reason::unexpected(format!("{text:?}"), "prefix/name, as openshift.io/sriovnic1")
    })
}
