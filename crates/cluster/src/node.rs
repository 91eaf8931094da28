//! The agent's own node: the taint that keeps pods away until the agent is ready.

use std::time::Duration;

use kube::Api;
use kube::api::{ApiResource, Object, Patch, PatchParams};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::client::{Cluster, in_time};
use crate::error::Error;

/// How long each of two requests may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A Node (`v1`), as far as it is read.
type Node = Object<NodeSpec, Value>;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct NodeSpec {
    taints: Vec<Value>,
}

impl Cluster {
    /// Removes the taints of a key from the agent's node. Success where there is none.
    ///
    /// # Errors
    /// Where the API refuses it, or does not answer.
    pub async fn remove_taint(&self, key: &str) -> Result<(), Error> {
        let resource = ApiResource {
            group: String::new(),
            version: "v1".to_owned(),
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            plural: "nodes".to_owned(),
        };
        let api: Api<Node> = Api::all_with(self.client(), &resource);
        let name = self.node_name();
        let action = || format!("read node {name}");
        let node = in_time(REQUEST_TIMEOUT, action, api.get(name)).await?;
        let (kept, removed): (Vec<Value>, Vec<Value>) =
            node.spec.taints.into_iter().partition(|taint| taint["key"] != key);
        if removed.is_empty() {
            return Ok(());
        }
        // With the version, since a list is replaced as a whole: a taint that came meanwhile is not lost.
        let version = node.metadata.resource_version;
        let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"taints": kept}});
        let action = || format!("remove taint {key} of node {name}");
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        in_time(REQUEST_TIMEOUT, action, api.patch(name, &params, &patch)).await?;
        Ok(())
    }
}
