//! What is looked after each minute: the records of the node, from which the status of pods is written, what
//! belongs to no pod is removed and pods without their networks are told of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use podbond_cluster::{Cluster, NodePod, Watched};
use podbond_cni::PodRef;
use podbond_names::ObjectUid;
use podbond_record::Records;
use tokio::time::{Instant, sleep};

use crate::status::{Sandbox, Statuses, newest_of_each_pod};
use crate::sweep::{Sweeps, sweep};
use crate::unattached::{LIBCNI_RESULTS, MULTUS, event, is_of_multus, unattached};

/// Between two looks.
const INTERVAL: Duration = Duration::from_mins(1);

/// What looks after the records.
#[derive(Debug)]
pub(crate) struct Upkeep {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) watched: Watched,
    pub(crate) statuses: Statuses,
    /// The executable on the node.
    pub(crate) podbond: PathBuf,
}

/// What the records say at one moment.
struct Read {
    sandboxes: Vec<Sandbox>,
    orphans: usize,
    /// Pods that run without their networks.
    unattached: Vec<NodePod>,
}

impl Upkeep {
    /// Looks after the records for as long as the agent runs.
    pub(crate) async fn keep(self) {
        let (mut sweeps, mut told): (Sweeps, BTreeSet<ObjectUid>) = Default::default();
        loop {
            let as_of = Instant::now();
            // The pods first: what runs already has its records.
            let pods: Vec<NodePod> = self.watched.index().pods().cloned().collect();
            match tokio::task::spawn_blocking(move || Read::now(&pods)).await {
                Ok(Ok(read)) => {
                    self.statuses.tell_all(read.sandboxes, as_of).await;
                    self.tell_of(&read.unattached, &mut told).await;
                    if sweeps.is_due(read.orphans, as_of) {
                        sweep(&self.podbond).await;
                    }
                }
                Ok(Err(error)) => tracing::warn!(%error, "the records cannot be read"),
                Err(error) => tracing::error!(%error, "reading the records has failed"),
            }
            sleep(INTERVAL).await;
        }
    }

    /// Tells of pods without their networks, of each once.
    async fn tell_of(&self, pods: &[NodePod], told: &mut BTreeSet<ObjectUid>) {
        told.retain(|uid| pods.iter().any(|pod| pod.uid == *uid));
        for pod in pods {
            if told.insert(pod.uid.clone()) {
                tracing::warn!(pod = %pod.key, "a pod runs without its networks");
                self.cluster.send(&event(pod)).await;
            }
        }
    }
}

impl Read {
    fn now(pods: &[NodePod]) -> Result<Self, podbond_record::Error> {
        let (records, unreadable) = Records::default().all()?;
        let recorded: BTreeSet<PodRef> =
            records.iter().filter_map(|record| record.pod.clone()).collect();
        let orphans = records.iter().filter(|record| record.is_orphan()).count();
        let is_of_multus = |pod: &NodePod| {
            is_of_multus(pod.runtime_uid(), Path::new(LIBCNI_RESULTS), Path::new(MULTUS))
        };
        let unattached = unattached(pods, &recorded).filter(|pod| !is_of_multus(pod));
        Ok(Self {
            unattached: unattached.cloned().collect(),
            orphans: orphans + unreadable.len(),
            sandboxes: newest_of_each_pod(records),
        })
    }
}
