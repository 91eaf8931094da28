//! What bonds leave on the node whose pods went away without a DEL.

use std::path::{Path, PathBuf};

use podbond_cni::{Attachment, Delegates, Request};

use crate::made::Made;
use crate::{Bond, Error};

/// A bond whose namespace is gone, by its record.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftBehind {
    /// Whose it was.
    pub attachment: Attachment,
    /// The same for people: `net3 of pod demo/bondpod1`.
    pub name: String,
    made: Made,
}

impl LeftBehind {
    /// Whether the record tells where its addresses came from, so that they are given back with it.
    pub fn tells_lease(&self) -> bool {
        self.made.add.is_some()
    }
}

impl Bond {
    /// The bonds whose namespace is gone, as `is_gone` tells of its path. Of a record that does not
    /// name it nobody knows.
    pub fn left_behind(&self, is_gone: impl Fn(&Path) -> bool) -> Result<Vec<LeftBehind>, Error> {
        let (mut left, mut errors) = (Vec::new(), Vec::new());
        for (attachment, record) in self.records().all(&mut errors) {
            let Ok(made) = record else { continue };
            if made.netns().is_some_and(|netns| is_gone(netns)) {
                let name = made.place.as_ref().map(|place| place.name.clone());
                let Attachment { container_id, ifname } = &attachment;
                let name = name.unwrap_or_else(|| format!("{ifname} of container {container_id}"));
                left.push(LeftBehind { attachment, name, made });
            }
        }
        // What can be read is not kept back by what cannot.
        match errors.into_iter().next() {
            Some(error) if left.is_empty() => Err(error),
            _ => Ok(left),
        }
    }

    /// DEL of a bond that was left behind, by the ADD that its record tells of, with these directories
    /// as `CNI_PATH`: links of the node that were its ports are up again if they were.
    pub fn remove_left_behind(
        &self,
        left: &LeftBehind,
        path: &[PathBuf],
        delegates: &Delegates<'_>,
    ) -> Result<(), Error> {
        let del = match &left.made.add {
            Some(add) => Some(Request { netns: None, path: path.to_vec(), ..add.clone() }),
            None => left.made.del(left.attachment.clone(), None),
        };
        // It is made of names that are valid already, so that there always is one.
        del.map_or(Ok(()), |del| self.remove(&del, delegates))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use podbond_cni::ContainerId;
    use podbond_kernel::BondMode;

    use super::*;
    use crate::made::{Place, PortBefore};
    use crate::record::Records;

    fn made(netns: Option<&str>) -> Made {
        let place = |netns: &str| Place {
            name: "bond0 of pod demo/p".to_owned(),
            netns: netns.into(),
            mode: BondMode::ActiveBackup,
            functions: Vec::new(),
        };
        let port = PortBefore {
            name: "eth1".parse().unwrap(),
            mac: None,
            mtu: 1500,
            function: None,
            permanent_mac: None,
        };
        Made { ports: vec![port], place: netns.map(place), ..Made::default() }
    }

    #[test]
    fn bonds_are_left_behind_when_their_namespace_is_gone_and_are_taken_back_once() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(dir.path());
        for (container, netns) in
            [("c1", Some("/run/netns/dead")), ("c2", Some("/run/netns/alive")), ("c3", None)]
        {
            let container = ContainerId::try_from(container.to_owned()).unwrap();
            records.write(&container, &"bond0".parse().unwrap(), &made(netns)).unwrap();
        }
        fs::write(dir.path().join("c4:bond0"), "{").unwrap();
        let bond = Bond::with_records_in(dir.path());
        let find = || bond.left_behind(|netns| netns == Path::new("/run/netns/dead")).unwrap();
        let left = find();
        assert_eq!(left.len(), 1);
        let one = &left[0];
        assert_eq!(one.attachment.container_id.as_str(), "c1");
        assert_eq!((one.name.as_str(), one.tells_lease()), ("bond0 of pod demo/p", false));
        let delegates = Delegates::new(&[], podbond_cni::Lookup::PathOnly);
        bond.remove_left_behind(one, &[], &delegates).unwrap();
        assert_eq!(find(), []);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }
}
