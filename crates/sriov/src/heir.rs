//! Whether a VF has a new holder when the DEL of an earlier one comes late, or a second time.
//!
//! The namespace's path alone does not tell: a runtime may give it to the next pod too.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use podbond_kernel::no_netns;
use podbond_names::PciAddress;

use crate::Error;
use crate::state::Record;
use crate::store::Store;

/// ADD writes its record and then its claim, within less than that.
const MOMENT: Duration = Duration::from_secs(1);

impl Store {
    /// Whether somebody who lives has taken the VF of the record in `path` since it was written.
    /// `netns` is what the runtime says of the pod's namespace, if anything.
    pub(crate) fn is_taken_over(
        &self,
        path: &Path,
        record: &Record,
        netns: Option<&PathBuf>,
    ) -> Result<bool, Error> {
        let pci = record.device;
        let claim = self.claim(pci)?;
        let ours = record.netns.as_ref().or(netns);
        let at = written(path);
        // Mostly so, and the records of all others need not be read.
        if claim.is_some() && claim.as_ref() == ours {
            let claimed = written(&self.claim_path(pci)).zip(at);
            if claimed.is_none_or(|(claimed, at)| claimed < at + MOMENT) {
                return Ok(false);
            }
        }
        let claim = claim.filter(|netns| !no_netns(netns));
        if claim.is_some() && ours.is_some() && claim.as_ref() != ours {
            return Ok(true);
        }
        let mut others = self.records_of(pci)?.into_iter().filter(|(other, _)| other != path);
        Ok(others.any(|(other, record)| {
            // Nobody says which namespace was ours: then the claim is the other's.
            let is_later = ours.is_none() || written(&other) > at;
            let netns = record.netns.or_else(|| claim.clone());
            is_later && netns.is_some_and(|netns| !no_netns(&netns))
        }))
    }

    /// Whether a VF that nothing is recorded of may be that of another attachment than the one in
    /// `path`: a record of the time of its claim, or a later one, cannot be read.
    pub(crate) fn may_be_anothers(&self, path: &Path, pci: PciAddress) -> Result<bool, Error> {
        if path.exists() {
            return Ok(false);
        }
        let claimed = written(&self.claim_path(pci));
        let is_of_its_time =
            |other: &PathBuf| claimed.is_none_or(|at| written(other) > Some(at - MOMENT));
        Ok(self.unreadable()?.iter().any(is_of_its_time))
    }
}

fn written(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use serde_json::json;

    use super::*;
    use crate::testing::{PCI, pci};

    const ALIVE: &str = "/proc/self/ns/net";
    const ALSO_ALIVE: &str = "/proc/thread-self/ns/net";
    const DEAD: &str = "/run/netns/dead";

    /// Files of the plugin, each written so many seconds after the first.
    struct Files {
        dir: tempfile::TempDir,
        store: Store,
    }

    impl Files {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("pci")).unwrap();
            let store = Store::new(dir.path().to_owned(), dir.path().join("copies"));
            Self { dir, store }
        }

        fn file(self, name: &str, content: &str, second: u64) -> Self {
            let path = self.dir.path().join(name);
            fs::write(&path, content).unwrap();
            let file = File::options().write(true).open(path).unwrap();
            let first = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
            file.set_modified(first + Duration::from_secs(second)).unwrap();
            self
        }

        fn record(self, container: &str, netns: Option<&str>, second: u64) -> Self {
            let own = json!({"version": 1, "netns": netns, "original": {"settings": {}}});
            let record = json!({"deviceID": PCI, "name": "n", "podbond": own});
            self.file(&format!("{container}-net1"), &record.to_string(), second)
        }

        fn claim(self, netns: &str, second: u64) -> Self {
            self.file(&format!("pci/{PCI}"), netns, second)
        }

        /// Whether the VF is not the first container's any more.
        fn taken_over(&self, netns: Option<&str>) -> bool {
            let path = self.dir.path().join("c1-net1");
            let record = Store::load(&path).unwrap().unwrap();
            self.store.is_taken_over(&path, &record, netns.map(PathBuf::from).as_ref()).unwrap()
        }

        fn may_be_anothers(&self) -> bool {
            self.store.may_be_anothers(&self.dir.path().join("c1-net1"), pci()).unwrap()
        }
    }

    #[test]
    fn whoever_has_the_claim_has_the_vf() {
        for netns in [ALIVE, DEAD] {
            let files = Files::new().record("c1", Some(netns), 0).claim(netns, 0);
            assert!(!files.taken_over(None), "{netns}");
        }
        let files = Files::new().record("c1", Some(ALIVE), 0);
        assert!(!files.taken_over(Some(ALIVE)), "its claim is lost");
        assert!(files.claim(ALSO_ALIVE, 9).taken_over(None));
        let files = Files::new().record("c1", Some(ALIVE), 0).claim(DEAD, 9);
        assert!(!files.taken_over(None));
    }

    #[test]
    fn a_later_pod_in_a_namespace_of_the_same_path_has_the_vf_by_its_later_record() {
        let both = || Files::new().record("c1", Some(ALIVE), 0).record("c2", Some(ALIVE), 9);
        assert!(both().claim(ALIVE, 9).taken_over(Some(ALIVE)));
        assert!(both().taken_over(Some(ALIVE)), "its claim is lost");
        let files = Files::new().record("c1", Some(ALIVE), 9).record("c2", Some(ALIVE), 0);
        assert!(!files.claim(ALIVE, 9).taken_over(Some(ALIVE)));
    }

    #[test]
    fn what_is_dead_takes_no_vf_over() {
        let files = Files::new().record("c1", Some(ALIVE), 0).record("c2", Some(DEAD), 9);
        assert!(!files.claim(DEAD, 9).taken_over(Some(ALIVE)));
    }

    #[test]
    fn a_record_of_an_unknown_namespace_yields_to_any_other_that_is_claimed_for() {
        let files = Files::new().record("c1", None, 0).claim(ALIVE, 0);
        assert!(!files.taken_over(None));
        assert!(files.record("c2", None, 0).taken_over(None));
    }

    #[test]
    fn an_unrecorded_vf_may_be_that_of_a_record_that_cannot_be_read() {
        let claimed = || Files::new().claim(ALIVE, 9);
        assert!(!claimed().may_be_anothers());
        assert!(claimed().file("c2-net1", "{", 9).may_be_anothers());
        assert!(!claimed().file("c2-net1", "{", 0).may_be_anothers());
        assert!(!claimed().file("c1-net1", "{", 9).file("c2-net1", "{", 9).may_be_anothers());
    }
}
