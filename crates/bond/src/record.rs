use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use podbond_cni::ContainerId;
use podbond_kernel::Step;
use podbond_names::LinkName;
use serde::{Deserialize, Serialize};

use crate::Error;

/// The version of the record's form that this code writes and reads.
const VERSION: u32 = 1;

/// Where ADD notes, before it changes anything, which steps it will take with links of the node, so
/// that DEL can put them back as they were (a port that was up is up again), also when the pod's
/// namespace is gone. A bond over links that are the pod's already needs no record: the driver gives
/// its ports their address and MTU back, and they were up.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    dir: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    steps: Vec<Step>,
}

impl Records {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Writes the record whole: another process sees it complete or not at all.
    pub(crate) fn write(
        &self,
        container: &ContainerId,
        ifname: &LinkName,
        steps: &[Step],
    ) -> Result<(), Error> {
        let path = self.path(container, ifname);
        let temporary = self.dir.join(format!(".{ifname}:{container}"));
        let record = Record { version: VERSION, steps: steps.to_vec() };
        let write = || -> io::Result<()> {
            fs::create_dir_all(&self.dir)?;
            fs::write(&temporary, serde_json::to_vec(&record)?)?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|source| Error::Record { action: "write", path: path.clone(), source })
    }

    /// The steps that ADD took; none where there is no record, or one of another version.
    pub(crate) fn read(
        &self,
        container: &ContainerId,
        ifname: &LinkName,
    ) -> Result<Option<Vec<Step>>, Error> {
        let path = self.path(container, ifname);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Record { action: "read", path, source }),
        };
        let record = serde_json::from_slice::<Record>(&bytes).ok();
        Ok(record.filter(|record| record.version == VERSION).map(|record| record.steps))
    }

    /// Removes the record; success when there is none.
    pub(crate) fn remove(&self, container: &ContainerId, ifname: &LinkName) -> Result<(), Error> {
        let path = self.path(container, ifname);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(Error::Record { action: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    /// Both parts are validated names without `/`, so that the path stays in its directory, and
    /// without `:`, so that no two attachments share it.
    fn path(&self, container: &ContainerId, ifname: &LinkName) -> PathBuf {
        self.dir.join(format!("{container}:{ifname}"))
    }
}

#[cfg(test)]
mod tests {
    use podbond_kernel::{At, LinkState};

    use super::*;

    fn container() -> ContainerId {
        ContainerId::try_from("c1".to_owned()).unwrap()
    }

    #[test]
    fn a_record_is_read_back_as_written_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(&dir.path().join("bond"));
        let (id, name) = (container(), "bond0".parse().unwrap());
        assert!(records.read(&id, &name).unwrap().is_none());
        let steps =
            vec![Step::SetState { at: At::host("eth1".parse().unwrap()), to: LinkState::Down }];
        records.write(&id, &name, &steps).unwrap();
        assert_eq!(records.read(&id, &name).unwrap(), Some(steps));
        records.remove(&id, &name).unwrap();
        records.remove(&id, &name).unwrap();
        assert!(records.read(&id, &name).unwrap().is_none());
    }

    #[test]
    fn no_two_attachments_share_a_record() {
        let records = Records::new(Path::new("/state"));
        let path = |id: &str, name: &str| {
            records.path(&ContainerId::try_from(id.to_owned()).unwrap(), &name.parse().unwrap())
        };
        assert_ne!(path("a-b", "c"), path("a", "b-c"));
    }

    #[test]
    fn a_torn_record_counts_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(dir.path());
        let (id, name) = (container(), "bond0".parse().unwrap());
        fs::write(records.path(&id, &name), b"{\"version\":1,\"st").unwrap();
        assert!(records.read(&id, &name).unwrap().is_none());
    }
}
