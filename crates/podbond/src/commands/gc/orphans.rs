//! Finds what is on the node and belongs to no pod any more, and removes it: attachments whose network
//! namespace is gone, pending leases, VFs that sriov-cni claimed for such namespaces, and records that
//! cannot be read. Leases of no record are listed.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use podbond_api::ObjectKey;
use podbond_cni::{Attachment, ContainerId, PodRef};
use podbond_record::{Record, State, Unreadable};
use podbond_sriov::{ForeignOrphan, Sriov};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::error::Error;
use crate::node::{Node, in_order_of_removal};

/// One thing that belongs to no pod any more.
pub(super) enum Orphan {
    /// An attachment, by its record.
    Attachment(Box<Record>),
    /// A VF that sriov-cni gave to a pod, of which podbond has no record.
    OfSriovCni(ForeignOrphan),
    /// A record that cannot be read. While its pod may be alive, it stays.
    Unreadable { file: Unreadable, may_be_alive: bool },
    /// A lease from before the boot that no record names. It stays: its pod may be anybody's.
    Lease(podbond_host_local::Orphan),
}

/// What is reported of an orphan.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) object: String,
    pub(super) what: String,
    pub(super) done: Done,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Done {
    Removed,
    /// It would be removed.
    ToDo,
    Failed,
    /// It stays, since it is not certain that it may go.
    Left,
}

/// Returns all orphans in the order in which they are removed, and why more could not be found. Nothing is
/// changed.
pub(super) fn find(node: &Node<'_>) -> (Vec<Orphan>, Vec<Error>) {
    let mut errors = Vec::new();
    let (records, unreadable) = node.records.all().unwrap_or_else(|error| {
        errors.push(error.into());
        Default::default()
    });
    let recorded: BTreeSet<Attachment> = records.iter().map(Record::attachment).collect();
    let (over, living): (Vec<Record>, Vec<Record>) =
        records.into_iter().partition(Record::is_orphan);
    let living: BTreeSet<ContainerId> =
        living.into_iter().map(|record| record.container_id).collect();
    let over = in_order_of_removal(over).into_iter();
    let mut orphans: Vec<Orphan> =
        over.map(|record| Orphan::Attachment(Box::new(record))).collect();
    match Sriov::default().foreign_orphans() {
        Ok(foreign) => orphans.extend(foreign.into_iter().map(Orphan::OfSriovCni)),
        Err(error) => errors.push(Error::Failed(error.into_failure("sriov"))),
    }
    for file in unreadable {
        // DEL of its pod removes it as long as the file shows that there was an attachment.
        let of = file.attachment.as_ref().map(|attachment| &attachment.container_id);
        let may_be_alive = of.is_some_and(|container| living.contains(container));
        orphans.push(Orphan::Unreadable { file, may_be_alive });
    }
    let boot = boot_time();
    let (leases, failures) = podbond_host_local::orphans(|lease| {
        let holder = lease.holder.attachment();
        lease.modified < boot && holder.is_some_and(|holder| !recorded.contains(holder))
    });
    orphans.extend(leases.into_iter().map(Orphan::Lease));
    errors.extend(failures.into_iter().map(Error::Failed));
    (orphans, errors)
}

/// Returns the pods whose attachments are orphans.
pub(super) fn pods_of(orphans: &[Orphan]) -> BTreeSet<ObjectKey> {
    let mut pods = BTreeSet::new();
    for orphan in orphans {
        if let Orphan::Attachment(record) = orphan {
            pods.extend(record.pod.as_ref().map(PodRef::key));
        }
    }
    pods
}

impl Orphan {
    /// Returns whether it stays, since it is not certain that it may go.
    fn stays(&self) -> bool {
        match self {
            Self::Attachment(_) | Self::OfSriovCni(_) => false,
            Self::Unreadable { may_be_alive, .. } => *may_be_alive,
            Self::Lease(_) => true,
        }
    }

    /// Returns what would be done.
    pub(super) fn dry_run(&self) -> Row {
        self.row(if self.stays() { Done::Left } else { Done::ToDo }, None)
    }

    /// Removes it, unless it stays.
    pub(super) fn remove(&self, node: &Node<'_>) -> Row {
        if self.stays() {
            return self.row(Done::Left, None);
        }
        let removed = match self {
            Self::Attachment(record) => Error::gather(node.end_orphan(record)),
            Self::OfSriovCni(orphan) => Sriov::default()
                .remove_foreign_orphan(orphan, &node.plugin_path, node.delegates)
                .map_err(|error| Error::Failed(error.into_failure("sriov"))),
            Self::Unreadable { file, .. } => podbond_state::remove(&file.path).map_err(Error::from),
            Self::Lease(_) => Ok(()),
        };
        match removed {
            Ok(()) => self.row(Done::Removed, None),
            Err(error) => self.row(Done::Failed, Some(error.lines().join("; "))),
        }
    }

    fn row(&self, done: Done, error: Option<String>) -> Row {
        let (object, what) = match self {
            Self::Attachment(record) => (record.to_string(), describe_record(record)),
            Self::OfSriovCni(orphan) => {
                (format!("VF {}", orphan.device), describe_foreign_orphan(orphan))
            }
            Self::Unreadable { file, may_be_alive } => {
                let then = if *may_be_alive { ": DEL of its pod removes it" } else { "" };
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

fn describe_record(record: &Record) -> String {
    let network = record.network_name();
    match record.state {
        State::IpamPending => format!("lease of {network} that its IPAM plugin has not taken back"),
        State::Prepared | State::Active | State::Releasing => {
            format!("attachment to {network}, whose namespace is gone")
        }
    }
}

fn describe_foreign_orphan(orphan: &ForeignOrphan) -> String {
    match &orphan.attachment {
        Some(attachment) => {
            format!("{} by sriov-cni, whose namespace is gone", attachment.ifname)
        }
        None => "claimed by sriov-cni for a namespace that is gone".to_owned(),
    }
}
