//! The pods of this node: those that `podbond apply` made, and those that a runtime or Multus made, as
//! the records of their attachments tell them.

use std::path::PathBuf;

use podbond_api::ObjectKey;
use podbond_cni::ContainerId;
use podbond_kernel::NamedNetns;
use podbond_record::{Record, Unreadable};

use crate::error::Error;
use crate::node::Node;
use crate::store::{PodRecord, Stored};

/// A pod with its attachments.
pub(crate) struct Pod {
    /// Its namespace and name; none where the runtime told none.
    pub(crate) key: Option<ObjectKey>,
    /// What it is called: `namespace/name`, or its container.
    pub(crate) name: String,
    /// Its network namespace while it is there.
    pub(crate) netns: Option<PathBuf>,
    /// The records of its attachments, in the order in which they were made.
    pub(crate) records: Vec<Record>,
    /// What `podbond apply` noted of it, if that made it, or why that cannot be read.
    pub(crate) applied: Option<Result<PodRecord, Error>>,
}

/// The pods of the node.
pub(crate) struct Pods {
    /// In order of their names.
    pub(crate) pods: Vec<Pod>,
    /// The records of attachments that cannot be read.
    pub(crate) unreadable: Vec<Unreadable>,
}

impl Pods {
    /// Returns all pods.
    pub(crate) fn of(node: &Node<'_>) -> Result<Self, Error> {
        let (records, unreadable) = node.records.all()?;
        let mut pods: Vec<Pod> = Vec::new();
        for stored in node.store.pods(None)? {
            pods.push(Pod::applied(stored)?);
        }
        for record in records {
            match pods.iter_mut().find(|pod| pod.has(&record)) {
                Some(pod) => pod.add(record),
                None => pods.push(Pod::of(record)),
            }
        }
        for pod in &mut pods {
            pod.records
                .sort_by_key(|record| (record.chain.as_ref().map(|it| it.position), record.begun));
        }
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { pods, unreadable })
    }

    /// Keeps the pods that have this name, or are in this Kubernetes namespace.
    pub(crate) fn retain(&mut self, is_wanted: impl Fn(&ObjectKey) -> bool) {
        self.pods.retain(|pod| pod.key.as_ref().is_some_and(&is_wanted));
    }
}

impl Pod {
    fn applied((key, applied): Stored) -> Result<Self, Error> {
        let netns = NamedNetns::find(&PodRecord::netns_name(&key))?;
        Ok(Self {
            name: key.to_string(),
            netns: netns.map(|netns| netns.path().to_owned()),
            key: Some(key),
            records: Vec::new(),
            applied: Some(applied),
        })
    }

    fn of(record: Record) -> Self {
        let name = match &record.pod {
            Some(pod) => pod.to_string(),
            None => format!("container {}", record.container_id),
        };
        let key = record.pod.as_ref().map(podbond_cni::PodRef::key);
        let mut pod = Self { key, name, netns: None, records: Vec::new(), applied: None };
        pod.add(record);
        pod
    }

    fn add(&mut self, record: Record) {
        if self.netns.is_none() && !record.is_orphan() {
            self.netns = record.netns.as_ref().map(|netns| netns.path.clone());
        }
        self.records.push(record);
    }

    /// Returns whether an attachment is of this pod: of the same container, or of the namespace of a pod
    /// that `podbond apply` made.
    fn has(&self, record: &Record) -> bool {
        let is_of = |other: &Record| other.container_id == record.container_id;
        let is_applied = |container: &ContainerId| *container == record.container_id;
        self.records.iter().any(is_of)
            || matches!(&self.applied, Some(Ok(applied)) if is_applied(&applied.container_id))
    }
}
