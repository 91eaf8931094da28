//! A pod's annotations that podbond writes.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::Api;
use kube::api::{Patch, PatchParams};
use podbond_names::{ObjectKey, ObjectUid};
use serde_json::json;
use tokio::time::timeout;

use crate::client::Cluster;
use crate::error::Error;
use crate::objects::{Pod, pods};

/// The field manager of what podbond writes. All that it writes of a pod is in one request, since what is left
/// out of a later one is removed.
const MANAGER: &str = "podbond";

/// Writes annotations of pods.
#[derive(Debug, Clone)]
pub struct PodAnnotationsWriter {
    cluster: Cluster,
}

impl PodAnnotationsWriter {
    /// Returns a writer; nothing is asked yet.
    pub fn new(cluster: &Cluster) -> Self {
        Self { cluster: cluster.clone() }
    }

    /// Writes annotations of a pod, by one server-side apply to `pods/status`. Those that another wrote are taken
    /// over. A later pod of the same name is not touched.
    ///
    /// # Errors
    /// Where the API refuses it, or does not answer within `time`.
    pub async fn write(
        &self,
        pod: &ObjectKey,
        uid: &ObjectUid,
        annotations: &BTreeMap<&str, String>,
        time: Duration,
    ) -> Result<(), Error> {
        let action = || format!("write the status of pod {pod}");
        let client = self.cluster.client.clone();
        let api: Api<Pod> = Api::namespaced_with(client, pod.namespace.as_str(), &pods());
        let patch = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "namespace": pod.namespace, "name": pod.name, "uid": uid,
                "annotations": annotations,
            },
        });
        let params = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(patch);
        let written = timeout(time, api.patch_status(pod.name.as_str(), &params, &patch)).await;
        let late = |_| Error::Late { action: action(), ms: time.as_millis() };
        written.map_err(late)?.map_err(|source| Error::Request { action: action(), source })?;
        Ok(())
    }
}
