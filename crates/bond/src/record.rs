use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use podbond_cni::ContainerId;
use podbond_kernel::{BondMode, Step};
use podbond_names::{LinkName, PciAddress};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The version of the record's form that this code writes and reads.
const VERSION: u32 = 1;

/// Where ADD notes, before it changes anything, which steps it will take with links of the node, so
/// that DEL can put them back as they were (a port that was up is up again), also when the pod's
/// namespace is gone. A bond over links that are the pod's already needs no record for that: the
/// driver gives its ports their address and MTU back, and they were up. An 802.3ad bond has one in
/// any case: a switch port has one LACP partner, so that others must learn of it.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    dir: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    steps: Vec<Step>,
    #[serde(default)]
    place: Option<Place>,
}

/// Where a bond is, and what it runs over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Whose it is, for people.
    pub(crate) name: String,
    /// The pod's namespace: once it is gone, so is the bond.
    pub(crate) netns: PathBuf,
    pub(crate) mode: BondMode,
    /// The PCI functions of its ports.
    pub(crate) functions: Vec<PciAddress>,
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
        place: Option<Place>,
    ) -> Result<(), Error> {
        let path = self.path(container, ifname);
        let temporary = self.dir.join(format!(".{ifname}:{container}"));
        let record = Record { version: VERSION, steps: steps.to_vec(), place };
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
        Ok(read(self.path(container, ifname))?.map(|record| record.steps))
    }

    /// Where the bonds of all attachments but this one are, as far as their records tell.
    pub(crate) fn others(
        &self,
        own: Option<(&ContainerId, &LinkName)>,
    ) -> Result<Vec<Place>, Error> {
        let failed = |source| Error::Record { action: "read", path: self.dir.clone(), source };
        let own = own.map(|(container, ifname)| self.path(container, ifname));
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed(source)),
        };
        let mut places = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let is_whole = path.file_name().is_none_or(|n| n.as_encoded_bytes()[0] != b'.');
            if is_whole && Some(&path) != own.as_ref() {
                places.extend(read(path)?.and_then(|record| record.place));
            }
        }
        places.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(places)
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

/// What is there and whole, and of a version that is known.
fn read(path: PathBuf) -> Result<Option<Record>, Error> {
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Record { action: "read", path, source }),
    };
    let record = serde_json::from_slice::<Record>(&bytes).ok();
    Ok(record.filter(|record| record.version == VERSION))
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
        records.write(&id, &name, &steps, None).unwrap();
        assert_eq!(records.read(&id, &name).unwrap(), Some(steps));
        records.remove(&id, &name).unwrap();
        records.remove(&id, &name).unwrap();
        assert!(records.read(&id, &name).unwrap().is_none());
    }

    #[test]
    fn where_other_bonds_are_is_read_and_ones_own_place_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(&dir.path().join("bond"));
        let (id, own, other) = (container(), "net3".parse().unwrap(), "net4".parse().unwrap());
        assert_eq!(records.others(Some((&id, &own))).unwrap(), []);
        let place = Place {
            name: "net4 of pod demo/a".to_owned(),
            netns: "/run/netns/a".into(),
            mode: BondMode::Lacp,
            functions: vec!["0000:01:10.0".parse().unwrap()],
        };
        records
            .write(&id, &own, &[], Some(Place { name: "own".to_owned(), ..place.clone() }))
            .unwrap();
        records.write(&id, &other, &[], Some(place.clone())).unwrap();
        records.write(&id, &"net5".parse().unwrap(), &[], None).unwrap();
        fs::write(dir.path().join("bond/.net6:c9"), "half of").unwrap();
        assert_eq!(records.others(Some((&id, &own))).unwrap(), [place]);
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
