//! The lease of an attachment: ADD and DEL of its IPAM plugin. A lease whose release failed is pending in the
//! attachment's record.

use podbond_cni::{CniResult, Command, Delegates, FailedAdd, Failure, NetConf, Request};
use podbond_kernel::{Kernel, LinkRef, NetnsState};
use podbond_record::{Record, Records};

/// The IPAM plugin of one attachment, where its configuration names one.
#[derive(Clone, Copy)]
pub struct Ipam<'r> {
    /// The operation on the attachment.
    pub request: &'r Request,
    /// How plugins are called.
    pub delegates: &'r Delegates<'r>,
}

/// An ADD that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAttached {
    /// Why; its details have what could not be undone.
    pub cause: Failure,
    /// The IPAM plugin's message, where it has not taken back the lease.
    pub pending: Option<String>,
}

impl Ipam<'_> {
    /// Returns the result of the IPAM plugin's ADD; none where the configuration names no IPAM plugin. After
    /// a failed ADD its DEL has been called; where that failed too, the lease is pending.
    pub(crate) fn lease(&self) -> Result<Option<CniResult>, NotAttached> {
        self.delegates.ipam_add(self.request).map_err(|FailedAdd { cause, failed_del }| {
            let pending = failed_del.map(|failure| failure.to_string());
            NotAttached { cause, pending }
        })
    }

    /// Calls the IPAM plugin's DEL. Returns its message where it has not taken back the lease.
    pub(crate) fn release(&self) -> Option<String> {
        self.delegates.ipam_del(self.request).err().map(|failure| failure.to_string())
    }

    /// Restores the links by `restore` and releases the lease: after them, so that no address is given out
    /// while it is in use, unless that needs the link. Returns what `restore` does, and the IPAM plugin's
    /// message where it has not taken back the lease.
    pub fn release_after<T, E>(
        &self,
        restore: impl FnOnce() -> Result<T, E>,
    ) -> Result<(T, Option<String>), E> {
        let early = lease_needs_link(&self.request.config).then(|| self.release());
        let restored = restore()?;
        Ok((restored, early.unwrap_or_else(|| self.release())))
    }

    /// Returns whether the attachment certainly never existed, by `prevResult` and the pod's links; to be
    /// called before its link is removed.
    pub fn was_never_made(&self) -> bool {
        let Request { netns, ifname, config, .. } = self.request;
        let Some(netns) = netns.as_deref().filter(|_| config.prev_result.is_none()) else {
            return false;
        };
        if NetnsState::of_path(netns) != NetnsState::Alive {
            return false;
        }
        let link = Kernel::with_pod(netns)
            .and_then(|mut kernel| kernel.link(&LinkRef::pod(ifname.clone())));
        matches!(link, Ok(None))
    }

    /// Ends an attachment whose links are restored. A pending lease is recorded, with a warning: it must not
    /// keep a pod from being deleted. Fails where it cannot be recorded.
    pub fn end(
        &self,
        records: &Records,
        record: Option<Record>,
        pending: Option<&str>,
    ) -> Result<(), Failure> {
        let is_recorded = record.is_some();
        if !is_recorded && pending.is_none() {
            return Ok(records.remove(&self.request.attachment())?);
        }
        let record = record.unwrap_or_else(|| Record::of_del(self.request));
        if let Some(problem) = pending {
            let plugin = self.request.config.ipam.as_deref().unwrap_or_default();
            let warning = format_args!(
                "{record}: IPAM plugin {plugin:?} has not taken back its lease: {problem}; a later DEL, \
                 GC or `podbond gc` tries again"
            );
            self.delegates.warn(Command::Del, self.request, "warning", &warning);
        }
        match records.end_plugin(record, pending) {
            // The record on disk has the lease too.
            Err(_) if is_recorded && pending.is_some() => Ok(()),
            ended => Ok(ended?),
        }
    }
}

/// Returns whether a lease can be released only while its link exists: dhcp releases it at its server through
/// the link. The server keeps the address from being leased again too early.
pub(crate) fn lease_needs_link(config: &NetConf) -> bool {
    config.ipam.as_deref() == Some("dhcp")
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use podbond_cni::{Lookup, Plugin};
    use podbond_record::{State, Stored};

    use super::*;
    use crate::testing::{Asked, request};

    /// DEL of an attachment whose IPAM plugin refuses or not, and what is recorded then.
    fn end(
        records: &Records,
        record: Option<Record>,
        refuses: bool,
    ) -> (Result<(), Failure>, Stored) {
        let log = Mutex::new(Vec::new());
        let plugin = Asked { name: "asked", log: &log, answer: Ok(Vec::new()), refuses };
        let builtins: [&dyn Plugin; 1] = [&plugin];
        let request = request("asked", "c1");
        let delegates = Delegates::new(&builtins, Lookup::PathThenBuiltin);
        let ipam = Ipam { request: &request, delegates: &delegates };
        let ended = ipam.end(records, record, ipam.release().as_deref());
        (ended, records.read(&request.attachment()).unwrap())
    }

    /// Promise: lease-pending
    #[test]
    fn pending_lease_is_recorded_until_a_later_del_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(&dir.path().join("lib"), &dir.path().join("run"));
        let (ended, stored) = end(&records, None, true);
        assert_eq!(ended, Ok(()));
        let Stored::Whole(record) = stored else { panic!("{stored:?}") };
        assert_eq!(record.state, State::IpamPending);
        assert!(record.ipam_problem.as_ref().unwrap().contains("the server is down"));
        let (ended, stored) = end(&records, Some((*record).clone()), true);
        assert_eq!((ended, stored), (Ok(()), Stored::Whole(record.clone())));
        assert_eq!(end(&records, Some(*record), false), (Ok(()), Stored::Missing));
        assert_eq!(end(&records, None, false), (Ok(()), Stored::Missing));
    }

    #[test]
    fn del_fails_where_a_pending_lease_cannot_be_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(Path::new("/proc/none"), &dir.path().join("run"));
        assert!(end(&records, None, true).0.is_err());
        let recorded = Some(Record::of_del(&request("asked", "c1")));
        assert_eq!(end(&records, recorded, true).0, Ok(()));
    }
}
