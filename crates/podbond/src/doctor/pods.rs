use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use podbond_api::ObjectKey;
use podbond_attach::Record;
use podbond_bond::{Finding, Object, Reason};
use podbond_cni::NetConf;
use podbond_inventory::{Holders, Occupant};
use podbond_kernel::{NamedNetns, is_netns};
use podbond_names::LinkName;

use super::Place;
use crate::node::Node;
use crate::output::note;
use crate::store::PodRecord;

/// Every pod that a record tells of: ours of its attachments, or that of whoever has a VF.
pub(super) struct Pods {
    alive: BTreeMap<PathBuf, Pod>,
    gone: BTreeSet<String>,
}

/// A pod that lives.
#[derive(Default)]
pub(super) struct Pod {
    /// Its name, or its namespace's path where that is all that is known.
    pub(super) name: String,
    /// Its attachments, as far as podbond made them.
    pub(super) records: Vec<Record>,
}

impl Pod {
    /// The bonds that podbond made and that came to their end, each with its configuration and,
    /// as `prevResult`, what came of it.
    pub(super) fn bonds(&self) -> impl Iterator<Item = (&LinkName, NetConf)> {
        self.records.iter().filter_map(|record| {
            let mut conf = record.configs.iter().find(|conf| conf.plugin == "bond")?.clone();
            conf.set_prev_result(Some(record.result.clone()?));
            Some((&record.ifname, conf))
        })
    }

    /// One of its bonds.
    pub(super) fn place(&self, bond: &LinkName) -> Place {
        Place { pod: self.name.clone(), bond: bond.clone() }
    }
}

impl Pods {
    /// All of them, as far as their records can be read.
    pub(super) fn of(node: &Node<'_>, holders: &Holders) -> Self {
        let mut pods = Self { alive: BTreeMap::new(), gone: BTreeSet::new() };
        let (records, _) = node.records().all();
        for record in records {
            if is_netns(&record.netns.path) && record.netns.is_same() {
                let pod = pods.alive.entry(record.netns.path.clone()).or_default();
                pod.name = record.pod.to_string();
                pod.records.push(record);
            } else {
                pods.gone.insert(record.pod.to_string());
            }
        }
        match node.store.pods(None) {
            Ok(made) => made.iter().for_each(|(pod, _)| pods.add_made(pod)),
            Err(error) => note(format_args!("podbond: {error}")),
        }
        for (_, occupant) in holders.iter() {
            let (netns, name) = match occupant {
                Occupant::Pod(holder) => (&holder.netns, holder.pod.to_string()),
                Occupant::Netns(netns) => (netns, netns.display().to_string()),
                Occupant::Unknown => continue,
            };
            if is_netns(netns) {
                let known = pods.alive.entry(netns.clone());
                known.or_insert_with(|| Pod { name, records: Vec::new() });
            }
        }
        pods
    }

    /// A pod that `apply` made, perhaps without any network.
    fn add_made(&mut self, pod: &ObjectKey) {
        if matches!(NamedNetns::find(&PodRecord::netns_name(pod)), Ok(None)) {
            self.gone.insert(pod.to_string());
        }
    }

    pub(super) fn alive(&self) -> impl ExactSizeIterator<Item = (&PathBuf, &Pod)> {
        self.alive.iter()
    }

    /// A finding for each pod of which only records are left.
    pub(super) fn gone(&self) -> impl Iterator<Item = Finding> {
        self.gone.iter().map(|pod| Finding::new(Object::Pod(pod.clone()), Reason::PodGone))
    }

    /// Whether a holder, as people read it, is a pod that is told to be gone.
    pub(super) fn tells_of(&self, holder: &str) -> bool {
        self.gone.iter().any(|pod| holder.starts_with(&format!("pod {pod} ")))
    }
}
