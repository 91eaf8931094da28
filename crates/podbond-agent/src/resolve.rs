//! What a pod's networks are made of: the answer to the plugin's first question.

use podbond_agent_socket::{
    NadText, PodId, Refusal, RefusalReason, Resolve, Resolved, ResourceDevices,
};
use podbond_attach::parse_networks;
use podbond_cluster::{NodePod, Observed};
use podbond_kubelet::PodResources;
use podbond_names::{Namespace, ObjectKey};

/// Returns what a pod's networks are made of, or why that cannot be told.
pub(crate) async fn resolve(
    observed: &Observed,
    kubelet: &PodResources,
    asked: &Resolve,
) -> Result<Resolved, Refusal> {
    let key = key(&asked.pod);
    let pod = pod(observed, &asked.pod).await?;
    let mut nads: Vec<NadText> = Vec::new();
    for wanted in wanted(&pod, &asked.default_network_namespace)? {
        if nads.iter().any(|nad| nad.key == wanted) {
            continue;
        }
        let Some(nad) = observed.nad(&wanted).await.map_err(|error| not_ready(&key, error))? else {
            let message = format!(
                "pod {key}: its annotation names NetworkAttachmentDefinition {wanted}, and the API has none: \
                 apply it, or correct the annotation"
            );
            return Err(Refusal { reason: RefusalReason::NoNad, message });
        };
        nads.push(nad);
    }
    for configured in &asked.configured {
        if !nads.iter().any(|nad| nad.key == *configured) {
            nads.extend(observed.known_nad(configured));
        }
    }
    let resources: Vec<&str> = nads.iter().filter_map(|nad| nad.resource.as_deref()).collect();
    let devices =
        if resources.is_empty() { Vec::new() } else { devices(kubelet, &key, &resources).await? };
    // PodResources knows a pod by its name alone.
    if observed.known_pod(&key).is_some_and(|now| now.uid != pod.uid) {
        return Err(other_pod(&asked.pod, &pod));
    }
    let NodePod { uid, networks, requested, .. } = pod;
    Ok(Resolved { uid, annotations: networks, nads, devices, requested })
}

/// Returns the pod that the runtime names.
async fn pod(observed: &Observed, asked: &PodId) -> Result<NodePod, Refusal> {
    let key = key(asked);
    let found = observed.pod(&key, |pod| pod.is_of(asked.uid.as_ref())).await;
    match found.map_err(|error| not_ready(&key, error))? {
        Some(pod) if pod.is_of(asked.uid.as_ref()) => Ok(pod),
        Some(pod) => Err(other_pod(asked, &pod)),
        None => {
            let message = format!(
                "pod {key} is not in the API: it was deleted meanwhile, or the runtime is of another cluster"
            );
            Err(Refusal { reason: RefusalReason::NoPod, message })
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
            let message = format!("pod {}: annotation {annotation}: {error}", pod.key);
            Refusal { reason: RefusalReason::Annotation, message }
        })?;
        wanted.extend(selections.into_iter().map(|selection| ObjectKey {
            namespace: selection.namespace.unwrap_or_else(|| implied.clone()),
            name: selection.name,
        }));
    }
    Ok(wanted)
}

/// Returns the devices that the kubelet has given to a pod. Those of a resource claim are refused where they may be
/// what a network needs: a resource of which no device plugin has given any.
async fn devices(
    kubelet: &PodResources,
    pod: &ObjectKey,
    resources: &[&str],
) -> Result<Vec<ResourceDevices>, Refusal> {
    let given = kubelet.devices(pod.namespace.as_str(), pod.name.as_str()).await;
    let given = given.map_err(|error| not_ready(pod, error))?;
    let is_short = resources.iter().any(|resource| !given.by_resource.contains_key(*resource));
    if let Some(claim) = given.claims.first().filter(|_| is_short) {
        let message = format!(
            "pod {pod}: device {} of driver {} comes from resource claim {}/{}, which podbond does not \
             attach: request the device as a resource of a container",
            claim.device, claim.driver, claim.namespace, claim.claim
        );
        return Err(Refusal { reason: RefusalReason::ResourceClaim, message });
    }
    let of = |(resource, devices): (String, std::collections::BTreeSet<String>)| ResourceDevices {
        resource,
        devices: devices.into_iter().collect(),
    };
    Ok(given.by_resource.into_iter().map(of).collect())
}

fn key(pod: &PodId) -> ObjectKey {
    ObjectKey { namespace: pod.namespace.clone(), name: pod.name.clone() }
}

fn other_pod(asked: &PodId, pod: &NodePod) -> Refusal {
    let uid = asked.uid.as_ref().map_or("none", |uid| uid.as_str());
    let message = format!(
        "pod {}: the runtime names UID {uid}, and the API has another pod of this name, UID {}: the runtime's \
         was deleted meanwhile",
        pod.key, pod.uid
    );
    Refusal { reason: RefusalReason::OtherPod, message }
}

fn not_ready(pod: &ObjectKey, error: impl std::fmt::Display) -> Refusal {
    Refusal { reason: RefusalReason::NotReady, message: format!("pod {pod}: {error}") }
}
