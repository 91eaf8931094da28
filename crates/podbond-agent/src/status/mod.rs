//! The status of pods in the API, from the records: written when a plugin reports, and later where that failed or
//! where the API has something else.

mod index;
mod sandbox;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use podbond_agent_socket::{Report, Reported, Written};
use podbond_cluster::{About, Cluster, Event, EventType, Watched};
use podbond_cni::ContainerId;
use podbond_faults::point;
use podbond_record::Records;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use crate::socket::POINT;

use self::index::{StatusIndex, Write};
pub(crate) use self::sandbox::{Sandbox, newest_of_each_pod};

/// How long a plugin waits for the status to be written.
const REPORT_TIMEOUT: Duration = Duration::from_millis(1900);

/// How long a later attempt may take.
const LATER_TIMEOUT: Duration = Duration::from_secs(10);

/// How many are written at once.
const AT_ONCE: usize = 8;

/// For how long changes are gathered before they are looked at.
const GATHER: Duration = Duration::from_millis(50);

/// The longest time between two looks: nothing is to be done, as far as is known.
const IDLE: Duration = Duration::from_mins(1);

/// Writes the status of pods. A clone writes the same.
#[derive(Debug, Clone)]
pub(crate) struct Statuses {
    cluster: Arc<Cluster>,
    watched: Watched,
    index: Arc<Mutex<StatusIndex>>,
    changed: Arc<Notify>,
}

impl Statuses {
    /// Returns what writes the status of the pods that are watched.
    pub(crate) fn new(cluster: Arc<Cluster>, watched: Watched) -> Self {
        Self { cluster, watched, index: Arc::default(), changed: Arc::default() }
    }

    /// Takes what the records of all pods say, read at a time.
    pub(crate) fn tell_all(&self, sandboxes: Vec<Sandbox>, as_of: Instant) {
        self.index().tell_all(sandboxes, as_of);
        self.changed.notify_one();
    }

    /// Writes the status of a pod that was attached.
    pub(crate) async fn report(&self, report: &Report) -> Reported {
        match self.write_reported(report).await {
            Ok(()) => Reported { written: Written::Written, reason: None },
            Err(reason) => Reported { written: Written::Deferred, reason: Some(reason) },
        }
    }

    async fn write_reported(&self, report: &Report) -> Result<(), String> {
        let as_of = Instant::now();
        let container_id = ContainerId::try_from(report.container_id.clone())?;
        let read = move || match Records::default().of_container(&container_id) {
            Ok((records, _)) => Ok(Sandbox::of(&records)),
            Err(error) => Err(error.to_string()),
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?;
        let Some(sandbox) = read? else {
            return Err("no attachment of the container is recorded as complete".to_owned());
        };
        let key = sandbox.pod.clone();
        let write = {
            let mut index = self.index();
            index.tell(sandbox, as_of);
            let known = self.watched.index();
            index.write_of(&key, known.pod(&key), as_of)
        };
        let write = write.ok_or("the API has not told of the pod yet")?;
        self.write(&write, REPORT_TIMEOUT).await.map_err(|error| error.to_string())
    }

    /// Writes, for as long as the agent runs, what the API does not have as it is to be.
    pub(crate) async fn keep(self) {
        let mut changes = self.watched.changes();
        loop {
            let (due, next) = self.index().due(&self.watched.index(), Instant::now());
            stream::iter(due).for_each_concurrent(AT_ONCE, |write| self.write_later(write)).await;
            let next = next.unwrap_or_else(|| Instant::now() + IDLE);
            tokio::select! {
                () = self.changed.notified() => {}
                _ = changes.changed() => {}
                () = sleep_until(next) => {}
            }
            sleep(GATHER).await;
        }
    }

    async fn write_later(&self, write: Write) {
        if let Err(error) = self.write(&write, LATER_TIMEOUT).await {
            tracing::warn!(%error, "the status is still to be written");
        }
    }

    /// Writes one status, and tells of the pod's interfaces by an event when it is the first.
    async fn write(&self, write: &Write, time: Duration) -> Result<(), podbond_cluster::Error> {
        point(POINT, &"a status is to be written");
        let written =
            self.cluster.write_annotations(&write.pod, &write.uid, &write.annotations, time).await;
        point(POINT, &"a status is written");
        let is_first = self.index().ended(write, written.is_ok(), Instant::now());
        self.changed.notify_one();
        if is_first {
            let event = Event {
                about: About::Pod { key: write.pod.clone(), uid: write.uid.clone() },
                kind: EventType::Normal,
                reason: "AddedInterface",
                note: write.interfaces.clone(),
            };
            let cluster = Arc::clone(&self.cluster);
            tokio::spawn(async move { cluster.send(&event).await });
        }
        written
    }

    fn index(&self) -> MutexGuard<'_, StatusIndex> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
