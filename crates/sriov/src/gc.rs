use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use podbond_cni::{Delegates, NodeRequest};
use podbond_ipam::{Ipam, Lease, collect};
use podbond_kernel::no_netns;

use crate::left::del_of;
use crate::state::Record;
use crate::{Error, Sriov};

/// What becomes of a record's VF and of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is valid, another network's, or may be in use: both stay.
    Stays,
    /// It is deleted.
    Goes,
    /// A valid attachment has the VF by now: the lease and the record alone go.
    IsOver,
}

impl Sriov {
    /// GC: deletes this network's attachments that are not valid any more, from their records, and has
    /// the IPAM plugin do the same. Goes on past errors.
    pub(crate) fn sweep(
        &self,
        request: &NodeRequest,
        delegates: &Delegates<'_>,
    ) -> Result<(), Error> {
        let valid: BTreeSet<PathBuf> = request
            .valid_attachments
            .iter()
            .map(|attachment| self.store.record_path(&attachment.container_id, &attachment.ifname))
            .collect();
        let mut errors = Vec::new();
        let mut kept = |error| errors.push(error);
        let records = self.store.records().map_err(&mut kept).unwrap_or_default();
        let torn = self.store.torn().map_err(&mut kept).unwrap_or_default();
        let abandoned = self.store.abandoned().map_err(&mut kept).unwrap_or_default();
        for (path, record) in &records {
            let outcome = match fate((path, record), &records, &request.config.name, &valid) {
                Fate::Stays => Ok(()),
                Fate::Goes => match del_of(path, record, &request.path) {
                    Some(del) => self.remove(&del, delegates),
                    None => self.take_back(path, record),
                },
                Fate::IsOver => self.forget_attachment(path, record, request, delegates),
            };
            errors.extend(outcome.err());
        }
        for path in torn.iter().filter(|path| !valid.contains(*path)) {
            errors.extend(self.store.remove_record(path).err());
        }
        for path in &abandoned {
            errors.extend(podbond_state::remove(path).err().map(Error::State));
        }
        errors.extend(collect(request, delegates, &self.debts).into_iter().map(Error::Attaching));
        Error::all(errors)
    }

    /// Of an attachment of which only the VF is known.
    fn take_back(&self, path: &Path, record: &Record) -> Result<(), Error> {
        let _lock = self.store.lock(record.device)?;
        self.bring_back_if_held(None, path, record)?;
        self.store.remove_record(path)
    }

    /// Gives the lease back of an attachment whose VF another has, and removes its record.
    fn forget_attachment(
        &self,
        path: &Path,
        record: &Record,
        gc: &NodeRequest,
        delegates: &Delegates<'_>,
    ) -> Result<(), Error> {
        if let Some(del) = del_of(path, record, &gc.path) {
            let ipam = Ipam { request: &del, delegates, debts: &self.debts };
            ipam.give_back(Lease::Possible).map_err(Error::Attaching)?;
        }
        self.store.remove_record(path)
    }
}

fn fate(
    (path, record): (&PathBuf, &Record),
    all: &[(PathBuf, Record)],
    network: &str,
    valid: &BTreeSet<PathBuf>,
) -> Fate {
    let ours = match record.network() {
        Some(name) => name == network,
        // Nobody knows whose it is: it goes once nobody can use it.
        None => record.netns.as_deref().is_some_and(no_netns),
    };
    if !ours || valid.contains(path) {
        return Fate::Stays;
    }
    let mut of_valid = all.iter().filter(|(path, _)| valid.contains(path));
    if of_valid.any(|(_, other)| other.device == record.device) {
        return Fate::IsOver;
    }
    Fate::Goes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::PCI;

    /// The record of an attachment to a network, in a namespace.
    fn record(network: Option<&str>, netns: &str) -> Record {
        let own = json!({"version": 1, "netns": netns, "original": {"settings": {}}});
        let record = json!({"deviceID": PCI, "name": network, "podbond": own});
        Record::read(record.to_string().as_bytes()).unwrap()
    }

    fn judged(record: Record, others: &[Record], valid: &[&str]) -> Fate {
        let mut all = vec![(PathBuf::from("c1-net1"), record)];
        let others = others.iter().zip(2..);
        all.extend(others.map(|(other, n)| (PathBuf::from(format!("c{n}-net1")), other.clone())));
        let valid = valid.iter().map(PathBuf::from).collect();
        fate((&all[0].0, &all[0].1), &all, "n", &valid)
    }

    const ALIVE: &str = "/proc/self/ns/net";
    const DEAD: &str = "/run/netns/dead";

    #[test]
    fn gc_touches_its_own_networks_attachments_that_are_not_valid() {
        for netns in [ALIVE, DEAD] {
            assert_eq!(judged(record(Some("n"), netns), &[], &["c1-net1"]), Fate::Stays);
            assert_eq!(judged(record(Some("other"), netns), &[], &[]), Fate::Stays);
            assert_eq!(judged(record(Some("n"), netns), &[], &["c2-net1"]), Fate::Goes);
        }
    }

    #[test]
    fn what_is_nobodys_goes_only_with_its_namespace() {
        assert_eq!(judged(record(None, ALIVE), &[], &[]), Fate::Stays);
        assert_eq!(judged(record(None, DEAD), &[], &[]), Fate::Goes);
        assert_eq!(judged(record(None, DEAD), &[], &["c1-net1"]), Fate::Stays);
        // What cannot be looked at may be alive.
        let dir = tempfile::tempdir().unwrap();
        let circle = dir.path().join("circle");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        assert_eq!(judged(record(None, circle.to_str().unwrap()), &[], &[]), Fate::Stays);
    }

    #[test]
    fn a_vf_that_a_valid_attachment_has_by_now_is_not_taken_back() {
        let later = [record(Some("other"), ALIVE)];
        assert_eq!(judged(record(Some("n"), ALIVE), &later, &["c2-net1"]), Fate::IsOver);
        assert_eq!(judged(record(Some("n"), ALIVE), &later, &[]), Fate::Goes);
    }
}
