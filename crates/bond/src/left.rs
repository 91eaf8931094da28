//! What bonds leave on the node whose pods went away without a DEL.

use std::path::{Path, PathBuf};

use podbond_cni::{Args, ContainerId, Delegates, NetConf, Request};
use podbond_kernel::{Netns, Step};
use podbond_names::LinkName;
use serde_json::json;

use crate::record::Made;
use crate::{Bond, Error};

/// A bond whose namespace is gone, by its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBehind {
    /// The container.
    pub container: ContainerId,
    /// The interface that it was.
    pub ifname: LinkName,
    /// Whose it was, for people: `net3 of pod demo/bondpod1`.
    pub name: String,
    /// The namespace that is gone.
    pub netns: PathBuf,
    made: Made,
}

impl Bond {
    /// The bonds whose namespace is gone, as `is_gone` tells of its path. Of a record that does not
    /// name it nobody knows.
    pub fn left_behind(&self, is_gone: impl Fn(&Path) -> bool) -> Result<Vec<LeftBehind>, Error> {
        let mut left = Vec::new();
        for (container, ifname, made) in self.records().all()? {
            if let Some(place) = made.place.clone().filter(|place| is_gone(&place.netns)) {
                let (name, netns) = (place.name, place.netns);
                left.push(LeftBehind { container, ifname, name, netns, made });
            }
        }
        Ok(left)
    }

    /// DEL of a bond that was left behind: links of the node that were its ports are up again if they
    /// were. The record does not tell where its address came from.
    pub fn take_back(&self, left: &LeftBehind, delegates: &Delegates<'_>) -> Result<(), Error> {
        let request = Request {
            container_id: left.container.clone(),
            netns: None,
            ifname: left.ifname.clone(),
            args: Args::default(),
            path: Vec::new(),
            config: config(&left.made)?,
        };
        self.remove(&request, delegates)
    }
}

/// What a record tells of the configuration that the bond was made by.
fn config(made: &Made) -> Result<NetConf, Error> {
    let moved_in =
        |step: &Step| matches!(step, Step::Move { from, .. } if from.netns == Netns::Host);
    let links: Vec<_> = made.ports.iter().map(|port| json!({"name": port.name})).collect();
    let config = json!({
        "type": "bond", "name": "unknown", "links": links,
        "linksInContainer": !made.steps.iter().any(moved_in),
    });
    NetConf::parse(config.to_string().as_bytes()).map_err(Error::Config)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use podbond_kernel::{At, BondMode};

    use super::*;
    use crate::config::{Links, LinksAre};
    use crate::record::{Place, PortBefore, Records};

    fn made(netns: Option<&str>, steps: Vec<Step>) -> Made {
        let place = |netns: &str| Place {
            name: "bond0 of pod demo/p".to_owned(),
            netns: netns.into(),
            mode: BondMode::ActiveBackup,
            functions: Vec::new(),
        };
        let port = PortBefore { name: "eth1".parse().unwrap(), mac: None, mtu: 1500 };
        Made { steps, ports: vec![port], place: netns.map(place) }
    }

    #[test]
    fn bonds_are_left_behind_when_their_namespace_is_gone_and_are_taken_back_once() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(dir.path());
        for (container, netns) in
            [("c1", Some("/run/netns/dead")), ("c2", Some("/run/netns/alive")), ("c3", None)]
        {
            let container = ContainerId::try_from(container.to_owned()).unwrap();
            records.write(&container, &"bond0".parse().unwrap(), &made(netns, Vec::new())).unwrap();
        }
        fs::write(dir.path().join("c4:bond0"), "{").unwrap();
        let bond = Bond::with_records_in(dir.path());
        let find = || bond.left_behind(|netns| netns == Path::new("/run/netns/dead")).unwrap();
        let left = find();
        assert_eq!(left.len(), 1);
        let one = &left[0];
        assert_eq!((one.container.as_str(), one.name.as_str()), ("c1", "bond0 of pod demo/p"));
        let delegates = Delegates::new(&[], podbond_cni::Lookup::PathOnly);
        bond.take_back(one, &delegates).unwrap();
        assert_eq!(find(), []);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn the_record_tells_where_the_links_were() {
        let name: LinkName = "eth1".parse().unwrap();
        let moved = Step::Move { from: At::host(name.clone()), to: At::pod(name.clone()) };
        for (steps, are) in [(vec![moved], LinksAre::OnHost), (Vec::new(), LinksAre::InPod)] {
            let links = Links::of(&config(&made(None, steps)).unwrap());
            assert_eq!(links, Links { names: vec![name.clone()], are });
        }
    }
}
