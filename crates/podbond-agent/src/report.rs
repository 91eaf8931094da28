//! The status of pods in the API, from the records: written when a plugin reports, and later where that failed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use podbond_agent_socket::{Report, Reported, Written};
use podbond_attach::{NetworkStatus, annotation, statuses_of};
use podbond_cluster::{Cluster, EventType, NodePod, Observed, PodAnnotationsWriter};
use podbond_cni::ContainerId;
use podbond_names::{ObjectKey, ObjectUid};
use podbond_record::{Record, Records, State};
use tokio::time::sleep;

/// The annotation that is written.
const NETWORK_STATUS: &str = "k8s.v1.cni.cncf.io/network-status";

/// How long a plugin waits for the status to be written.
const REPORT_TIMEOUT: Duration = Duration::from_millis(1900);

/// How long a later attempt may take.
const LATER_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two looks for what is still to be written.
const LATER_INTERVAL: Duration = Duration::from_secs(5);

/// Writes the status of pods.
#[derive(Debug, Clone)]
pub(crate) struct Statuses {
    pub(crate) cluster: Cluster,
    pub(crate) node_name: String,
    pub(crate) observed: Observed,
}

/// What a pod's status is to be.
#[derive(Debug, Clone, PartialEq)]
struct Wanted {
    pod: ObjectKey,
    uid: ObjectUid,
    statuses: Vec<NetworkStatus>,
}

impl Statuses {
    /// Writes the status of a pod that was attached.
    pub(crate) async fn report(&self, report: &Report) -> Reported {
        let deferred =
            |reason: String| Reported { written: Written::Deferred, reason: Some(reason) };
        let records = match ContainerId::try_from(report.container_id.clone()) {
            Ok(id) => Records::default().of_container(&id),
            Err(error) => return deferred(error),
        };
        let records = match records {
            Ok((records, _)) => records,
            Err(error) => return deferred(error.to_string()),
        };
        let Some(mut wanted) = wanted(&records) else {
            return deferred("no attachment of the container is recorded as complete".to_owned());
        };
        // The API knows a static pod by another UID than the runtime.
        let known = self.observed.known_pod(&wanted.pod);
        if let Some(pod) = known.filter(|pod| pod.is_of(Some(&wanted.uid))) {
            wanted.uid = pod.uid;
        }
        match self.write(&wanted, REPORT_TIMEOUT).await {
            Ok(()) => {
                let this = self.clone();
                tokio::spawn(async move { this.tell(&wanted).await });
                Reported { written: Written::Written, reason: None }
            }
            Err(error) => deferred(error.to_string()),
        }
    }

    /// Writes, for as long as the agent runs, what the API does not have as the records say it.
    pub(crate) async fn keep(self) {
        loop {
            sleep(LATER_INTERVAL).await;
            let records = match Records::default().all() {
                Ok((records, _)) => records,
                Err(error) => {
                    tracing::warn!(%error, "the records cannot be read");
                    continue;
                }
            };
            for wanted in missing(records, &self.observed.pods()) {
                match self.write(&wanted, LATER_TIMEOUT).await {
                    Ok(()) => {
                        tracing::info!(pod = %wanted.pod, "the status is written");
                        self.tell(&wanted).await;
                    }
                    Err(error) => tracing::warn!(%error, "the status is still to be written"),
                }
            }
        }
    }

    async fn write(&self, wanted: &Wanted, time: Duration) -> Result<(), podbond_cluster::Error> {
        let annotations = BTreeMap::from([(NETWORK_STATUS, annotation(&wanted.statuses))]);
        let writer = PodAnnotationsWriter::new(&self.cluster);
        writer.write(&wanted.pod, &wanted.uid, &annotations, time).await
    }

    /// Writes the event about a pod that was attached: one for all its interfaces.
    async fn tell(&self, wanted: &Wanted) {
        let (note, about) = (attached(&wanted.statuses), (&wanted.pod, &wanted.uid));
        let kind = (EventType::Normal, "AddedInterface");
        if let Err(error) = self.cluster.pod_event(&self.node_name, about, kind, &note).await {
            tracing::warn!(%error, "an event is lost");
        }
    }
}

/// Returns the sentence about a pod's interfaces, in the words of Multus: `Add net1 [10.0.0.1] from demo/a`.
fn attached(statuses: &[NetworkStatus]) -> String {
    let one = |status: &NetworkStatus| {
        let ips: Vec<String> = status.ips.iter().map(ToString::to_string).collect();
        format!("{} [{}] from {}", status.interface, ips.join(" "), status.name)
    };
    format!("Add {}", statuses.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// Returns the status that a container's records make; none before all its attachments are complete.
fn wanted(records: &[Record]) -> Option<Wanted> {
    let mut of_chain = records.iter().filter(|record| record.chain.is_some()).peekable();
    let pod = of_chain.peek()?.pod.clone()?;
    let of_chain: Vec<&Record> = of_chain.collect();
    if of_chain.iter().any(|record| record.state != State::Active) {
        return None;
    }
    let statuses = of_chain.into_iter().flat_map(statuses_of).collect();
    Some(Wanted { pod: pod.key(), uid: pod.uid?, statuses })
}

/// Returns what the API does not have as the records say it, of pods that run.
fn missing(records: Vec<Record>, pods: &[NodePod]) -> Vec<Wanted> {
    let mut by_container: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for record in records {
        by_container.entry(record.container_id.to_string()).or_default().push(record);
    }
    // A pod that has had another sandbox before, as before a reboot, is known by its newest.
    let begun = |records: &[Record]| records.iter().map(|record| record.begun).max();
    let mut containers: Vec<Vec<Record>> = by_container.into_values().collect();
    containers.sort_by_key(|records| std::cmp::Reverse(begun(records)));
    let (mut missing, mut seen) = (Vec::new(), BTreeSet::new());
    for records in &mut containers {
        records.sort_by_key(|record| record.chain.as_ref().map(|chain| chain.position));
        let pod = records.iter().find_map(|record| record.pod.clone());
        if pod.is_some_and(|pod| !seen.insert(pod)) {
            continue;
        }
        let Some(wanted) = wanted(records) else { continue };
        let pod = pods.iter().find(|pod| pod.key == wanted.pod && pod.is_of(Some(&wanted.uid)));
        let Some(pod) = pod.filter(|pod| !pod.is_over) else { continue };
        let text = annotation(&wanted.statuses);
        if pod.annotations.get(NETWORK_STATUS) != Some(&text) {
            // The API knows a static pod by another UID than the runtime.
            missing.push(Wanted { uid: pod.uid.clone(), ..wanted });
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use podbond_agent_socket::PodAnnotations;
    use podbond_cluster::PodSource;
    use serde_json::json;

    use super::*;

    fn record(ifname: &str, position: usize, state: &str) -> Record {
        let config = json!({"cniVersion": "1.0.0", "name": "n", "type": "bridge"});
        serde_json::from_value(json!({
            "containerId": "c1", "ifname": ifname, "state": state, "network": "n",
            "pod": {"namespace": "demo", "name": "p", "uid": "u-1"},
            "chain": {
                "position": position, "configs": [config], "args": {}, "called": 1,
                "result": {"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.1/24"}]},
            },
        }))
        .unwrap()
    }

    fn pod(annotations: &[(&str, String)]) -> NodePod {
        NodePod {
            key: "demo/p".parse().unwrap(),
            uid: "u-1".parse().unwrap(),
            source: PodSource::Api,
            networks: PodAnnotations::default(),
            annotations: annotations
                .iter()
                .map(|(key, text)| ((*key).to_owned(), text.clone()))
                .collect(),
            host_network: false,
            requested: BTreeMap::new(),
            is_over: false,
        }
    }

    #[test]
    fn status_is_wanted_once_all_attachments_are_complete() {
        let (eth0, net1) = (record("eth0", 0, "active"), record("net1", 1, "active"));
        let both = wanted(&[eth0.clone(), net1.clone()]).unwrap();
        assert_eq!((both.pod.to_string(), both.statuses.len()), ("demo/p".to_owned(), 2));
        assert_eq!(attached(&both.statuses), "Add eth0 [10.0.0.1] from n, net1 [10.0.0.1] from n");
        assert_eq!(wanted(&[eth0, record("net1", 1, "prepared")]), None);
        assert_eq!(wanted(&[]), None);
    }

    #[test]
    fn newest_sandbox_of_a_pod_makes_its_status() {
        let older = record("eth0", 0, "active");
        let newer = |state: &str| {
            let mut newer = record("net9", 0, state);
            newer.container_id = "a0".to_owned().try_into().unwrap();
            newer.begun = older.begun + 1;
            newer
        };
        let found = missing(vec![newer("active"), older.clone()], &[pod(&[])]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].statuses[0].interface, "net9");
        assert_eq!(missing(vec![newer("prepared"), older.clone()], &[pod(&[])]), []);
    }

    #[test]
    fn what_the_api_has_not_is_missing() {
        let records = || vec![record("net1", 1, "active"), record("eth0", 0, "active")];
        let found = missing(records(), &[pod(&[])]);
        assert_eq!(found[0].statuses[0].interface, "eth0");
        let text = annotation(&found[0].statuses);
        assert_eq!(missing(records(), &[pod(&[(NETWORK_STATUS, text)])]), []);
        let other = NodePod { uid: "u-2".parse().unwrap(), ..pod(&[]) };
        assert_eq!(missing(records(), &[other]), []);
        assert_eq!(missing(records(), &[NodePod { is_over: true, ..pod(&[]) }]), []);
    }
}
