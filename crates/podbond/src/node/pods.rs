//! The pods of this node with their attachments: those that `podbond apply` made, and those that a
//! runtime or Multus made, as the records of attachments name them.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use podbond_api::ObjectKey;
use podbond_kernel::NamedNetns;
use podbond_record::{Record, State, Unreadable};

use super::applied::{AppliedPod, Stored};
use super::this_node::Node;
use crate::arguments::Selection;
use crate::error::Error;

/// How much of a container's ID people are shown, as `crictl` has it.
const SHORT_ID: usize = 12;

/// A pod with its attachments.
pub(crate) struct Pod {
    /// Its namespace and name; none where the runtime gave none.
    pub(crate) key: Option<ObjectKey>,
    /// `namespace/name`, or `container` with the start of its ID.
    pub(crate) name: String,
    /// Its network namespace while it is there.
    pub(crate) netns: Option<PathBuf>,
    /// The records of its attachments, in the order in which they were made.
    pub(crate) records: Vec<Record>,
    /// What `podbond apply` recorded of it, if that made it, or why that cannot be read.
    pub(crate) applied: Option<Result<AppliedPod, Error>>,
}

/// Returns the pods that are selected, in order of their names, and the records of attachments that cannot
/// be read; an error where a pod that is named is not here.
pub(crate) fn read_pods(
    node: &Node<'_>,
    selection: &Selection,
) -> Result<(Vec<Pod>, Vec<Unreadable>), Error> {
    let (records, unreadable) = node.records.all()?;
    let mut applied = Vec::new();
    for stored in node.store.pods()? {
        applied.push(Pod::applied(stored)?);
    }
    let mut pods = joined(applied, records);
    pods.retain(|pod| pod.is_in(selection));
    match selection {
        Selection::Pod(key) if pods.is_empty() => Err(Error::NoSuchPod { key: key.clone() }),
        _ => Ok((pods, unreadable)),
    }
}

/// Returns the pods that were applied with their records, and a pod for each other container.
fn joined(applied: Vec<Pod>, records: Vec<Record>) -> Vec<Pod> {
    let mut pods = applied;
    for record in records {
        match pods.iter_mut().find(|pod| pod.has(&record)) {
            Some(pod) => pod.add(record),
            None => pods.push(Pod::of(record)),
        }
    }
    for pod in &mut pods {
        pod.records.sort_by_key(order);
    }
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    pods
}

/// Returns the place of an attachment among those of its pod in the order in which they were made: in
/// a chain its position; else by time, in seconds, and a bond after its ports.
fn order(record: &Record) -> (Option<usize>, u64, bool) {
    let position = record.chain.as_ref().map(|chain| chain.position);
    let is_bond = record.add.as_ref().is_some_and(|add| add.config.plugin == "bond");
    (position, record.begun, is_bond)
}

/// Returns the records of each pod in reverse: what was made last is removed first.
pub(crate) fn in_order_of_removal(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by_key(|record| Reverse((record.container_id.clone(), order(record))));
    records
}

impl Pod {
    /// Returns whether nothing is left of the pod but leases that are pending.
    pub(crate) fn is_over(&self) -> bool {
        self.applied.is_none()
            && self.records.iter().all(|record| record.state == State::IpamPending)
    }

    fn applied((key, record): Stored) -> Result<Self, Error> {
        let netns = NamedNetns::find(&AppliedPod::netns_name(&key))?;
        Ok(Self {
            name: key.to_string(),
            netns: netns.map(|netns| netns.path().to_owned()),
            key: Some(key),
            records: Vec::new(),
            applied: Some(record),
        })
    }

    /// Returns a pod of which only its network namespace is known.
    pub(crate) fn in_netns(path: &Path) -> Self {
        let (name, netns) = (path.display().to_string(), Some(path.to_owned()));
        Self { key: None, name, netns, records: Vec::new(), applied: None }
    }

    fn of(record: Record) -> Self {
        let id = record.container_id.as_str();
        let name = match &record.pod {
            Some(pod) => pod.to_string(),
            None => format!("container {}", id.get(..SHORT_ID).unwrap_or(id)),
        };
        let key = record.pod.as_ref().map(podbond_cni::PodRef::key);
        let mut pod = Self { key, name, netns: None, records: Vec::new(), applied: None };
        pod.add(record);
        pod
    }

    fn add(&mut self, record: Record) {
        if self.netns.is_none() && !record.is_orphan() {
            self.netns = record.netns.as_ref().map(|netns| netns.path.clone());
        }
        self.records.push(record);
    }

    /// Returns whether an attachment is of this pod: by its container, or, where that was recorded in a
    /// file that cannot be read, by pod and network namespace.
    fn has(&self, record: &Record) -> bool {
        let is_of_container = match &self.applied {
            Some(Ok(applied)) => applied.container_id == record.container_id,
            Some(Err(_)) => {
                self.key.as_ref().is_some_and(|key| AppliedPod::is_of(key, record).unwrap_or(false))
            }
            None => false,
        };
        is_of_container
            || self.records.iter().any(|other| other.container_id == record.container_id)
    }

    fn is_in(&self, selection: &Selection) -> bool {
        match (selection, &self.key) {
            (Selection::All, _) => true,
            (Selection::Namespace(namespace), Some(key)) => key.namespace == *namespace,
            (Selection::Pod(wanted), Some(key)) => key == wanted,
            (_, None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use podbond_kernel::NetnsIdentity;
    use serde_json::{Value, json};

    use super::*;

    /// The record of an attachment with changes to its JSON.
    fn record(container: &str, ifname: &str, changes: &Value) -> Record {
        let mut record = json!({
            "containerId": container, "ifname": ifname, "state": "active", "network": "n",
            "pod": {"namespace": "demo", "name": "p"},
        });
        for (key, value) in changes.as_object().unwrap() {
            record[key] = value.clone();
        }
        serde_json::from_value(record).unwrap()
    }

    fn begun(container: &str, ifname: &str, begun: u64, plugin: &str) -> Record {
        let config = json!({"name": "n", "type": plugin});
        let add = json!({"config": config, "args": {}, "path": []});
        record(container, ifname, &json!({"begun": begun, "add": add}))
    }

    fn applied(name: &str, applied: Result<&str, ()>) -> Pod {
        let key: ObjectKey = name.parse().unwrap();
        let applied = match applied {
            Ok(container) => Ok(serde_json::from_value(json!({
                "version": 1, "pod": name, "networks": null, "container_id": container,
                "network_status": null,
            }))
            .unwrap()),
            Err(()) => Err(Error::Record { path: PathBuf::new(), reason: String::new() }),
        };
        let (name, records) = (key.to_string(), Vec::new());
        Pod { key: Some(key), name, netns: None, records, applied: Some(applied) }
    }

    fn shown(pods: &[Pod]) -> Vec<String> {
        let line = |pod: &Pod| {
            let records = pod.records.iter().map(|record| record.ifname.to_string());
            format!("{}: {}", pod.name, records.collect::<Vec<_>>().join(" "))
        };
        pods.iter().map(line).collect()
    }

    #[test]
    fn attachments_of_a_container_are_one_pod() {
        let pods = joined(
            Vec::new(),
            vec![
                record("c2", "net1", &json!({"pod": null})),
                record("c1", "eth0", &json!({})),
                record("c2", "net2", &json!({"pod": null})),
                record("c3", "net1", &json!({"pod": {"namespace": "a", "name": "q"}})),
            ],
        );
        assert_eq!(shown(&pods), ["a/q: net1", "container c2: net1 net2", "demo/p: eth0"]);
        assert_eq!(pods[1].key, None);
    }

    #[test]
    fn attachments_are_in_the_order_of_their_adds() {
        let of_runtime = vec![
            begun("c1", "bond0", 8, "bond"),
            begun("c1", "net1", 8, "sriov"),
            begun("c1", "net9", 7, "sriov"),
        ];
        assert_eq!(shown(&joined(Vec::new(), of_runtime)), ["demo/p: net9 net1 bond0"]);
        let chain = |position| {
            json!({"chain": {"position": position, "nad": null, "configs": [], "args": {},
                "called": 1}})
        };
        let of_chain = vec![record("c1", "a", &chain(1)), record("c1", "b", &chain(0))];
        assert_eq!(shown(&joined(Vec::new(), of_chain)), ["demo/p: b a"]);
    }

    #[test]
    fn applied_pod_has_its_sandbox_and_no_other() {
        let records = vec![record("c1", "net1", &json!({})), record("c2", "net2", &json!({}))];
        let pods = joined(vec![applied("demo/p", Ok("c2"))], records);
        assert_eq!(shown(&pods), ["demo/p: net2", "demo/p: net1"]);
        assert!(pods[0].applied.is_some() && pods[1].applied.is_none());
    }

    #[test]
    fn applied_pod_whose_file_is_unreadable_has_what_is_in_its_namespace() {
        let own = NetnsIdentity::of(Path::new("/proc/self/ns/net")).unwrap();
        let at = |path: &str| {
            let mut netns = serde_json::to_value(&own).unwrap();
            netns["path"] = json!(path);
            json!({ "netns": netns })
        };
        let path = NamedNetns::path_of("demo.p").unwrap();
        let records = vec![
            record("c1", "net1", &at(path.to_str().unwrap())),
            record("c2", "net2", &at("/run/netns/other")),
        ];
        let pods = joined(vec![applied("demo/p", Err(()))], records);
        assert_eq!(shown(&pods), ["demo/p: net1", "demo/p: net2"]);
    }

    #[test]
    fn pod_with_pending_leases_alone_is_over() {
        let pending = || record("c1", "net1", &json!({"state": "ipam-pending"}));
        assert!(joined(Vec::new(), vec![pending()])[0].is_over());
        let both = joined(Vec::new(), vec![pending(), record("c1", "net2", &json!({}))]);
        assert!(!both[0].is_over());
        assert!(!joined(vec![applied("demo/p", Ok("c1"))], vec![pending()])[0].is_over());
    }

    #[test]
    fn bond_of_a_runtime_is_removed_before_its_ports() {
        let records = vec![
            begun("c1", "bond0", 7, "bond"),
            begun("c1", "net1", 7, "sriov"),
            begun("c2", "net1", 7, "sriov"),
            begun("c2", "net3", 7, "bond"),
        ];
        let records = in_order_of_removal(records);
        let order =
            records.iter().map(|record| (record.container_id.as_str(), record.ifname.as_str()));
        let expected = [("c2", "net3"), ("c2", "net1"), ("c1", "bond0"), ("c1", "net1")];
        assert_eq!(order.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn selection_is_by_namespace_or_name() {
        let pod =
            |changes: &Value| joined(Vec::new(), vec![record("c1", "net1", changes)]).remove(0);
        let (named, nameless) = (pod(&json!({})), pod(&json!({"pod": null})));
        let namespace = |name: &str| Selection::Namespace(name.parse().unwrap());
        let key = |key: &str| Selection::Pod(key.parse().unwrap());
        for (selection, expected) in [
            (Selection::All, [true, true]),
            (namespace("demo"), [true, false]),
            (namespace("default"), [false, false]),
            (key("demo/p"), [true, false]),
            (key("demo/q"), [false, false]),
        ] {
            let selected = [named.is_in(&selection), nameless.is_in(&selection)];
            assert_eq!(selected, expected, "{selection:?}");
        }
    }
}
