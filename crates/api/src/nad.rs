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
    /// The CNI configuration or list of configurations as given: one JSON object. Without one the node's
    /// configuration of the NAD's name is meant (multi-net-spec 1.3, section 3.4.1).
    pub config: Option<String>,
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
        let config = spec.text("config")?;
        if let Some(text) = config {
            json_text::object(text).map_err(|reason| spec.error("config", reason))?;
        }
        Ok(Self { key, annotations, resource, config: config.map(str::to_owned) })
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
