mod form;

use std::path::{Path, PathBuf};
use std::time::Duration;

use podbond_cni::{Attachment, ContainerId};
use podbond_names::LinkName;
use podbond_state::Lock;

use self::form::VERSION;
pub(crate) use self::form::{Content, parse, to_bytes};
use crate::Error;
use crate::made::{Made, Place};

/// Where the locks of attachments are, for as long as a process works on one of them.
const LOCKS: &str = "/run/podbond/bond";

/// How long another process is waited for that works on the same attachment: an IPAM plugin may ask
/// a server.
const LOCK_PATIENCE: Duration = Duration::from_mins(1);

/// Where ADD notes, before it changes anything, which steps it will take and what its ports are like,
/// so that DEL can put them back as they were, whoever has changed or removed the bond meanwhile;
/// links of the node also when the pod's namespace is gone.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    pub(crate) dir: PathBuf,
}

/// What is recorded of an attachment.
#[derive(Debug, PartialEq)]
pub(crate) enum Reading {
    /// There is no record.
    Nothing,
    /// What ADD did.
    Whole(Box<Made>),
    /// Why the record that is there cannot be understood, and what may help.
    Damaged(String),
}

/// What a record says; its file where it cannot be read as one.
pub(crate) type Recorded = Result<Made, PathBuf>;

impl Records {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Waits until no other process works on the attachment.
    pub(crate) fn lock(
        container: &ContainerId,
        ifname: &LinkName,
    ) -> Result<Lock, podbond_state::Error> {
        let path = Path::new(LOCKS).join(name(container, ifname));
        Lock::take_passing(&path, LOCK_PATIENCE)
    }

    /// Writes the record whole: another process sees it complete or not at all.
    pub(crate) fn write(
        &self,
        container: &ContainerId,
        ifname: &LinkName,
        made: &Made,
    ) -> Result<(), Error> {
        let path = self.path(container, ifname);
        let record = to_bytes(made)
            .map_err(|error| Error::Unwritten { path: path.clone(), problem: error.to_string() })?;
        Ok(podbond_state::write(&path, &record)?)
    }

    /// What is recorded of an attachment.
    pub(crate) fn read(
        &self,
        container: &ContainerId,
        ifname: &LinkName,
    ) -> Result<Reading, Error> {
        let path = self.path(container, ifname);
        Ok(match content(&path)? {
            None => Reading::Nothing,
            Some(Content::Whole(made)) => Reading::Whole(made),
            Some(Content::Of { version }) => Reading::Damaged(format!(
                "the record {} is of version {version}, of which this podbond knows {VERSION} \
                 alone (the podbond that made it knows more)",
                path.display()
            )),
            Some(Content::Damaged) => {
                Reading::Damaged(format!("the record {} is damaged", path.display()))
            }
        })
    }

    /// Where the bonds of all attachments but this one are, as far as their records tell.
    pub(crate) fn others(
        &self,
        own: Option<(&ContainerId, &LinkName)>,
    ) -> Result<Vec<Place>, Error> {
        let own = own.map(|(container, ifname)| self.path(container, ifname));
        let paths = podbond_state::names(&self.dir)?.into_iter().map(|name| self.dir.join(name));
        let mut places = Vec::new();
        for path in paths.filter(|path| Some(path) != own.as_ref()) {
            places.extend(read(&path)?.and_then(|made| made.place));
        }
        places.sort_by(|a: &Place, b| a.name.cmp(&b.name));
        Ok(places)
    }

    /// The attachments that have a record, with what it says. Goes on past errors.
    pub(crate) fn all(&self, errors: &mut Vec<Error>) -> Vec<(Attachment, Recorded)> {
        let mut all = Vec::new();
        let mut keep = |error: Error| errors.push(error);
        let names = podbond_state::names(&self.dir).map_err(Error::State).map_err(&mut keep);
        for name in names.unwrap_or_default() {
            let Some(attachment) = attachment(&name) else { continue };
            let path = self.dir.join(name);
            if let Ok(made) = read(&path).map_err(&mut keep) {
                all.push((attachment, made.ok_or(path)));
            }
        }
        all
    }

    /// Removes the record; success when there is none.
    pub(crate) fn remove(&self, container: &ContainerId, ifname: &LinkName) -> Result<(), Error> {
        Ok(podbond_state::remove(&self.path(container, ifname))?)
    }

    /// The file that holds an attachment's record.
    pub(crate) fn path(&self, container: &ContainerId, ifname: &LinkName) -> PathBuf {
        self.dir.join(name(container, ifname))
    }
}

/// Both parts are validated names without `/`, so that a path stays in its directory, and without
/// `:`, so that no two attachments share it.
fn name(container: &ContainerId, ifname: &LinkName) -> String {
    format!("{container}:{ifname}")
}

/// The attachment of a record's file.
fn attachment(name: &str) -> Option<Attachment> {
    let (container, ifname) = name.rsplit_once(':')?;
    let container_id = ContainerId::try_from(container.to_owned()).ok()?;
    Some(Attachment { container_id, ifname: ifname.parse().ok()? })
}

/// What is there and whole, and of a version that is known.
fn read(path: &Path) -> Result<Option<Made>, Error> {
    Ok(match content(path)? {
        Some(Content::Whole(made)) => Some(*made),
        _ => None,
    })
}

fn content(path: &Path) -> Result<Option<Content>, Error> {
    match podbond_state::read(path) {
        Err(podbond_state::Error::TooLarge { .. }) => Ok(Some(Content::Damaged)),
        bytes => Ok(bytes?.as_deref().map(parse)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use podbond_kernel::{BondMode, LinkRef, LinkState, Step};
    use podbond_names::Mac;

    use super::*;
    use crate::made::PortBefore;

    fn container() -> ContainerId {
        ContainerId::try_from("c1".to_owned()).unwrap()
    }

    #[test]
    fn a_record_is_read_back_as_written_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(&dir.path().join("bond"));
        let (id, name) = (container(), "bond0".parse().unwrap());
        assert_eq!(records.read(&id, &name).unwrap(), Reading::Nothing);
        let steps = vec![Step::SetState {
            at: LinkRef::host("eth1".parse().unwrap()),
            to: LinkState::Down,
        }];
        let port = |mac| PortBefore {
            name: "eth1".parse().unwrap(),
            mac,
            mtu: 9000,
            function: None,
            permanent_mac: None,
        };
        let ports = vec![port(None), port(Some(Mac::new([2, 0, 0, 0, 0, 1])))];
        let place = Place {
            name: "bond0 of pod demo/p".to_owned(),
            netns: "/run/netns/p".into(),
            mode: BondMode::Lacp,
            functions: vec!["0000:01:10.0".parse().unwrap()],
        };
        let made = Made {
            steps,
            ports,
            place: Some(place.clone()),
            netns_id: serde_json::from_str("\"boot:7\"").unwrap(),
            add: None,
        };
        records.write(&id, &name, &made).unwrap();
        assert_eq!(records.read(&id, &name).unwrap(), Reading::Whole(Box::new(made)));
        assert_eq!(records.others(None).unwrap(), [place]);
        assert_eq!(records.others(Some((&id, &name))).unwrap(), []);
        records.remove(&id, &name).unwrap();
        records.remove(&id, &name).unwrap();
        assert_eq!(records.read(&id, &name).unwrap(), Reading::Nothing);
    }

    #[test]
    fn all_records_are_listed_with_their_attachments() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(dir.path());
        let (id, name) = (container(), "bond0".parse().unwrap());
        records.write(&id, &name, &Made::default()).unwrap();
        fs::write(dir.path().join("c2:bond0"), "torn").unwrap();
        fs::write(dir.path().join("no-record"), "{}").unwrap();
        let huge = fs::File::create(dir.path().join("c3:bond0")).unwrap();
        huge.set_len(podbond_state::MAX_SIZE + 1).unwrap();
        let mut errors = Vec::new();
        let all = records.all(&mut errors);
        let attachment = |id: &str| Attachment {
            container_id: ContainerId::try_from(id.to_owned()).unwrap(),
            ifname: name.clone(),
        };
        let unread = |id: &str| (attachment(id), Err(dir.path().join(format!("{id}:bond0"))));
        let expected = [(attachment("c1"), Ok(Made::default())), unread("c2"), unread("c3")];
        assert_eq!(all, expected);
        assert!(errors.is_empty(), "{errors:?}");
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
    fn the_longest_names_make_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(dir.path());
        let id = (1..).map(|n| ContainerId::try_from("c".repeat(n))).take_while(Result::is_ok);
        let (id, name) = (id.last().unwrap().unwrap(), "n".repeat(15).parse().unwrap());
        records.write(&id, &name, &Made::default()).unwrap();
        assert_eq!(records.read(&id, &name).unwrap(), Reading::Whole(Box::default()));
        let file = records.path(&id, &name);
        assert_eq!(attachment(file.file_name().unwrap().to_str().unwrap()).unwrap().ifname, name);
    }

    #[test]
    fn a_record_without_ports_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(dir.path());
        let (id, name) = (container(), "bond0".parse().unwrap());
        let text = r#"{"version":1,"steps":[{"step":"set-state","at":{"netns":"host","name":"a"},"to":"down"}]}"#;
        fs::write(records.path(&id, &name), text).unwrap();
        let Reading::Whole(made) = records.read(&id, &name).unwrap() else { panic!("it is whole") };
        assert!(made.brought_down(&LinkRef::host("a".parse().unwrap())) && made.ports.is_empty());
    }

    #[test]
    fn a_record_that_cannot_be_understood_counts_as_none_and_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(dir.path());
        let (id, name) = (container(), "bond0".parse().unwrap());
        let damaged = ["", "{\"version\":1,\"st", "{\"version\":1}", "[]", "\0\0\0"];
        for (text, why) in damaged.map(|text| (text, "is damaged")).into_iter().chain([
            (r#"{"version":2,"steps":"other"}"#, "is of version 2, of which this podbond knows 1"),
            (r#"{"version":1,"steps":[],"later":7}"#, ""),
        ]) {
            fs::write(records.path(&id, &name), text).unwrap();
            match records.read(&id, &name).unwrap() {
                Reading::Damaged(said) => {
                    assert!(said.contains(why) && !why.is_empty(), "{text}: {said}");
                }
                Reading::Whole(_) => assert!(why.is_empty(), "{text}"),
                Reading::Nothing => panic!("{text}"),
            }
        }
        records.remove(&id, &name).unwrap();
        fs::create_dir(records.path(&id, &name)).unwrap();
        assert!(matches!(records.read(&id, &name).unwrap(), Reading::Damaged(_)));
        records.remove(&id, &name).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
