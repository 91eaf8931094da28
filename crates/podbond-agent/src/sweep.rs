//! Has what belongs to no pod any more removed: no runtime asks plugins for GC of its own accord. That is
//! `podbond gc` as a process among the node's own mounts, since it calls the plugins of other networks, which need the
//! node's programs and sockets.

use std::path::Path;
use std::time::Duration;

use podbond_names::OneLine;
use serde::Deserialize;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

/// How long `podbond gc` may take: an IPAM plugin may ask a server for each of many leases.
const TIMEOUT: Duration = Duration::from_mins(5);

/// Between two sweeps that leave something: twice as long each time, up to a limit.
const FIRST_DELAY: Duration = Duration::from_mins(1);
const LONGEST_DELAY: Duration = Duration::from_mins(30);

/// When the next sweep is due. Pure.
#[derive(Debug, Default)]
pub(crate) struct Sweeps {
    /// The number of orphans at the last look.
    seen: usize,
    last: Option<Instant>,
    delay: Duration,
}

impl Sweeps {
    /// Returns whether to sweep now, of which there are so many orphans: at the start of the agent, since no
    /// record tells of what sriov-cni left; then when orphans stay for two looks, since a runtime may be about to
    /// delete them, and ever later where a sweep does not help.
    pub(crate) fn is_due(&mut self, orphans: usize, now: Instant) -> bool {
        let stay = orphans.min(self.seen) > 0;
        self.seen = orphans;
        let Some(last) = self.last else {
            (self.last, self.delay) = (Some(now), FIRST_DELAY);
            return true;
        };
        if !stay {
            self.delay = FIRST_DELAY;
            return false;
        }
        if now < last + self.delay {
            return false;
        }
        (self.last, self.delay) = (Some(now), (self.delay * 2).min(LONGEST_DELAY));
        true
    }
}

/// A row of `podbond gc --output json`.
#[derive(Debug, Deserialize)]
struct Row {
    object: String,
    what: String,
    done: String,
    error: Option<String>,
}

/// Runs the node's `podbond gc`, and logs what it has done.
pub(crate) async fn sweep(podbond: &Path) {
    let mut command = Command::new("/proc/self/exe");
    command.arg("on-node").arg(podbond).args(["gc", "--output", "json"]).kill_on_drop(true);
    let output = match timeout(TIMEOUT, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return tracing::warn!(%error, "podbond gc cannot be run"),
        Err(_) => return tracing::warn!("podbond gc has not ended within 5 min and was ended"),
    };
    let rows: Vec<Row> = serde_json::from_slice(&output.stdout).unwrap_or_default();
    for Row { object, what, done, error } in &rows {
        let (object, what) = (OneLine(object), OneLine(what));
        if let Some(error) = error {
            tracing::warn!(%object, %what, error = %OneLine(error), "{done}");
        } else {
            tracing::info!(%object, %what, "{done}");
        }
    }
    if !output.status.success() && rows.iter().all(|row| row.error.is_none()) {
        let said = String::from_utf8_lossy(&output.stderr);
        tracing::warn!(said = %OneLine(said.trim()), "podbond gc has failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orphans_that_stay_are_swept_ever_later_where_it_does_not_help() {
        let (begin, mut sweeps) = (Instant::now(), Sweeps::default());
        let due: Vec<u64> = (0..100)
            .filter(|minute| sweeps.is_due(1, begin + Duration::from_mins(*minute)))
            .collect();
        assert_eq!(due, [0, 1, 3, 7, 15, 31, 61, 91]);
    }

    #[test]
    fn orphan_that_a_runtime_is_about_to_delete_is_left_to_it() {
        let (begin, mut sweeps) = (Instant::now(), Sweeps::default());
        let mut is_due =
            |minute, orphans| sweeps.is_due(orphans, begin + Duration::from_mins(minute));
        assert!(is_due(0, 0));
        assert!(!is_due(10, 1) && !is_due(11, 0) && !is_due(12, 1));
        assert!(is_due(13, 1));
    }
}
