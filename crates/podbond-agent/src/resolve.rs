//! What a pod's networks are made of: the answer to the plugin's first question.

use std::time::Duration;

use podbond_agent_socket::{
    NadText, PodId, Refusal, RefusalReason, Resolve, Resolved, ResourceDevices,
};
use podbond_attach::parse_networks;
use podbond_cluster::{About, Cluster, Event, EventType, Index, NodePod, Watched};
use podbond_kubelet::PodResources;
use podbond_names::{Namespace, ObjectKey};
use tokio::time::{Instant, timeout_at};

/// How long the watches may take to tell of what somebody names, before the API is asked: once for all of it.
const WATCH_DELAY: Duration = Duration::from_millis(500);

/// How long the API may take to answer about one object.
const GET_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the whole answer may take: the plugin waits for 15 s.
const TIMEOUT: Duration = Duration::from_secs(14);

/// Where the answers come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) watched: &'a Watched,
    pub(crate) kubelet: &'a PodResources,
}

/// Returns what a pod's networks are made of, or why that cannot be told, within 14 s.
pub(crate) async fn resolve(sources: Sources<'_>, asked: &Resolve) -> Result<Resolved, Refusal> {
    let now = Instant::now();
    let resolved = timeout_at(now + TIMEOUT, sources.resolve(asked, now + WATCH_DELAY)).await;
    resolved.unwrap_or_else(|_| {
        let seconds = TIMEOUT.as_secs();
        let late = format!("API server and kubelet have not answered within {seconds} s");
        Err(not_ready(late))
    })
}

/// A pod, and how the agent knows of it.
struct Found {
    pod: NodePod,
    by: Way,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Watch,
    Get,
}

impl Sources<'_> {
    async fn resolve(&self, asked: &Resolve, told_by: Instant) -> Result<Resolved, Refusal> {
        let key = key(&asked.pod);
        let found = self.pod(&asked.pod, told_by).await?;
        let mut nads: Vec<NadText> = Vec::new();
        for wanted in wanted(&found.pod, &asked.default_network_namespace)? {
            if nads.iter().any(|nad| nad.key == wanted) {
                continue;
            }
            nads.push(self.nad(&found.pod, &wanted, told_by).await?);
        }
        for configured in &asked.configured {
            if !nads.iter().any(|nad| nad.key == *configured) {
                nads.extend(self.watched.index().nad(configured).cloned());
            }
        }
        let resources: Vec<&str> = nads.iter().filter_map(|nad| nad.resource.as_deref()).collect();
        let mut devices = Vec::new();
        if !resources.is_empty() {
            devices = self.devices(&key, &resources).await?;
            // PodResources knows a pod by its name alone.
            self.expect_still(asked, &found).await?;
        }
        let NodePod { uid, networks, requested, .. } = found.pod;
        Ok(Resolved { uid, annotations: networks, nads, devices, requested })
    }

    /// Returns the pod that the runtime names.
    async fn pod(&self, asked: &PodId, told_by: Instant) -> Result<Found, Refusal> {
        let key = key(asked);
        let seek =
            |index: &Index| index.pod(&key).filter(|pod| pod.is_of(asked.uid.as_ref())).cloned();
        if let Some(pod) = self.watched.wait_for(told_by, seek).await {
            return Ok(Found { pod, by: Way::Watch });
        }
        let pod = self.cluster.pod(&key, GET_TIMEOUT).await;
        let pod = pod.map_err(not_ready)?;
        Ok(Found { pod: the_one(asked, pod)?, by: Way::Get })
    }

    /// Fails where the pod of this name is another one by now.
    async fn expect_still(&self, asked: &Resolve, found: &Found) -> Result<(), Refusal> {
        let key = &found.pod.key;
        let now = match found.by {
            Way::Watch => self.watched.index().pod(key).cloned(),
            Way::Get => {
                let pod = self.cluster.pod(key, GET_TIMEOUT).await;
                pod.map_err(not_ready)?
            }
        };
        let of_api = PodId { uid: Some(found.pod.uid.clone()), ..asked.pod.clone() };
        the_one(&of_api, now).map(drop)
    }

    /// Returns a NAD that a pod's annotation names.
    async fn nad(
        &self,
        pod: &NodePod,
        wanted: &ObjectKey,
        told_by: Instant,
    ) -> Result<NadText, Refusal> {
        let seek = |index: &Index| index.nad(wanted).cloned();
        if let Some(nad) = self.watched.wait_for(told_by, seek).await {
            return Ok(nad);
        }
        let nad = self.cluster.nad(wanted, GET_TIMEOUT).await;
        let nad = nad.map_err(not_ready)?;
        let Some(nad) = nad else {
            let missing = format!(
                "its annotation names NetworkAttachmentDefinition {wanted}, and the API has none: \
                 apply it, or correct the annotation"
            );
            let event = Event {
                about: About::Pod { key: pod.key.clone(), uid: pod.uid.clone() },
                kind: EventType::Warning,
                reason: "NoNetworkFound",
                note: missing.clone(),
            };
            self.cluster.send(&event).await;
            return Err(Refusal { reason: RefusalReason::NoNad, message: missing });
        };
        Ok(nad)
    }

    /// Returns the devices that the kubelet has given to a pod. Those of a resource claim are refused where they
    /// may be what a network needs: a resource of which no device plugin has given any.
    async fn devices(
        &self,
        pod: &ObjectKey,
        resources: &[&str],
    ) -> Result<Vec<ResourceDevices>, Refusal> {
        let given = self.kubelet.devices(pod.namespace.as_str(), pod.name.as_str()).await;
        let given = given.map_err(not_ready)?;
        let is_short = resources.iter().any(|resource| !given.by_resource.contains_key(*resource));
        if let Some(claim) = given.claims.first().filter(|_| is_short) {
            let message = format!(
                "device {} of driver {} comes from resource claim {}/{}, which podbond does not \
                 attach: request the device as a resource of a container",
                claim.device, claim.driver, claim.namespace, claim.claim
            );
            return Err(Refusal { reason: RefusalReason::ResourceClaim, message });
        }
        let of = |(resource, devices): (String, std::collections::BTreeSet<String>)| {
            ResourceDevices { resource, devices: devices.into_iter().collect() }
        };
        Ok(given.by_resource.into_iter().map(of).collect())
    }
}

/// Returns the pod of the API, if it is the one that is asked for.
fn the_one(asked: &PodId, pod: Option<NodePod>) -> Result<NodePod, Refusal> {
    match pod {
        Some(pod) if pod.is_of(asked.uid.as_ref()) => Ok(pod),
        Some(pod) => {
            let uid = asked.uid.as_ref().map_or("none", |uid| uid.as_str());
            let message = format!(
                "the runtime names UID {uid}, and the API has another pod of this name, UID {}: the runtime's was \
                 deleted meanwhile",
                pod.uid
            );
            Err(Refusal { reason: RefusalReason::OtherPod, message })
        }
        None => {
            let message = "it is not in the API: it was deleted meanwhile, or the runtime is of another cluster";
            Err(Refusal { reason: RefusalReason::NoPod, message: message.to_owned() })
        }
    }
}

/// Returns the NADs that a pod's annotations name, in their order.
fn wanted(pod: &NodePod, default_namespace: &Namespace) -> Result<Vec<ObjectKey>, Refusal> {
    let networks = [
        ("v1.multus-cni.io/default-network", &pod.networks.default_network, default_namespace),
        ("k8s.v1.cni.cncf.io/networks", &pod.networks.networks, &pod.key.namespace),
    ];
    let mut wanted = Vec::new();
    for (annotation, text, implied) in networks {
        let selections = parse_networks(text.as_deref().unwrap_or_default()).map_err(|error| {
            let message = format!("annotation {annotation}: {error}");
            Refusal { reason: RefusalReason::Annotation, message }
        })?;
        wanted.extend(selections.into_iter().map(|selection| ObjectKey {
            namespace: selection.namespace.unwrap_or_else(|| implied.clone()),
            name: selection.name,
        }));
    }
    Ok(wanted)
}

fn key(pod: &PodId) -> ObjectKey {
    ObjectKey { namespace: pod.namespace.clone(), name: pod.name.clone() }
}

fn not_ready(error: impl std::fmt::Display) -> Refusal {
    Refusal { reason: RefusalReason::NotReady, message: error.to_string() }
}
