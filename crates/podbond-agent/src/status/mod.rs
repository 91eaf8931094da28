//! The status of pods in the API, from the records: written when a plugin reports, and later where that failed or
//! where the API has something else.

mod index;
mod sandbox;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use podbond_agent::bonds::{self, Change, NextLook};
use podbond_agent_socket::{Report, Reported, Written};
use podbond_cluster::{About, Cluster, Event, EventType, Watched};
use podbond_cni::ContainerId;
use podbond_faults::point;
use podbond_names::{ObjectKey, ObjectUid};
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

/// What a look at a pod's bonds begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// The watch of its bonds, before it looks: what changes later is told.
    Watch,
    Nothing,
}

/// Writes the status of pods. A clone writes the same.
#[derive(Debug, Clone)]
pub(crate) struct Statuses {
    cluster: Arc<Cluster>,
    watched: Watched,
    index: Arc<Mutex<StatusIndex>>,
    changed: Arc<Notify>,
    bonds: bonds::Watch,
}

impl Statuses {
    /// Returns what writes the status of the pods that are watched; `bonds` says when a pod's bonds are to be looked
    /// at.
    pub(crate) fn new(cluster: Arc<Cluster>, watched: Watched, bonds: bonds::Watch) -> Self {
        Self { cluster, watched, index: Arc::default(), changed: Arc::default(), bonds }
    }

    /// Takes what the records of all pods say, read at a time, and looks at the bonds that are new.
    pub(crate) async fn tell_all(&self, sandboxes: Vec<Sandbox>, as_of: Instant) {
        let unseen = {
            let mut index = self.index();
            index.tell_all(sandboxes, &self.watched.index(), as_of);
            index.unseen()
        };
        for container_id in unseen {
            self.look_later(container_id, Begin::Watch).await;
        }
        self.changed.notify_one();
    }

    /// Looks, for as long as the agent runs, at the bonds of each pod when they may have changed.
    pub(crate) async fn watch_bonds(&self, mut next: NextLook) {
        loop {
            let container_id = next.next().await;
            self.look_later(container_id, Begin::Nothing).await;
        }
    }

    async fn look_later(&self, container_id: ContainerId, begin: Begin) {
        let looked = self.look(container_id.clone(), begin).await;
        match looked {
            Ok(Some(_)) => self.changed.notify_one(),
            Ok(None) => self.bonds.remove(&container_id),
            Err(error) => tracing::warn!(container = %container_id, error, "bonds are not seen"),
        }
    }

    /// Reads a sandbox's records and looks at its bonds, tells what has changed of them by events, and returns its
    /// pod; none where its attachments are not complete.
    async fn look(
        &self,
        container_id: ContainerId,
        begin: Begin,
    ) -> Result<Option<ObjectKey>, String> {
        let (as_of, watch) = (Instant::now(), self.bonds.clone());
        let read = move || read(&container_id, begin, &watch);
        let read = tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?;
        let Some(sandbox) = read? else { return Ok(None) };
        let key = sandbox.pod.clone();
        let (changes, uid) = {
            let known = self.watched.index();
            let pod = known.pod(&key);
            let uid = pod.filter(|pod| pod.is_of(sandbox.uid.as_ref())).map(|pod| pod.uid.clone());
            let uid = uid.or_else(|| sandbox.uid.clone());
            (self.index().tell(sandbox, pod, as_of), uid)
        };
        if let Some(uid) = uid {
            self.tell_of(&key, &uid, changes);
        }
        Ok(Some(key))
    }

    /// Writes what has changed of a pod's bonds as events, beside everything else.
    fn tell_of(&self, key: &ObjectKey, uid: &ObjectUid, changes: Vec<Change>) {
        for Change { kind, reason, note } in changes {
            let about = About::Pod { key: key.clone(), uid: uid.clone() };
            let (cluster, event) = (Arc::clone(&self.cluster), Event { about, kind, reason, note });
            tokio::spawn(async move { cluster.send(&event).await });
        }
    }

    /// Writes the status of a pod that was attached.
    pub(crate) async fn report(&self, report: &Report) -> Reported {
        match self.write_reported(report).await {
            Ok(()) => Reported { written: Written::Written, reason: None },
            Err(reason) => Reported { written: Written::Deferred, reason: Some(reason) },
        }
    }

    async fn write_reported(&self, report: &Report) -> Result<(), String> {
        let container_id = ContainerId::try_from(report.container_id.clone())?;
        let Some(key) = self.look(container_id, Begin::Watch).await? else {
            return Err("no attachment of the container is recorded as complete".to_owned());
        };
        let write = {
            let known = self.watched.index();
            self.index().write_of(&key, known.pod(&key), Instant::now())
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

/// Returns what the records of a container and the kernel say; none where its attachments are not complete.
fn read(
    container_id: &ContainerId,
    begin: Begin,
    watch: &bonds::Watch,
) -> Result<Option<Sandbox>, String> {
    let (records, _) =
        Records::default().of_container(container_id).map_err(|error| error.to_string())?;
    let Some(mut sandbox) = Sandbox::of(&records) else { return Ok(None) };
    if begin == Begin::Watch
        && let Err(error) = watch.add(container_id, &records)
    {
        tracing::warn!(pod = %sandbox.pod, %error, "bonds are looked at once a minute only");
    }
    match bonds::observe(&records) {
        // Its namespace is over, or nobody can tell.
        Ok(bonds) if bonds.is_empty() => {}
        Ok(bonds) => sandbox.bonds = Some(bonds),
        Err(error) => tracing::warn!(pod = %sandbox.pod, %error, "bonds are not seen"),
    }
    Ok(Some(sandbox))
}
