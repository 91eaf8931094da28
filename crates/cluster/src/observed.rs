//! What is watched: the pods of this node and the NADs of all namespaces.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Duration;

use futures_util::StreamExt;
use kube::Api;
use kube::api::{ApiResource, Object};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use podbond_agent_socket::NadText;
use podbond_names::ObjectKey;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use crate::client::Cluster;
use crate::error::Error;
use crate::objects::{Nad, Pod, nads, pods, trim};
use crate::pod::{NodePod, keeps};

/// How long the watch may take to tell of an object that somebody names, before the API is asked about it.
const WATCH_DELAY: Duration = Duration::from_millis(500);

/// Between two looks at what the watch has told.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How long the API may take to answer about one object.
const GET_TIMEOUT: Duration = Duration::from_secs(3);

/// The annotation of a NAD that names its resource.
const RESOURCE_NAME: &str = "k8s.v1.cni.cncf.io/resourceName";

/// The pods of a node and the NADs of all namespaces, as the API has told of them so far.
#[derive(Debug, Clone)]
pub struct Observed {
    cluster: Cluster,
    pods: Store<Pod>,
    nads: Store<Nad>,
}

impl Observed {
    /// Begins to watch, in tasks of their own that end with the runtime.
    pub fn watch(cluster: &Cluster, node_name: &str) -> Self {
        let client = cluster.client.clone();
        let of_node = watcher::Config::default().fields(&format!("spec.nodeName={node_name}"));
        Self {
            cluster: cluster.clone(),
            pods: reflect(
                Api::all_with(client.clone(), &pods()),
                pods(),
                of_node,
                |pod: &mut Pod| {
                    trim(&mut pod.metadata, keeps);
                },
            ),
            nads: reflect(
                Api::all_with(client, &nads()),
                nads(),
                watcher::Config::default(),
                |nad: &mut Nad| trim(&mut nad.metadata, |key| key == RESOURCE_NAME),
            ),
        }
    }

    /// Waits until all that there is was told.
    pub async fn wait_until_synced(&self) {
        // The writers live as long as the runtime.
        let _ = self.pods.wait_until_ready().await;
        let _ = self.nads.wait_until_ready().await;
    }

    /// Returns the pods of the node.
    pub fn pods(&self) -> Vec<NodePod> {
        self.pods.state().iter().filter_map(|pod| NodePod::read(pod).ok()).collect()
    }

    /// Returns a pod as it was told, if it was.
    pub fn known_pod(&self, key: &ObjectKey) -> Option<NodePod> {
        let pod = self.pods.get(&object_ref(key, pods()))?;
        NodePod::read(&pod).ok()
    }

    /// Returns a pod that fits: as it was told within 500 ms, or else as the API says when asked. One that does
    /// not fit is returned where there is no other.
    ///
    /// # Errors
    /// Where the API does not answer.
    pub async fn pod(
        &self,
        key: &ObjectKey,
        fits: impl Fn(&NodePod) -> bool,
    ) -> Result<Option<NodePod>, Error> {
        let known = within(WATCH_DELAY, || self.known_pod(key).filter(&fits)).await;
        if known.is_some() {
            return Ok(known);
        }
        let api =
            Api::namespaced_with(self.cluster.client.clone(), key.namespace.as_str(), &pods());
        match get::<Pod>(&api, key, "Pod").await? {
            Some(pod) => NodePod::read(&pod).map(Some),
            None => Ok(None),
        }
    }

    /// Returns a NAD: as it was told, or else as the API says when asked after 500 ms.
    ///
    /// # Errors
    /// Where the API does not answer.
    pub async fn nad(&self, key: &ObjectKey) -> Result<Option<NadText>, Error> {
        if let Some(nad) = within(WATCH_DELAY, || self.known_nad(key)).await {
            return Ok(Some(nad));
        }
        let api =
            Api::namespaced_with(self.cluster.client.clone(), key.namespace.as_str(), &nads());
        let nad = get::<Nad>(&api, key, "NetworkAttachmentDefinition").await?;
        Ok(nad.map(|nad| nad_text(key, &nad)))
    }

    /// Returns a NAD as it was told, if it was.
    pub fn known_nad(&self, key: &ObjectKey) -> Option<NadText> {
        self.nads.get(&object_ref(key, nads())).map(|nad| nad_text(key, &nad))
    }
}

fn nad_text(key: &ObjectKey, nad: &Nad) -> NadText {
    let annotations = nad.metadata.annotations.as_ref();
    NadText {
        key: key.clone(),
        resource: annotations.and_then(|annotations| annotations.get(RESOURCE_NAME)).cloned(),
        config: nad.spec.config.clone(),
    }
}

fn object_ref<P: Clone, U: Clone>(
    key: &ObjectKey,
    resource: ApiResource,
) -> ObjectRef<Object<P, U>> {
    ObjectRef::new_with(key.name.as_str(), resource).within(key.namespace.as_str())
}

/// Returns what appears before the time is over.
async fn within<T>(time: Duration, look: impl Fn() -> Option<T>) -> Option<T> {
    let end = Instant::now() + time;
    loop {
        match look() {
            Some(seen) => return Some(seen),
            None if Instant::now() >= end => return None,
            None => sleep(LOOK_INTERVAL).await,
        }
    }
}

async fn get<K>(api: &Api<K>, key: &ObjectKey, kind: &str) -> Result<Option<K>, Error>
where
    K: Clone + DeserializeOwned + Debug,
{
    let action = || format!("get {kind} {key}");
    let late = |_| Error::Late { action: action(), ms: GET_TIMEOUT.as_millis() };
    let got = timeout(GET_TIMEOUT, api.get_opt(key.name.as_str())).await.map_err(late)?;
    got.map_err(|source| Error::Request { action: action(), source })
}

/// Keeps in a store what the API tells, each object without what nobody reads.
fn reflect<P, U>(
    api: Api<Object<P, U>>,
    resource: ApiResource,
    config: watcher::Config,
    trim: fn(&mut Object<P, U>),
) -> Store<Object<P, U>>
where
    P: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    U: Clone + Debug + Default + DeserializeOwned + Send + Sync + 'static,
    ApiResource: Eq + Hash,
{
    let kind = resource.kind.clone();
    let writer = reflector::store::Writer::new(resource);
    let store = writer.as_reader();
    let stream = watcher(api, config).default_backoff().modify(trim);
    tokio::spawn(async move {
        let mut stream = std::pin::pin!(reflector::reflector(writer, stream));
        while let Some(event) = stream.next().await {
            if let Err(error) = event {
                // What was told stays: that the watch is gone says nothing of the objects.
                tracing::warn!(kind, %error, "the watch is interrupted");
            }
        }
    });
    store
}
