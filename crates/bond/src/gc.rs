use std::path::{Path, PathBuf};

use podbond_cni::{Attachment, Delegates, NodeRequest, Request};
use podbond_ipam::collect;
use podbond_kernel::no_netns;
use podbond_state::is_before_boot;

use crate::record::Recorded;
use crate::{Bond, Error};

/// What a record says of the attachment that it is about, to GC of a network.
#[derive(Debug, PartialEq)]
enum Fate {
    /// It is valid, another network's, or may be in use: let be.
    Stays,
    /// To be deleted as by this DEL.
    Goes(Box<Request>),
    /// Torn by an earlier life of the node, with which its bond has gone: the file goes.
    IsOver(PathBuf),
}

impl Bond {
    /// GC: deletes the network's attachments that are not valid any more, from their records, and
    /// has the IPAM plugin do the same. Goes on past errors.
    pub(crate) fn sweep(
        &self,
        request: &NodeRequest,
        delegates: &Delegates<'_>,
    ) -> Result<(), Error> {
        let mut errors = Vec::new();
        let records = self.records().all(&mut errors);
        for (attachment, record) in &records {
            // A later pod may have a namespace of the same path: what is in it is not the dead one's.
            let taken_over = |path: &PathBuf| {
                let others = records
                    .iter()
                    .filter(|(other, _)| other.container_id != attachment.container_id);
                let mut netns = others.filter_map(|(_, other)| other.as_ref().ok()?.netns());
                netns.any(|other| other == path)
            };
            let outcome = match fate(attachment, record, request, taken_over) {
                Fate::Stays => Ok(()),
                Fate::Goes(del) => self.remove(&del, delegates),
                Fate::IsOver(path) => Ok(podbond_state::remove(&path)?),
            };
            errors.extend(outcome.err());
        }
        errors.extend(forget_abandoned(&self.records().dir).err());
        errors.extend(collect(request, delegates, &self.debts).into_iter().map(Error::Config));
        Error::all(errors)
    }
}

/// Removes what killed processes have left of writing records: it says nothing.
fn forget_abandoned(records: &Path) -> Result<(), Error> {
    for path in podbond_state::abandoned(records)? {
        podbond_state::remove(&path)?;
    }
    Ok(())
}

fn fate(
    attachment: &Attachment,
    record: &Recorded,
    gc: &NodeRequest,
    taken_over: impl Fn(&PathBuf) -> bool,
) -> Fate {
    if gc.valid_attachments.contains(attachment) {
        return Fate::Stays;
    }
    let made = match record {
        Ok(made) => made,
        Err(torn) if is_before_boot(torn) => return Fate::IsOver(torn.clone()),
        Err(_) => return Fate::Stays,
    };
    // Where it is noted which namespace it was, DEL sees for itself.
    let is_ours = |path: &&PathBuf| made.netns_id.is_some() || !taken_over(path);
    let netns = made.netns().filter(is_ours).cloned();
    let del = match &made.add {
        Some(add) if add.config.name == gc.config.name => {
            // Plugins may have been moved since.
            Some(Request { netns, path: gc.path.clone(), ..add.clone() })
        }
        Some(_) => None,
        // Nobody knows whose it is: it goes once nobody can use it.
        None if netns.as_deref().is_some_and(|path| !no_netns(path)) => None,
        None if made.place.is_none() => None,
        None => made.del(attachment.clone(), netns),
    };
    del.map_or(Fate::Stays, |del| Fate::Goes(Box::new(del)))
}

#[cfg(test)]
mod tests {
    use podbond_cni::{Args, NetConf};
    use podbond_kernel::BondMode;
    use serde_json::json;

    use super::*;
    use crate::made::{Made, Place};

    fn gc(valid: &[&str]) -> NodeRequest {
        let valid: Vec<_> =
            valid.iter().map(|id| json!({"containerID": id, "ifname": "net3"})).collect();
        let config = json!({"cniVersion": "1.1.0", "name": "n", "type": "bond",
            "cni.dev/valid-attachments": valid});
        NodeRequest::gc(vec!["/new".into()], conf(&config)).unwrap()
    }

    fn conf(value: &serde_json::Value) -> NetConf {
        NetConf::parse(value.to_string().as_bytes()).unwrap()
    }

    fn attachment() -> Attachment {
        serde_json::from_value(json!({"containerID": "c1", "ifname": "net3"})).unwrap()
    }

    /// Of a bond in this namespace, made by an ADD to this network.
    fn made(netns: &str, network: Option<&str>) -> Made {
        let place = Place {
            name: "net3".to_owned(),
            netns: netns.into(),
            mode: BondMode::Lacp,
            functions: Vec::new(),
        };
        let add = network.map(|name| Request {
            container_id: attachment().container_id,
            netns: Some(netns.into()),
            ifname: attachment().ifname,
            args: Args::default(),
            path: vec!["/old".into()],
            config: conf(&json!({"cniVersion": "0.3.1", "name": name, "type": "bond"})),
        });
        Made { place: Some(place), add, ..Made::default() }
    }

    fn judged(made: Made, valid: &[&str], taken_over: bool) -> Fate {
        fate(&attachment(), &Ok(made), &gc(valid), |_| taken_over)
    }

    const ALIVE: &str = "/proc/self/ns/net";
    const DEAD: &str = "/run/netns/dead";

    #[test]
    fn what_is_valid_or_anothers_stays_also_when_its_namespace_is_gone() {
        for netns in [ALIVE, DEAD] {
            assert_eq!(judged(made(netns, Some("n")), &["c1"], false), Fate::Stays);
            assert_eq!(judged(made(netns, None), &["c1"], false), Fate::Stays);
            assert_eq!(judged(made(netns, Some("other")), &[], false), Fate::Stays);
        }
    }

    #[test]
    fn what_is_not_valid_any_more_goes_as_by_its_del_with_the_plugins_of_today() {
        for netns in [ALIVE, DEAD] {
            let Fate::Goes(del) = judged(made(netns, Some("n")), &["c2"], false) else {
                panic!("it stays")
            };
            assert_eq!(
                (del.netns.as_deref(), &del.path[0]),
                (Some(netns.as_ref()), &"/new".into())
            );
            assert_eq!(del.config.name, "n");
        }
    }

    #[test]
    fn a_later_pods_namespace_of_the_same_path_is_not_entered() {
        let Fate::Goes(del) = judged(made(ALIVE, Some("n")), &[], true) else { panic!("it stays") };
        assert_eq!(del.netns, None);
        // DEL sees for itself which namespace it is: the other may be the dead one.
        let netns_id = serde_json::from_value(json!("boot:7")).unwrap();
        let known = Made { netns_id, ..made(ALIVE, Some("n")) };
        let Fate::Goes(del) = judged(known, &[], true) else { panic!("it stays") };
        assert_eq!(del.netns, Some(ALIVE.into()));
    }

    #[test]
    fn what_is_nobodys_goes_only_with_its_namespace() {
        assert_eq!(judged(made(ALIVE, None), &[], false), Fate::Stays);
        assert!(matches!(judged(made(DEAD, None), &[], false), Fate::Goes(_)));
        // It cannot be looked at, and may be alive.
        let dir = tempfile::tempdir().unwrap();
        let circle = dir.path().join("circle");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        assert_eq!(judged(made(circle.to_str().unwrap(), None), &[], false), Fate::Stays);
        assert_eq!(judged(Made::default(), &[], false), Fate::Stays);
    }

    #[test]
    fn a_torn_record_goes_after_the_next_start_of_the_node() {
        let torn = tempfile::NamedTempFile::new().unwrap();
        let judged = |path: &Path| fate(&attachment(), &Err(path.to_owned()), &gc(&[]), |_| false);
        assert_eq!(judged(torn.path()), Fate::Stays);
        torn.as_file().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(judged(torn.path()), Fate::IsOver(torn.path().to_owned()));
    }
}
