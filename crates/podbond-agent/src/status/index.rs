//! What the API is to have of each pod, and when that was tried. Pure: what is due is asked with the time.

use std::collections::BTreeMap;
use std::time::Duration;

use podbond_agent::bonds::{self, Change, changes, from_annotation};
use podbond_attach::annotation;
use podbond_cluster::{Index, NodePod, StatusAnnotations};
use podbond_cni::ContainerId;
use podbond_names::{ObjectKey, ObjectUid};
use tokio::time::Instant;

use super::sandbox::Sandbox;

/// The shortest time between two writes to one pod.
const WRITE_INTERVAL: Duration = Duration::from_secs(10);

/// How long after a write that failed the next is tried: twice as long each time, up to a limit.
const FIRST_DELAY: Duration = Duration::from_secs(2);
const LONGEST_DELAY: Duration = Duration::from_mins(1);

/// What the API is to have of each pod.
#[derive(Debug, Default)]
pub(crate) struct StatusIndex {
    by_pod: BTreeMap<ObjectKey, Entry>,
}

#[derive(Debug)]
struct Entry {
    sandbox: Sandbox,
    /// When the records were read that say so.
    as_of: Instant,
    last: Option<Attempt>,
    /// Whether its interfaces are told by an event, or were by an earlier process.
    is_told: bool,
}

/// An attempt to write.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    at: Instant,
    /// How many have failed in a row, with this one.
    failures: u32,
}

/// A status to be written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Write {
    pub(crate) pod: ObjectKey,
    /// The pod's UID in the API.
    pub(crate) uid: ObjectUid,
    pub(crate) annotations: StatusAnnotations,
    /// The sentence about its interfaces.
    pub(crate) interfaces: String,
    container_id: ContainerId,
}

impl StatusIndex {
    /// Takes what is seen of one sandbox, read at a time. Returns what has changed of its bonds since it was seen
    /// last, by an earlier process too: `known` is the pod as the API has told of it.
    pub(crate) fn tell(
        &mut self,
        mut sandbox: Sandbox,
        known: Option<&NodePod>,
        as_of: Instant,
    ) -> Vec<Change> {
        let before = match self.by_pod.get_mut(&sandbox.pod) {
            Some(old) if old.as_of > as_of || old.sandbox.is_newer_than(&sandbox) => {
                return Vec::new();
            }
            Some(old) if old.sandbox.container_id == sandbox.container_id => {
                let before = old.sandbox.bonds.take();
                // Who has not looked at the bonds says nothing about them.
                sandbox.bonds = sandbox.bonds.or_else(|| before.clone());
                (old.sandbox, old.as_of) = (sandbox.clone(), as_of);
                before
            }
            _ => {
                let entry = Entry { sandbox: sandbox.clone(), as_of, last: None, is_told: false };
                self.by_pod.insert(sandbox.pod.clone(), entry);
                None
            }
        };
        let of_api = known.filter(|pod| pod.is_of(sandbox.uid.as_ref()));
        let of_api = of_api.and_then(|pod| from_annotation(pod.bonds.as_deref()?));
        let before = before.or(of_api).unwrap_or_default();
        sandbox.bonds.map_or_else(Vec::new, |after| changes(&before, &after))
    }

    /// Returns the sandboxes whose bonds nobody has looked at.
    pub(crate) fn unseen(&self) -> Vec<ContainerId> {
        let entries = self.by_pod.values().filter(|entry| entry.sandbox.bonds.is_none());
        entries.map(|entry| entry.sandbox.container_id.clone()).collect()
    }

    /// Takes what the records of all sandboxes say, without their bonds: others are gone, unless they were told of
    /// since.
    pub(crate) fn tell_all(&mut self, sandboxes: Vec<Sandbox>, known: &Index, as_of: Instant) {
        self.by_pod.retain(|pod, entry| {
            entry.as_of > as_of || sandboxes.iter().any(|sandbox| sandbox.pod == *pod)
        });
        for sandbox in sandboxes {
            let pod = known.pod(&sandbox.pod);
            self.tell(sandbox, pod, as_of);
        }
    }

    /// Returns what is to be written of a pod now, whatever the API has, and counts as an attempt. `known` is the
    /// pod as the API has told of it; it may not have yet.
    pub(crate) fn write_of(
        &mut self,
        pod: &ObjectKey,
        known: Option<&NodePod>,
        now: Instant,
    ) -> Option<Write> {
        let entry = self.by_pod.get_mut(pod)?;
        let write = entry.write(known)?;
        entry.begin(now);
        Some(write)
    }

    /// Returns what is to be written now, and when there is something to do next. What is returned counts as an
    /// attempt.
    pub(crate) fn due(&mut self, known: &Index, now: Instant) -> (Vec<Write>, Option<Instant>) {
        let (mut due, mut next): (Vec<Write>, Option<Instant>) = Default::default();
        for (pod, entry) in &mut self.by_pod {
            let known = known.pod(pod).filter(|pod| pod.is_of(entry.sandbox.uid.as_ref()));
            let Some(known) = known.filter(|pod| !pod.is_over()) else { continue };
            let Some(write) = entry.write(Some(known)) else { continue };
            if write.is_in(known) {
                entry.is_told |= entry.last.is_none();
                continue;
            }
            let at = entry.next_attempt().unwrap_or(now);
            if at <= now {
                entry.begin(now);
                due.push(write);
            } else {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        (due, next)
    }

    /// Takes how an attempt has ended. Returns whether its interfaces are to be told: it is the first that has
    /// succeeded of the sandbox.
    pub(crate) fn ended(&mut self, write: &Write, is_written: bool, now: Instant) -> bool {
        let Some(entry) = self.by_pod.get_mut(&write.pod) else { return false };
        if entry.sandbox.container_id != write.container_id {
            return false;
        }
        let failures = entry.last.map_or(0, |last| last.failures);
        let failures = if is_written { 0 } else { failures.saturating_add(1) };
        entry.last = Some(Attempt { at: now, failures });
        is_written && !std::mem::replace(&mut entry.is_told, true)
    }
}

impl Entry {
    /// Returns what the API is to have; none where the pod's UID there is not known. What it has of bonds that nobody
    /// could look at stays.
    fn write(&self, known: Option<&NodePod>) -> Option<Write> {
        let sandbox = &self.sandbox;
        let known = known.filter(|pod| pod.is_of(sandbox.uid.as_ref()));
        let bonds = match &sandbox.bonds {
            None => known.and_then(|pod| pod.bonds.clone()),
            Some(bonds) if bonds.is_empty() => None,
            Some(bonds) => Some(bonds::annotation(bonds)),
        };
        // The API knows a static pod by another UID than the runtime.
        let uid = known.map(|pod| pod.uid.clone());
        Some(Write {
            pod: sandbox.pod.clone(),
            uid: uid.or_else(|| sandbox.uid.clone())?,
            annotations: StatusAnnotations { network_status: annotation(&sandbox.statuses), bonds },
            interfaces: sandbox.interfaces(),
            container_id: sandbox.container_id.clone(),
        })
    }

    fn begin(&mut self, now: Instant) {
        let failures = self.last.map_or(0, |last| last.failures);
        self.last = Some(Attempt { at: now, failures });
    }

    /// Returns when the next attempt may be made; none where there was none.
    fn next_attempt(&self) -> Option<Instant> {
        let Attempt { at, failures } = self.last?;
        Some(match failures {
            0 => at + WRITE_INTERVAL,
            failures => {
                let factor = 2_u32.saturating_pow(failures - 1);
                at + FIRST_DELAY.saturating_mul(factor).min(LONGEST_DELAY)
            }
        })
    }
}

impl Write {
    /// Returns whether the API has it.
    fn is_in(&self, known: &NodePod) -> bool {
        let StatusAnnotations { network_status, bonds } = &self.annotations;
        known.network_status.as_ref() == Some(network_status) && known.bonds == *bonds
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use podbond_agent_socket::PodAnnotations;
    use podbond_cluster::{Phase, PodNetwork, Told};

    use super::*;
    use crate::status::sandbox::tests::sandbox;

    /// Pod demo/p of this UID, with this status, as the API tells of it.
    fn pod(uid: &str, network_status: Option<&str>) -> NodePod {
        NodePod {
            key: "demo/p".parse().unwrap(),
            uid: uid.parse().unwrap(),
            static_uid: None,
            networks: PodAnnotations::default(),
            network_status: network_status.map(ToOwned::to_owned),
            bonds: None,
            phase: Phase::Pending,
            network: PodNetwork::Own,
            is_deleting: false,
            requested: BTreeMap::new(),
        }
    }

    fn known(pod: NodePod) -> Index {
        let mut index = Index::default();
        index.tell_pod(Told::Is(pod));
        index
    }

    fn index(now: Instant) -> StatusIndex {
        let mut index = StatusIndex::default();
        index.tell(sandbox("c1", 10), None, now);
        index
    }

    #[test]
    fn what_the_api_has_not_is_due() {
        let now = Instant::now();
        let (due, _) = index(now).due(&known(pod("u-1", None)), now);
        let text = &due[0].annotations.network_status;
        assert!(text.contains("10.0.0.1"), "{text}");
        assert_eq!(index(now).due(&known(pod("u-1", Some(text))), now), (vec![], None));
        assert_eq!(index(now).due(&known(pod("u-2", None)), now), (vec![], None));
        assert_eq!(index(now).due(&Index::default(), now), (vec![], None));
        let over = NodePod { is_deleting: true, ..pod("u-1", None) };
        assert_eq!(index(now).due(&known(over), now), (vec![], None));
    }

    #[test]
    fn pod_is_written_at_most_once_in_ten_seconds() {
        let (now, known) = (Instant::now(), known(pod("u-1", Some("old"))));
        let mut index = index(now);
        let write = index.due(&known, now).0.remove(0);
        assert!(index.ended(&write, true, now));
        let after = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(index.due(&known, after(9)), (vec![], Some(after(10))));
        assert_eq!(index.due(&known, after(10)).0.len(), 1);
        assert!(!index.ended(&write, true, after(10)), "its interfaces are told once");
    }

    #[test]
    fn write_that_failed_is_tried_again_later_and_later() {
        let (mut now, known) = (Instant::now(), known(pod("u-1", None)));
        let mut index = index(now);
        let mut delays = Vec::new();
        for _ in 0..8 {
            let write = index.due(&known, now).0.remove(0);
            assert!(!index.ended(&write, false, now));
            let next = index.due(&known, now).1.unwrap();
            delays.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(delays, [2, 4, 8, 16, 32, 60, 60, 60]);
        let write = index.due(&known, now).0.remove(0);
        assert!(index.ended(&write, true, now));
    }

    #[test]
    fn what_an_earlier_process_has_written_is_not_told_again() {
        let (now, mut index) = (Instant::now(), index(Instant::now()));
        let text = index.write_of(&"demo/p".parse().unwrap(), None, now).unwrap();
        let text = text.annotations.network_status;
        let mut index = self::index(now);
        index.due(&known(pod("u-1", Some(&text))), now);
        let changed = known(pod("u-1", Some("changed by somebody")));
        let write = index.due(&changed, now).0.remove(0);
        assert!(!index.ended(&write, true, now));
    }

    #[test]
    fn earlier_reading_does_not_remove_what_was_reported_since() {
        let (earlier, now) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        let mut index = index(now);
        index.tell_all(vec![], &Index::default(), earlier);
        assert_eq!(index.by_pod.len(), 1);
        index.tell_all(vec![], &Index::default(), now + Duration::from_secs(1));
        assert!(index.by_pod.is_empty());
    }

    #[test]
    fn later_sandbox_takes_the_place_of_an_earlier_one() {
        let now = Instant::now();
        let mut index = index(now);
        index.tell(sandbox("c0", 9), None, now);
        assert_eq!(index.by_pod.values().next().unwrap().sandbox.container_id.as_str(), "c1");
        index.tell(sandbox("c2", 11), None, now);
        assert_eq!(index.by_pod.values().next().unwrap().sandbox.container_id.as_str(), "c2");
    }

    #[test]
    fn static_pod_is_written_by_its_uid_in_the_api() {
        let now = Instant::now();
        let mirror = NodePod { static_uid: Some("u-1".parse().unwrap()), ..pod("u-9", None) };
        let write = index(now).due(&known(mirror), now).0.remove(0);
        assert_eq!(write.uid.as_str(), "u-9");
    }

    fn bonds(active: &str) -> String {
        format!(
            r#"[{{"interface":"net3","mode":"active-backup","state":"up","activePort":"{active}","ports":[
            {{"interface":"net1","state":"up"}},{{"interface":"net2","state":"up"}}],"findings":[]}}]"#
        )
    }

    fn with_bonds(text: &str) -> Sandbox {
        Sandbox { bonds: from_annotation(text), ..sandbox("c1", 10) }
    }

    #[test]
    fn change_of_a_bond_is_told_and_written() {
        let now = Instant::now();
        let mut index = StatusIndex::default();
        assert_eq!(index.tell(with_bonds(&bonds("net1")), None, now), []);
        // Whoever read the records alone has not seen the bonds.
        assert_eq!(index.tell(Sandbox { bonds: None, ..sandbox("c1", 10) }, None, now), []);
        assert!(index.unseen().is_empty());
        let told = index.tell(with_bonds(&bonds("net2")), None, now);
        assert_eq!(told.iter().map(|change| change.reason).collect::<Vec<_>>(), ["BondFailover"]);
        let write = index.due(&known(pod("u-1", None)), now).0.remove(0);
        assert!(write.annotations.bonds.unwrap().contains(r#""activePort":"net2""#));
    }

    #[test]
    fn change_while_no_agent_ran_is_told() {
        let now = Instant::now();
        let of_api = NodePod { bonds: Some(bonds("net1")), ..pod("u-1", None) };
        let mut index = StatusIndex::default();
        let unseen = Sandbox { bonds: None, ..sandbox("c1", 10) };
        index.tell_all(vec![unseen], &known(of_api.clone()), now);
        assert_eq!(index.unseen().len(), 1);
        let write = index.due(&known(of_api.clone()), now).0.remove(0);
        assert_eq!(write.annotations.bonds, of_api.bonds, "what nobody could look at stays");
        let told = index.tell(with_bonds(&bonds("net2")), Some(&of_api), now);
        assert_eq!(told.len(), 1);
        let other = NodePod { uid: "u-2".parse().unwrap(), ..of_api };
        let mut index = StatusIndex::default();
        assert_eq!(index.tell(with_bonds(&bonds("net2")), Some(&other), now), []);
    }
}
