//! Pods that run without the networks of their annotation: those that a runtime started while podbond did not
//! answer it, as on a node that has just come up or from which podbond's configuration was taken away.

use std::collections::BTreeSet;
use std::path::Path;

use podbond_attach::parse_networks;
use podbond_cluster::{About, Event, EventType, NodePod, Phase, PodNetwork};
use podbond_cni::PodRef;
use podbond_names::ObjectUid;

/// Where libcni keeps what runtimes have asked for, one file for each attachment.
pub(crate) const LIBCNI_RESULTS: &str = "/var/lib/cni/results";

/// Where Multus keeps what it has attached, one file for each sandbox.
pub(crate) const MULTUS: &str = "/var/lib/cni/multus";

/// Returns the pods of the node that run and have none of the networks of their annotation: no record, no status.
/// `recorded` are the pods that the records name.
pub(crate) fn unattached<'a>(
    pods: &'a [NodePod],
    recorded: &BTreeSet<PodRef>,
) -> impl Iterator<Item = &'a NodePod> {
    let is_recorded =
        |pod: &NodePod| recorded.iter().any(|it| it.key() == pod.key && pod.is_of(it.uid.as_ref()));
    let wants_networks = |pod: &NodePod| {
        let networks = pod.networks.networks.as_deref().unwrap_or_default();
        // One that does not parse keeps a pod from running.
        parse_networks(networks).is_ok_and(|networks| !networks.is_empty())
    };
    pods.iter().filter(move |pod| {
        let runs = pod.phase == Phase::Running && !pod.is_over();
        let is_alone = pod.network_status.is_none() && !is_recorded(pod);
        runs && pod.network == PodNetwork::Own && wants_networks(pod) && is_alone
    })
}

/// Returns whether Multus has attached a pod: libcni's results name the pod's sandbox, and Multus has a file of it.
/// What cannot be read counts as absent.
pub(crate) fn is_of_multus(uid: &ObjectUid, results: &Path, multus: &Path) -> bool {
    let named = podbond_state::names(results).unwrap_or_default();
    named.iter().any(|name| {
        let bytes = podbond_state::read(&results.join(name)).ok().flatten().unwrap_or_default();
        let result = serde_json::from_slice::<serde_json::Value>(&bytes).unwrap_or_default();
        let args = result["cniArgs"].as_array().map_or(&[][..], Vec::as_slice);
        let is_of_pod = args.iter().any(|arg| arg[0] == "K8S_POD_UID" && arg[1] == uid.as_str());
        let id = result["containerId"].as_str();
        // It becomes part of a path.
        let id = id.and_then(|id| podbond_cni::ContainerId::try_from(id.to_owned()).ok());
        is_of_pod && id.is_some_and(|id| multus.join(id.as_str()).exists())
    })
}

/// Returns the event about such a pod.
pub(crate) fn event(pod: &NodePod) -> Event {
    let networks = pod.networks.networks.as_deref().unwrap_or_default();
    Event {
        about: About::Pod { key: pod.key.clone(), uid: pod.uid.clone() },
        kind: EventType::Warning,
        reason: "NetworksMissing",
        note: format!(
            "the pod runs without the networks of its annotation ({}): its runtime started it while podbond \
             did not answer. Delete the pod, so that it is made anew",
            podbond_names::OneLine(networks)
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use podbond_agent_socket::PodAnnotations;

    use super::*;

    fn pod() -> NodePod {
        NodePod {
            key: "demo/p".parse().unwrap(),
            uid: "u-1".parse().unwrap(),
            static_uid: None,
            networks: PodAnnotations {
                networks: Some("demo/a".to_owned()),
                ..PodAnnotations::default()
            },
            network_status: None,
            bonds: None,
            phase: Phase::Running,
            network: PodNetwork::Own,
            is_deleting: false,
            requested: BTreeMap::new(),
        }
    }

    fn is_unattached(pod: NodePod, recorded: &[PodRef]) -> bool {
        let recorded = recorded.iter().cloned().collect();
        unattached(&[pod], &recorded).count() == 1
    }

    #[test]
    fn pod_that_runs_without_record_and_status_is_unattached() {
        assert!(is_unattached(pod(), &[]));
        let of = |uid: Option<&str>| PodRef {
            namespace: "demo".parse().unwrap(),
            name: "p".parse().unwrap(),
            uid: uid.map(|uid| uid.parse().unwrap()),
        };
        assert!(is_unattached(pod(), &[of(Some("u-0"))]), "the record of an earlier pod");
        assert!(!is_unattached(pod(), &[of(Some("u-1"))]));
        assert!(!is_unattached(pod(), &[of(None)]));
        for other in [
            NodePod { phase: Phase::Pending, ..pod() },
            NodePod { is_deleting: true, ..pod() },
            NodePod { network: PodNetwork::Node, ..pod() },
            NodePod { network_status: Some("[]".to_owned()), ..pod() },
            NodePod { networks: PodAnnotations::default(), ..pod() },
        ] {
            assert!(!is_unattached(other, &[]));
        }
    }

    #[test]
    fn pod_of_multus_is_known_by_libcnis_result_and_its_own_file() {
        let dir = tempfile::tempdir().unwrap();
        let (results, multus) = (dir.path().join("results"), dir.path().join("multus"));
        fs::create_dir(&results).unwrap();
        fs::create_dir(&multus).unwrap();
        let is_of_multus = |uid: &str| is_of_multus(&uid.parse().unwrap(), &results, &multus);
        assert!(!is_of_multus("u-1"));
        let result = r#"{"kind": "cniCacheV1", "containerId": "c1", "ifName": "eth0", "networkName": "n",
            "cniArgs": [["IgnoreUnknown", "1"], ["K8S_POD_UID", "u-1"]]}"#;
        fs::write(results.join("n-c1-eth0"), result).unwrap();
        assert!(!is_of_multus("u-1"));
        fs::write(multus.join("c1"), "[]").unwrap();
        assert!(is_of_multus("u-1") && !is_of_multus("u-2"));
    }
}
