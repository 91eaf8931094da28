mod form;

use std::path::{Path, PathBuf};
use std::time::Duration;

use podbond_cni::{Attachment, ContainerId, NetConf, Request};
use podbond_kernel::{At, BondMode, Link, LinkState, Step, View};
use podbond_names::{LinkName, Mac, PciAddress};
use podbond_state::Lock;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::form::VERSION;
pub(crate) use self::form::{Content, parse, to_bytes};
use crate::config::{Config, LinksAre};
use crate::{Error, Plan};

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
    dir: PathBuf,
}

/// What ADD set out to do, and what it found. Empty where there is no record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// The steps.
    pub(crate) steps: Vec<Step>,
    /// The ports as they were, in the order of the configuration. Records had none once.
    #[serde(default)]
    pub(crate) ports: Vec<PortBefore>,
    /// Where the bond is, for those who plan others. Records had none once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<Place>,
    /// The ADD, for those who remove the bond without being told its configuration. Records had none
    /// once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) add: Option<Request>,
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

/// A port as ADD found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PortBefore {
    pub(crate) name: LinkName,
    pub(crate) mac: Option<Mac>,
    /// Bytes.
    pub(crate) mtu: u32,
}

/// What a record says; its file where it cannot be read as one.
pub(crate) type Recorded = Result<Made, PathBuf>;

impl Made {
    /// What a plan for these links means to do with what the view shows.
    pub(crate) fn of(plan: &Plan, config: &Config, view: &View) -> Self {
        let links =
            config.ports.iter().filter_map(|name| view.link(config.links_are.netns(), name));
        let port =
            |link: &Link| PortBefore { name: link.name.clone(), mac: link.mac, mtu: link.mtu };
        Self { steps: plan.steps.clone(), ports: links.map(port).collect(), ..Self::default() }
    }

    /// The DEL of an attachment of whose network nothing is known: it puts the ports back as they
    /// were, and has no lease to give back.
    pub(crate) fn del(&self, attachment: Attachment, netns: Option<PathBuf>) -> Option<Request> {
        let in_pod = !self.steps.iter().any(|step| matches!(step, Step::Move { .. }));
        let links: Vec<_> = self.ports.iter().map(|port| json!({ "name": port.name })).collect();
        let config = json!({
            "cniVersion": "1.1.0", "name": "unknown", "type": "bond", "links": links,
            "linksInContainer": in_pod,
        });
        let config = NetConf::from_map(config.as_object()?.clone()).ok()?;
        let Attachment { container_id, ifname } = attachment;
        let (args, path) = Default::default();
        Some(Request { container_id, netns, ifname, args, path, config })
    }

    /// The pod's namespace, where it is known.
    pub(crate) fn netns(&self) -> Option<&PathBuf> {
        let add = self.add.as_ref().and_then(|add| add.netns.as_ref());
        self.place.as_ref().map(|place| &place.netns).or(add)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The port of this name, as ADD found it.
    pub(crate) fn port(&self, name: &LinkName) -> Option<&PortBefore> {
        self.ports.iter().find(|port| port.name == *name)
    }

    /// Whether ADD was to make this link of the pod a port; a link of the node is one from the time
    /// when it is moved in.
    pub(crate) fn took(&self, name: &LinkName, are: LinksAre) -> bool {
        let here = At::pod(name.clone());
        self.steps.iter().any(|step| match step {
            Step::Move { from, to } => *from == At::host(name.clone()) && *to == here,
            Step::Enslave { port, .. } => are == LinksAre::InPod && *port == here,
            _ => false,
        })
    }

    /// Whether ADD was to make the pod's bond of this name.
    pub(crate) fn has_bond(&self, name: &LinkName) -> bool {
        let bond = At::pod(name.clone());
        self.steps.iter().any(|step| matches!(step, Step::AddBond { at, .. } if *at == bond))
    }

    /// Whether ADD found this link up.
    pub(crate) fn brought_down(&self, at: &At) -> bool {
        self.steps.contains(&Step::SetState { at: at.clone(), to: LinkState::Down })
    }
}

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

    /// What ADD did; none where there is no record, or none that can be understood.
    pub(crate) fn read(
        &self,
        container: &ContainerId,
        ifname: &LinkName,
    ) -> Result<Option<Made>, Error> {
        read(&self.path(container, ifname))
    }

    /// Why a record that is there cannot be understood, if so, and what may help.
    pub(crate) fn damage(&self, container: &ContainerId, ifname: &LinkName) -> Option<String> {
        let path = self.path(container, ifname);
        match content(&path).ok()?? {
            Content::Whole(_) => None,
            Content::Of { version } => Some(format!(
                "the record {} is of version {version}, of which this podbond knows {VERSION} \
                 alone (the podbond that made it knows more)",
                path.display()
            )),
            Content::Damaged => Some(format!("the record {} is damaged", path.display())),
        }
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
        let port = |mac| PortBefore { name: "eth1".parse().unwrap(), mac, mtu: 9000 };
        let ports = vec![port(None), port(Some(Mac::new([2, 0, 0, 0, 0, 1])))];
        let place = Place {
            name: "bond0 of pod demo/p".to_owned(),
            netns: "/run/netns/p".into(),
            mode: BondMode::Lacp,
            functions: vec!["0000:01:10.0".parse().unwrap()],
        };
        let made = Made { steps, ports, place: Some(place.clone()), add: None };
        records.write(&id, &name, &made).unwrap();
        assert_eq!(records.read(&id, &name).unwrap(), Some(made));
        assert_eq!(records.others(None).unwrap(), [place]);
        assert_eq!(records.others(Some((&id, &name))).unwrap(), []);
        records.remove(&id, &name).unwrap();
        records.remove(&id, &name).unwrap();
        assert!(records.read(&id, &name).unwrap().is_none());
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
    fn a_record_without_its_add_tells_which_links_go_back_where() {
        let link: LinkName = "eth1".parse().unwrap();
        let port = PortBefore { name: link.clone(), mac: None, mtu: 1500 };
        let away = Step::Move { from: At::host(link.clone()), to: At::pod(link) };
        let attachment = || attachment("c1:bond0").unwrap();
        for (steps, in_pod) in [(vec![away], false), (Vec::new(), true)] {
            let made = Made { steps, ports: vec![port.clone()], ..Made::default() };
            let del = made.del(attachment(), None).unwrap();
            assert_eq!(del.config.raw["linksInContainer"], in_pod);
            assert_eq!(del.config.raw["links"], json!([{"name": "eth1"}]));
            assert_eq!((del.container_id, del.config.ipam), (container(), None));
        }
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
        assert_eq!(records.read(&id, &name).unwrap(), Some(Made::default()));
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
        let made = records.read(&id, &name).unwrap().unwrap();
        assert!(made.brought_down(&At::host("a".parse().unwrap())) && made.ports.is_empty());
    }

    #[test]
    fn a_record_that_cannot_be_understood_counts_as_none_and_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(dir.path());
        let (id, name) = (container(), "bond0".parse().unwrap());
        assert_eq!(records.damage(&id, &name), None);
        let damaged = ["", "{\"version\":1,\"st", "{\"version\":1}", "[]", "\0\0\0"];
        for (text, why) in damaged.map(|text| (text, "is damaged")).into_iter().chain([
            (r#"{"version":2,"steps":"other"}"#, "is of version 2, of which this podbond knows 1"),
            (r#"{"version":1,"steps":[],"later":7}"#, ""),
        ]) {
            fs::write(records.path(&id, &name), text).unwrap();
            let said = records.damage(&id, &name).unwrap_or_default();
            assert!(said.contains(why) && said.is_empty() == why.is_empty(), "{text}: {said}");
            assert_eq!(records.read(&id, &name).unwrap().is_none(), !why.is_empty(), "{text}");
        }
        records.remove(&id, &name).unwrap();
        fs::create_dir(records.path(&id, &name)).unwrap();
        assert!(records.read(&id, &name).unwrap().is_none());
        records.remove(&id, &name).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
