//! What the records say of a pod's sandbox. Pure.

use std::collections::BTreeMap;

use podbond_agent::bonds::BondStatus;
use podbond_attach::{NetworkStatus, statuses_of};
use podbond_bond::recorded_bonds;
use podbond_cni::ContainerId;
use podbond_names::{ObjectKey, ObjectUid};
use podbond_record::{Record, State};

/// A pod's sandbox, all attachments of which are complete.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sandbox {
    /// The pod.
    pub(crate) pod: ObjectKey,
    /// The UID that the runtime named, of a static pod its hash.
    pub(crate) uid: Option<ObjectUid>,
    /// `CNI_CONTAINERID`.
    pub(crate) container_id: ContainerId,
    /// When the first of its attachments began, in s since 1970.
    pub(crate) begun: u64,
    /// Its interfaces.
    pub(crate) statuses: Vec<NetworkStatus>,
    /// Its bonds; none where nobody has looked at them yet.
    pub(crate) bonds: Option<Vec<BondStatus>>,
}

impl Sandbox {
    /// Returns the sandbox of a container's records in the order of its chain; none before all its attachments
    /// are complete. Its bonds are to be looked at, if the records name any.
    pub(crate) fn of(records: &[Record]) -> Option<Self> {
        let of_chain: Vec<&Record> =
            records.iter().filter(|record| record.chain.is_some()).collect();
        let first = of_chain.first()?;
        let pod = first.pod.clone()?;
        if of_chain.iter().any(|record| record.state != State::Active) {
            return None;
        }
        Some(Self {
            pod: pod.key(),
            uid: pod.uid,
            container_id: first.container_id.clone(),
            bonds: recorded_bonds(records).next().is_none().then(Vec::new),
            begun: of_chain.iter().map(|record| record.begun).min().unwrap_or_default(),
            statuses: of_chain.into_iter().flat_map(statuses_of).collect(),
        })
    }

    /// Returns whether it was begun later than another of the pod.
    pub(crate) fn is_newer_than(&self, other: &Self) -> bool {
        self.begun > other.begun
    }

    /// Returns the sentence about its interfaces, in the words of Multus: `Add net1 [10.0.0.1] from demo/a`.
    pub(crate) fn interfaces(&self) -> String {
        let one = |status: &NetworkStatus| {
            let ips: Vec<String> = status.ips.iter().map(ToString::to_string).collect();
            format!("{} [{}] from {}", status.interface, ips.join(" "), status.name)
        };
        format!("Add {}", self.statuses.iter().map(one).collect::<Vec<_>>().join(", "))
    }
}

/// Returns the sandboxes that records make, of each pod the newest: a pod that has had another before, as before a
/// reboot, is known by that alone, complete or not.
pub(crate) fn newest_of_each_pod(records: Vec<Record>) -> Vec<Sandbox> {
    let mut by_container: BTreeMap<ContainerId, Vec<Record>> = BTreeMap::new();
    for record in records {
        by_container.entry(record.container_id.clone()).or_default().push(record);
    }
    let mut newest: BTreeMap<ObjectKey, (u64, Vec<Record>)> = BTreeMap::new();
    for mut records in by_container.into_values() {
        records.sort_by_key(|record| record.chain.as_ref().map(|chain| chain.position));
        let begun = records.iter().map(|record| record.begun).max().unwrap_or_default();
        let pod = records.iter().find_map(|record| record.pod.as_ref());
        let Some(key) = pod.map(podbond_cni::PodRef::key) else { continue };
        match newest.get(&key) {
            Some((other, _)) if *other >= begun => {}
            _ => drop(newest.insert(key, (begun, records))),
        }
    }
    newest.into_values().filter_map(|(_, records)| Sandbox::of(&records)).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A record of pod demo/p, UID u-1, in container c1.
    fn record(ifname: &str, position: usize, state: &str) -> Record {
        let config = json!({"cniVersion": "1.0.0", "name": "n", "type": "bridge"});
        serde_json::from_value(json!({
            "containerId": "c1", "ifname": ifname, "state": state, "network": "n", "begun": 10,
            "pod": {"namespace": "demo", "name": "p", "uid": "u-1"},
            "chain": {
                "position": position, "configs": [config], "args": {}, "called": 1,
                "result": {"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.1/24"}]},
            },
        }))
        .unwrap()
    }

    /// The sandbox of pod demo/p with one interface.
    pub(crate) fn sandbox(container_id: &str, begun: u64) -> Sandbox {
        let container_id = container_id.to_owned().try_into().unwrap();
        Sandbox { container_id, begun, ..Sandbox::of(&[record("eth0", 0, "active")]).unwrap() }
    }

    #[test]
    fn sandbox_is_known_once_all_attachments_are_complete() {
        let (eth0, net1) = (record("eth0", 0, "active"), record("net1", 1, "active"));
        let both = Sandbox::of(&[eth0.clone(), net1]).unwrap();
        assert_eq!((both.pod.to_string(), both.statuses.len()), ("demo/p".to_owned(), 2));
        assert_eq!(both.interfaces(), "Add eth0 [10.0.0.1] from n, net1 [10.0.0.1] from n");
        assert_eq!(Sandbox::of(&[eth0, record("net1", 1, "prepared")]), None);
        assert_eq!(Sandbox::of(&[]), None);
    }

    #[test]
    fn pod_is_known_by_its_newest_sandbox() {
        let older = || record("eth0", 0, "active");
        let newer = |state: &str| {
            let mut newer = record("net9", 0, state);
            newer.container_id = "a0".to_owned().try_into().unwrap();
            newer.begun = 11;
            newer
        };
        let interfaces = |records: Vec<Record>| {
            let sandboxes = newest_of_each_pod(records);
            sandboxes.iter().map(|it| it.statuses[0].interface.clone()).collect::<Vec<_>>()
        };
        assert_eq!(interfaces(vec![older()]), ["eth0"]);
        assert_eq!(interfaces(vec![newer("active"), older()]), ["net9"]);
        assert!(interfaces(vec![newer("prepared"), older()]).is_empty());
    }

    #[test]
    fn interfaces_are_in_the_order_of_the_chain() {
        let records = vec![record("net1", 1, "active"), record("eth0", 0, "active")];
        assert_eq!(newest_of_each_pod(records)[0].statuses[0].interface, "eth0");
    }
}
