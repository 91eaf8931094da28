use std::path::{Path, PathBuf};

use podbond_cni::ContainerId;
use podbond_kernel::{At, BondMode, Link, LinkState, Step, View};
use podbond_names::{LinkName, Mac, PciAddress};
use serde::{Deserialize, Serialize};

use crate::config::{Config, LinksAre};
use crate::{Error, Plan};

/// The version of the record's form that this code writes and reads.
const VERSION: u32 = 1;

/// Where ADD notes, before it changes anything, which steps it will take and what its ports are like,
/// so that DEL can put them back as they were, whoever has changed or removed the bond meanwhile;
/// links of the node also when the pod's namespace is gone.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    dir: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    #[serde(flatten)]
    made: Made,
}

/// What ADD set out to do, and what it found. Empty where there is no record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// The steps.
    pub(crate) steps: Vec<Step>,
    /// The ports as they were, in the order of the configuration. Records had none once.
    #[serde(default)]
    pub(crate) ports: Vec<PortBefore>,
    /// Where the bond is, for those who plan others. Records had none once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<Place>,
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

impl Made {
    /// What a plan for these links means to do with what the view shows.
    pub(crate) fn of(plan: &Plan, config: &Config, view: &View) -> Self {
        let links =
            config.ports.iter().filter_map(|name| view.link(config.links_are.netns(), name));
        let port =
            |link: &Link| PortBefore { name: link.name.clone(), mac: link.mac, mtu: link.mtu };
        Self { steps: plan.steps.clone(), ports: links.map(port).collect(), place: None }
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

    /// What ADD did; none where there is no record, or one of another version.
    pub(crate) fn read(
        &self,
        container: &ContainerId,
        ifname: &LinkName,
    ) -> Result<Option<Made>, Error> {
        read(&self.path(container, ifname))
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

    /// Removes the record; success when there is none.
    pub(crate) fn remove(&self, container: &ContainerId, ifname: &LinkName) -> Result<(), Error> {
        Ok(podbond_state::remove(&self.path(container, ifname))?)
    }

    /// Both parts are validated names without `/`, so that the path stays in its directory, and
    /// without `:`, so that no two attachments share it.
    fn path(&self, container: &ContainerId, ifname: &LinkName) -> PathBuf {
        self.dir.join(format!("{container}:{ifname}"))
    }
}

/// What is there and whole, and of a version that is known.
fn read(path: &Path) -> Result<Option<Made>, Error> {
    Ok(podbond_state::read(path)?.and_then(|bytes| parse(&bytes)))
}

pub(crate) fn parse(bytes: &[u8]) -> Option<Made> {
    let record = serde_json::from_slice::<Record>(bytes).ok();
    record.filter(|record| record.version == VERSION).map(|record| record.made)
}

pub(crate) fn to_bytes(made: &Made) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Record { version: VERSION, made: made.clone() })
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
        let made = Made { steps, ports, place: Some(place.clone()) };
        records.write(&id, &name, &made).unwrap();
        assert_eq!(records.read(&id, &name).unwrap(), Some(made));
        assert_eq!(records.others(None).unwrap(), [place]);
        assert_eq!(records.others(Some((&id, &name))).unwrap(), []);
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
    fn a_torn_record_counts_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(dir.path());
        let (id, name) = (container(), "bond0".parse().unwrap());
        fs::write(records.path(&id, &name), b"{\"version\":1,\"st").unwrap();
        assert!(records.read(&id, &name).unwrap().is_none());
    }
}
