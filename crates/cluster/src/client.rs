//! The client of the API server: a pod or NAD read once, a pod's annotations written by server-side apply, events
//! sent. Nothing is tried again here: a pod waits.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::events::v1::Event as ApiEvent;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Config};
use podbond_agent_socket::NadText;
use podbond_names::{ObjectKey, ObjectUid};
use serde_json::json;

use crate::error::Error;
use crate::event::{Event, Recent};
use crate::nad::NadObject;
use crate::pod::{BONDS, NETWORK_STATUS, NodePod, PodObject};

/// How long the API may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the API may take to take an event.
const EVENT_TIMEOUT: Duration = Duration::from_secs(5);

/// The field manager of what podbond writes. All that it writes of a pod is in one request, since what is left
/// out of a later one is removed.
const FIELD_MANAGER: &str = "podbond";

/// The cluster whose API is asked, as an agent of one of its nodes.
pub struct Cluster {
    client: Client,
    node_name: String,
    recent: Mutex<Recent>,
}

/// The annotations of a pod that podbond writes, as texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusAnnotations {
    /// `k8s.v1.cni.cncf.io/network-status`.
    pub network_status: String,
    /// `podbond.dev/bonds`; none of a pod without a bond.
    pub bonds: Option<String>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("node_name", &self.node_name).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Returns the cluster of the pod's service account, or else of `KUBECONFIG`. Nothing is asked yet. The token
    /// and the CA are read again when their files change.
    ///
    /// # Errors
    /// [`Error::Config`] where there is neither.
    pub async fn connect(node_name: &str) -> Result<Self, Error> {
        let mut config = match Config::incluster() {
            Ok(config) => config,
            Err(in_cluster) => {
                let options = kube::config::KubeConfigOptions::default();
                let from_file = Config::from_kubeconfig(&options).await;
                from_file.map_err(|_| Error::Config { source: Box::new(in_cluster) })?
            }
        };
        // Its delays grow to minutes, and a pod waits: what can be tried again is, by whom it concerns.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let client = Client::try_from(config).map_err(|source| Error::Request {
            action: "prepare the way to the API server".to_owned(),
            source: Box::new(source),
        })?;
        Ok(Self { client, node_name: node_name.to_owned(), recent: Mutex::default() })
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(crate) fn node_name(&self) -> &str {
        &self.node_name
    }

    /// Returns a pod as the API has it now; none where there is no such pod.
    ///
    /// # Errors
    /// Where the API does not answer within `time`, or with an error.
    pub async fn pod(&self, key: &ObjectKey, time: Duration) -> Result<Option<NodePod>, Error> {
        let api = Api::<PodObject>::namespaced(self.client(), key.namespace.as_str());
        let action = || format!("read pod {key}");
        let found = in_time(time, action, api.get_opt(key.name.as_str())).await?;
        found.map(PodObject::reduced).transpose()
    }

    /// Returns a NAD as the API has it now; none where there is no such NAD.
    ///
    /// # Errors
    /// Where the API does not answer within `time`, or with an error.
    pub async fn nad(&self, key: &ObjectKey, time: Duration) -> Result<Option<NadText>, Error> {
        let api = Api::<NadObject>::namespaced(self.client(), key.namespace.as_str());
        let action = || format!("read NetworkAttachmentDefinition {key}");
        let found = in_time(time, action, api.get_opt(key.name.as_str())).await?;
        found.map(NadObject::reduced).transpose()
    }

    /// Writes a pod's annotations, by one server-side apply to `pods/status`. Those that another wrote are taken
    /// over. A later pod of the same name is not touched.
    ///
    /// # Errors
    /// Where the API refuses it, or does not answer within `time`.
    pub async fn write_annotations(
        &self,
        pod: &ObjectKey,
        uid: &ObjectUid,
        written: &StatusAnnotations,
        time: Duration,
    ) -> Result<(), Error> {
        let mut annotations = json!({NETWORK_STATUS: written.network_status});
        if let Some(bonds) = &written.bonds {
            annotations[BONDS] = json!(bonds);
        }
        let patch = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "namespace": pod.namespace, "name": pod.name, "uid": uid, "annotations": annotations,
            },
        });
        let api = Api::<PodObject>::namespaced(self.client(), pod.namespace.as_str());
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&patch);
        let asked = api.patch_status(pod.name.as_str(), &params, &patch);
        in_time(time, || format!("write the status of pod {pod}"), asked).await?;
        Ok(())
    }

    /// Sends an event, unless the same was sent within the last ten minutes. One that cannot be sent is logged.
    pub async fn send(&self, event: &Event) {
        let is_new = {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.take(event, Instant::now())
        };
        if !is_new {
            return;
        }
        let object = event.object(&self.node_name);
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let api = Api::<ApiEvent>::namespaced(self.client(), namespace);
        let params = PostParams::default();
        let action = || format!("write an event about {}", event.about);
        if let Err(error) = in_time(EVENT_TIMEOUT, action, api.create(&params, &object)).await {
            tracing::warn!(reason = event.reason, note = event.note, %error, "an event is lost");
        }
    }
}

/// Returns the answer to a request, or an error after a while.
pub(crate) async fn in_time<T>(
    limit: Duration,
    action: impl Fn() -> String,
    asked: impl Future<Output = kube::Result<T>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(Error::Request { action: action(), source: Box::new(source) }),
        Err(_) => Err(Error::Late { action: action(), ms: limit.as_millis() }),
    }
}
