//! What is on the node and belongs to nobody: attachments whose pods went without a DEL, leases that
//! IPAM plugins did not take back, files that say nothing. Found from the records and taken away.

mod text;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use podbond_api::ObjectKey;
use podbond_cni::{Attachment, ContainerId, PodRef};
use podbond_record::{Record, State, Unreadable};
use podbond_sriov::{ForeignOrphan, Sriov};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::error::Error;
use crate::node::Node;

pub(crate) use text::lines;

/// What belongs to nobody, in the order in which it is taken away.
pub(crate) struct Orphans {
    orphans: Vec<Orphan>,
    /// What could not be looked at.
    pub(crate) errors: Vec<Error>,
}

/// One thing that belongs to nobody.
enum Orphan {
    /// An attachment that a chain or one of our plugins made.
    Attachment(Box<Record>),
    /// A VF that sriov-cni gave to a pod, of which podbond has no record.
    OfSriovCni(ForeignOrphan),
    /// A record that cannot be read.
    Unreadable { file: Unreadable, may_be_alive: bool },
    /// A lease from before the boot that no record names.
    Lease(podbond_host_local::Orphan),
}

/// What has become of a thing that belongs to nobody.
#[derive(Serialize)]
pub(crate) struct Row {
    object: String,
    what: String,
    done: Done,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Done {
    Removed,
    /// Not yet: nothing is to be changed.
    ToDo,
    Failed,
    /// It stays, since nobody can tell whether it may go.
    Left,
}

impl Orphans {
    /// Looks for all that belongs to nobody. Nothing is changed.
    pub(crate) fn find(node: &Node<'_>) -> Self {
        let mut found = Self { orphans: Vec::new(), errors: Vec::new() };
        let (records, unreadable) = node.records.all().unwrap_or_else(|error| {
            found.errors.push(error.into());
            Default::default()
        });
        let (mut over, living): (Vec<Record>, Vec<Record>) =
            records.into_iter().partition(Record::is_orphan);
        let recorded: BTreeSet<Attachment> =
            over.iter().chain(&living).map(Record::attachment).collect();
        let living: BTreeSet<ContainerId> =
            living.into_iter().map(|record| record.container_id).collect();
        // Each pod's in reverse: what was made last goes first.
        over.sort_by(|a, b| (&b.container_id, place(b)).cmp(&(&a.container_id, place(a))));
        found.orphans.extend(over.into_iter().map(|record| Orphan::Attachment(Box::new(record))));
        match Sriov::default().foreign_orphans() {
            Ok(foreign) => found.orphans.extend(foreign.into_iter().map(Orphan::OfSriovCni)),
            Err(error) => found.errors.push(Error::Failed(error.into_failure("sriov"))),
        }
        for file in unreadable {
            // The DEL of its pod makes up for it as long as the file tells that there was one.
            let of = file.attachment.as_ref().map(|attachment| &attachment.container_id);
            let may_be_alive = of.is_some_and(|container| living.contains(container));
            found.orphans.push(Orphan::Unreadable { file, may_be_alive });
        }
        let boot = boot_time();
        let (leases, failures) = podbond_host_local::orphans(|lease| {
            let holder = lease.holder.attachment();
            lease.modified < boot && holder.is_some_and(|holder| !recorded.contains(holder))
        });
        found.orphans.extend(leases.into_iter().map(Orphan::Lease));
        found.errors.extend(failures.into_iter().map(Error::Failed));
        found
    }

    /// Returns the pods whose attachments are taken away. Their manifests stay.
    pub(crate) fn pods(&self) -> BTreeSet<ObjectKey> {
        let mut pods = BTreeSet::new();
        for orphan in &self.orphans {
            if let Orphan::Attachment(record) = orphan {
                pods.extend(record.pod.as_ref().map(PodRef::key));
            }
        }
        pods
    }

    /// Returns what would be taken away.
    pub(crate) fn foreseen(self) -> Vec<Row> {
        let done = |orphan: &Orphan| if orphan.is_left() { Done::Left } else { Done::ToDo };
        self.orphans.iter().map(|orphan| orphan.row(done(orphan), None)).collect()
    }

    /// Takes it all away, going on past errors.
    pub(crate) fn remove(self, node: &Node<'_>) -> Vec<Row> {
        node.records.sweep().unwrap_or_default();
        self.orphans.into_iter().map(|orphan| orphan.remove(node)).collect()
    }
}

impl Orphan {
    /// Returns whether it stays, since nobody can tell whether it may go.
    fn is_left(&self) -> bool {
        match self {
            Self::Attachment(_) | Self::OfSriovCni(_) => false,
            Self::Unreadable { may_be_alive, .. } => *may_be_alive,
            Self::Lease(_) => true,
        }
    }

    fn remove(self, node: &Node<'_>) -> Row {
        if self.is_left() {
            return self.row(Done::Left, None);
        }
        let outcome = match &self {
            Self::Attachment(record) => Error::gather(node.end_orphan(record)),
            Self::OfSriovCni(orphan) => Sriov::default()
                .remove_foreign_orphan(orphan, &node.plugin_path, node.delegates)
                .map_err(|error| Error::Failed(error.into_failure("sriov"))),
            Self::Unreadable { file, .. } => podbond_state::remove(&file.path).map_err(Error::from),
            Self::Lease(_) => Ok(()),
        };
        match outcome {
            Ok(()) => self.row(Done::Removed, None),
            Err(error) => self.row(Done::Failed, Some(error.lines().join("; "))),
        }
    }

    fn row(&self, done: Done, error: Option<String>) -> Row {
        let (object, what) = match self {
            Self::Attachment(record) => (record.to_string(), what_is_left(record)),
            Self::OfSriovCni(orphan) => {
                (format!("VF {}", orphan.device), what_sriov_cni_left(orphan))
            }
            Self::Unreadable { file, may_be_alive } => {
                let then = if *may_be_alive { ": its pod's DEL makes up for it" } else { "" };
                (file.path.display().to_string(), format!("record that cannot be read{then}"))
            }
            Self::Lease(orphan) => (
                orphan.path().display().to_string(),
                "lease from before the boot, of no record: remove it if its pod is gone".to_owned(),
            ),
        };
        Row { object, what, done, error }
    }
}

/// Returns when the node was started.
fn boot_time() -> SystemTime {
    let running = clock_gettime(ClockId::Boottime);
    let running = Duration::from_secs(u64::try_from(running.tv_sec).unwrap_or(0));
    SystemTime::now().checked_sub(running).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn place(record: &Record) -> usize {
    record.chain.as_ref().map_or(0, |chain| chain.position)
}

fn what_is_left(record: &Record) -> String {
    let network = record.network_name();
    match record.state {
        State::IpamPending => format!("lease of {network} that its IPAM plugin has not taken back"),
        State::Prepared | State::Active | State::Releasing => {
            format!("attachment to {network}, whose namespace is gone")
        }
    }
}

fn what_sriov_cni_left(orphan: &ForeignOrphan) -> String {
    match &orphan.attachment {
        Some(attachment) => {
            format!("{} by sriov-cni, whose namespace is gone", attachment.ifname)
        }
        None => "claimed by sriov-cni for a namespace that is gone".to_owned(),
    }
}

impl Row {
    /// Returns why it could not be taken away.
    pub(crate) fn error(&self) -> Option<String> {
        self.error.as_ref().map(|error| format!("{}: {error}", self.object))
    }
}
