//! When each pod's bonds are looked at next. Pure: events and the time in, containers out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use podbond_cni::ContainerId;
use podbond_kernel::{LinkEvent, NetnsIdentity, NetnsNumber, NetnsState};

/// A fail-over makes several messages: it is looked at once it has been quiet for so long.
const QUIET: Duration = Duration::from_millis(100);

/// And after so long at the latest.
const AT_MOST: Duration = Duration::from_millis(500);

/// After a loss of messages all pods are looked at, and so often at most.
const LOSS_INTERVAL: Duration = Duration::from_secs(10);

/// When a new pod is looked at without an event: once its ports have had time to find their carrier, and once its
/// bond has had time to find an LACP partner.
const EARLY: [Duration; 2] = [Duration::from_secs(16), Duration::from_secs(25)];

/// When any pod is looked at without an event: the kernel tells not all that changes, as an LACP partner.
const REGULAR: Duration = Duration::from_mins(1);

/// The pods that are watched.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    pods: BTreeMap<ContainerId, Pod>,
    /// When a loss may be looked into next.
    next_loss: Option<Instant>,
}

#[derive(Debug)]
struct Pod {
    netns: NetnsIdentity,
    /// By which the kernel tells of its links; none where it cannot.
    number: Option<NetnsNumber>,
    /// The first and the last of what was heard since the last look.
    heard: Option<(Instant, Instant)>,
    /// The next look without an event.
    regular: Instant,
    /// How many of those were.
    looks: usize,
}

impl Schedule {
    /// Adds a pod, or begins anew with it.
    pub(super) fn add(
        &mut self,
        container_id: ContainerId,
        netns: NetnsIdentity,
        number: Option<NetnsNumber>,
        now: Instant,
    ) {
        let pod = Pod { netns, number, heard: None, regular: now + EARLY[0], looks: 0 };
        self.pods.insert(container_id, pod);
    }

    pub(super) fn remove(&mut self, container_id: &ContainerId) {
        self.pods.remove(container_id);
    }

    /// Takes in what the kernel told. A pod whose namespace is over is not watched any more; of a number that was
    /// given to another namespace meanwhile, that of an earlier one may be told.
    pub(super) fn hear(
        &mut self,
        event: LinkEvent,
        now: Instant,
        state: impl Fn(&NetnsIdentity) -> NetnsState,
    ) {
        match event {
            LinkEvent::Changed(number) => {
                let of_number = self.pods.values_mut().filter(|pod| pod.number == Some(number));
                of_number.for_each(|pod| pod.hear(now));
            }
            LinkEvent::NamespaceOver(number) => {
                let is_over = |pod: &Pod| {
                    pod.number == Some(number) && state(&pod.netns) != NetnsState::Alive
                };
                self.pods.retain(|_, pod| !is_over(pod));
            }
            LinkEvent::Lost => {
                let allowed = self.next_loss.unwrap_or(now);
                let at = now.max(allowed);
                if at == now {
                    self.next_loss = Some(now + LOSS_INTERVAL);
                }
                self.pods.values_mut().for_each(|pod| pod.regular = pod.regular.min(at));
            }
        }
    }

    /// Returns when the next look is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.pods.values().map(Pod::due).min()
    }

    /// Returns a pod whose look is due, and notes that it is looked at now.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<ContainerId> {
        let due = self.pods.iter_mut().filter(|(_, pod)| pod.due() <= now);
        let (container_id, pod) = due.min_by_key(|(_, pod)| pod.due())?;
        if pod.regular <= now {
            pod.looks += 1;
            pod.regular = now + EARLY.get(pod.looks).copied().unwrap_or(REGULAR);
        }
        pod.heard = None;
        Some(container_id.clone())
    }
}

impl Pod {
    fn hear(&mut self, now: Instant) {
        let first = self.heard.map_or(now, |(first, _)| first);
        self.heard = Some((first, now));
    }

    fn due(&self) -> Instant {
        let heard = self.heard.map(|(first, last)| (last + QUIET).min(first + AT_MOST));
        heard.map_or(self.regular, |heard| heard.min(self.regular))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn id(text: &str) -> ContainerId {
        text.to_owned().try_into().unwrap()
    }

    /// Two pods, whose namespaces have the numbers 1 and 2.
    fn schedule(now: Instant) -> Schedule {
        let netns = NetnsIdentity::of(Path::new("/proc/self/ns/net")).unwrap();
        let mut schedule = Schedule::default();
        schedule.add(id("c1"), netns.clone(), Some(NetnsNumber::new(1)), now);
        schedule.add(id("c2"), netns, Some(NetnsNumber::new(2)), now);
        schedule
    }

    fn hear(schedule: &mut Schedule, event: LinkEvent, now: Instant) {
        schedule.hear(event, now, |_| NetnsState::Gone);
    }

    /// The containers that are due up to a time, each with how long after the beginning, in ms.
    fn due_until(schedule: &mut Schedule, begun: Instant, end: Duration) -> Vec<(String, u128)> {
        let mut due = Vec::new();
        while let Some(at) = schedule.next_due().filter(|at| *at <= begun + end) {
            let container_id = schedule.take_due(at).unwrap();
            due.push((container_id.to_string(), (at - begun).as_millis()));
        }
        due
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn several_messages_are_one_look_when_it_is_quiet() {
        let begun = Instant::now();
        let mut schedule = schedule(begun);
        let changed = LinkEvent::Changed(NetnsNumber::new(2));
        for after in [0, 10, 60] {
            hear(&mut schedule, changed, begun + ms(after));
        }
        assert_eq!(due_until(&mut schedule, begun, SECOND), [("c2".to_owned(), 160)]);
        hear(&mut schedule, LinkEvent::Changed(NetnsNumber::new(7)), begun + SECOND);
        assert_eq!(due_until(&mut schedule, begun, 2 * SECOND), []);
    }

    #[test]
    fn restless_pod_is_looked_at_after_half_a_second() {
        let begun = Instant::now();
        let mut schedule = schedule(begun);
        for after in (0..460).step_by(50) {
            hear(&mut schedule, LinkEvent::Changed(NetnsNumber::new(1)), begun + ms(after));
        }
        assert_eq!(due_until(&mut schedule, begun, SECOND), [("c1".to_owned(), 500)]);
    }

    #[test]
    fn new_pod_is_looked_at_twice_and_then_each_minute() {
        let begun = Instant::now();
        let mut schedule = schedule(begun);
        schedule.remove(&id("c2"));
        let due = due_until(&mut schedule, begun, Duration::from_secs(170));
        let seconds: Vec<u128> = due.iter().map(|(_, ms)| ms / 1000).collect();
        assert_eq!(seconds, [16, 41, 101, 161]);
    }

    #[test]
    fn all_pods_are_looked_at_after_a_loss_and_again_ten_seconds_later() {
        let begun = Instant::now();
        let mut schedule = schedule(begun);
        let both = |at| [("c1".to_owned(), at), ("c2".to_owned(), at)];
        hear(&mut schedule, LinkEvent::Lost, begun);
        assert_eq!(due_until(&mut schedule, begun, SECOND), both(0));
        for after in [1000, 1100, 1200] {
            hear(&mut schedule, LinkEvent::Lost, begun + ms(after));
        }
        assert_eq!(due_until(&mut schedule, begun, ms(9_000)), []);
        assert_eq!(due_until(&mut schedule, begun, ms(11_000)), both(10_000));
    }

    #[test]
    fn pod_whose_namespace_is_over_is_not_watched() {
        let begun = Instant::now();
        let mut schedule = schedule(begun);
        let over = LinkEvent::NamespaceOver(NetnsNumber::new(1));
        // Told of an earlier namespace of that number.
        schedule.hear(over, begun, |_| NetnsState::Alive);
        assert_eq!(schedule.pods.len(), 2);
        hear(&mut schedule, over, begun);
        assert_eq!(schedule.pods.keys().map(ToString::to_string).collect::<Vec<_>>(), ["c2"]);
        schedule.remove(&id("c2"));
        assert_eq!(schedule.next_due(), None);
    }
}
