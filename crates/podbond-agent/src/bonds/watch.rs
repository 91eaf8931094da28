//! Says which pod's bonds may have changed, by what the kernel tells of the links in pods' network namespaces.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use podbond_bond::recorded_bonds;
use podbond_cni::ContainerId;
use podbond_kernel::{Error, LinkEvent, LinkMonitor, NetnsIdentity};
use podbond_record::Record;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::sleep_until;

use super::schedule::Schedule;

/// How many messages are read before others get their turn.
const AT_ONCE: usize = 256;

/// How long to sleep where nothing is due.
const LONG: Duration = Duration::from_hours(1);

/// The pods whose bonds are watched. It holds none of their network namespaces. Copies are of the same pods.
#[derive(Debug, Clone)]
pub struct Watch {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    schedule: Mutex<Schedule>,
    /// That a pod was added: something may be due sooner.
    added: Notify,
}

/// Which of the pods of a [`Watch`] is to be looked at next.
pub struct NextLook {
    shared: Arc<Shared>,
    monitor: AsyncFd<LinkMonitor>,
}

impl Watch {
    /// Returns a watch of no pods yet, and what says whose bonds may have changed. Call it in a tokio runtime, in the
    /// node's network namespace.
    pub fn start() -> Result<(Self, NextLook), Error> {
        #[allow(
            deprecated,
            reason = "what replaces it is unsafe, for types that lose their descriptor; LinkMonitor owns its own"
        )]
        let monitor = AsyncFd::with_interest(LinkMonitor::open()?, Interest::READABLE);
        let monitor = monitor
            .map_err(|source| Error::Socket { action: "wait for changes of links", source })?;
        let (schedule, added) = (Mutex::new(Schedule::default()), Notify::new());
        let shared = Arc::new(Shared { schedule, added });
        Ok((Self { shared: shared.clone() }, NextLook { shared, monitor }))
    }

    /// Watches the bonds of a pod by the records of its container; does nothing where they name no bond or its network
    /// namespace is over. A pod that is added again begins anew. It enters the namespace for a moment: call it where
    /// [`observe`](super::observe) may be called. What changed before is not told: look after it.
    ///
    /// # Errors
    /// Where the kernel gives the namespace no number. The pod is looked at each minute then.
    pub fn add(&self, container_id: &ContainerId, records: &[Record]) -> Result<(), Error> {
        let netns = recorded_bonds(records).find_map(|bond| bond.record.netns.clone());
        let Some(netns) = netns else { return Ok(()) };
        let number = match netns.number() {
            Ok(None) => return Ok(()),
            number => number,
        };
        let (known, failed) = match number {
            Ok(number) => (number, Ok(())),
            Err(error) => (None, Err(error)),
        };
        self.shared.schedule().add(container_id.clone(), netns, known, Instant::now());
        self.shared.added.notify_one();
        failed
    }

    /// Ends the watch of a pod.
    pub fn remove(&self, container_id: &ContainerId) {
        self.shared.schedule().remove(container_id);
    }
}

impl Shared {
    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NextLook {
    /// Waits until the bonds of a pod may have changed, and returns its container. A fail-over, which is several
    /// messages of the kernel, is one look, 100 ms after its last and 500 ms after its first message at the latest.
    /// Each pod is looked at each minute besides. Nothing is lost where the future is dropped.
    pub async fn next(&mut self) -> ContainerId {
        loop {
            let now = Instant::now();
            let due = {
                let mut schedule = self.shared.schedule();
                if let Some(container_id) = schedule.take_due(now) {
                    return container_id;
                }
                schedule.next_due().unwrap_or(now + LONG)
            };
            tokio::select! {
                () = read(&mut self.monitor, &self.shared) => {}
                () = sleep_until(due.into()) => {}
                () = self.shared.added.notified() => {}
            }
        }
    }
}

/// Waits until the kernel tells something, and takes it in.
async fn read(monitor: &mut AsyncFd<LinkMonitor>, shared: &Shared) {
    let Ok(mut ready) = monitor.readable_mut().await else {
        // The runtime ends.
        return std::future::pending().await;
    };
    let mut schedule = shared.schedule();
    for _ in 0..AT_ONCE {
        let event = match ready.get_inner_mut().next_event() {
            Ok(Some(event)) => event,
            Ok(None) => return ready.clear_ready(),
            Err(error) => {
                tracing::warn!(%error, "what the kernel tells of links cannot be read");
                ready.clear_ready();
                LinkEvent::Lost
            }
        };
        schedule.hear(event, Instant::now(), NetnsIdentity::state);
    }
}
