//! A measured thing as data.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Growth, Kind};

/// What `-o json` prints.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Document {
    /// In the order in which they were measured.
    pub rows: Vec<Row>,
    /// How costs grow; empty where that was not measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub growth: Vec<Growth>,
}

/// One thing, done by one subject, so many times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What was done.
    pub name: String,
    /// Who did it: `floor`, `podbond`, or a peer.
    pub subject: String,
    /// From the start of the first process to the end of the last one.
    pub wall_ms: Spread,
    /// The part of it that ADD took, where there is an ADD and a DEL: the median.
    pub add_ms: Option<f64>,
    /// The part of it that DEL took.
    pub del_ms: Option<f64>,
    /// User and system CPU time of all processes: the median.
    pub cpu_ms: Option<f64>,
    /// The most memory that any of the processes had at once.
    pub rss_kb: Option<u64>,
    /// System calls of all processes, counted in a run that was not timed.
    pub syscalls: Option<u64>,
    /// What they were made for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calls: BTreeMap<Kind, u64>,
    /// How often the kernel was sent something through a netlink socket, in the same run.
    pub netlink: Option<u64>,
    /// Median wall time over that of the floor.
    pub ratio: Option<f64>,
    /// The median of the ratios within each round.
    pub paired_ratio: Option<f64>,
    /// How often it was done with the clock running.
    pub runs: u32,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Row {
    /// A row of which only the wall time is known.
    pub fn timed(name: &str, subject: &str, times: Vec<Duration>) -> Self {
        let runs = u32::try_from(times.len()).unwrap_or(u32::MAX);
        Self {
            name: name.to_owned(),
            subject: subject.to_owned(),
            wall_ms: Spread::of(times),
            add_ms: None,
            del_ms: None,
            cpu_ms: None,
            rss_kb: None,
            syscalls: None,
            calls: BTreeMap::new(),
            netlink: None,
            ratio: None,
            paired_ratio: None,
            runs,
        }
    }
}

impl Spread {
    /// Of at least one time.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
        let median = ms(times.get(times.len() / 2));
        Self { median, min: ms(times.first()), max: ms(times.last()) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_tells_the_median_and_both_ends() {
        let times = [3, 100, 1, 2, 5].map(Duration::from_millis).to_vec();
        assert_eq!(Spread::of(times), Spread { median: 3.0, min: 1.0, max: 100.0 });
    }

    #[test]
    fn a_row_has_the_names_that_others_read() {
        let row = Row::timed("start", "floor", vec![Duration::from_millis(7)]);
        let row = Row { ratio: Some(1.0), cpu_ms: Some(2.5), rss_kb: Some(9), ..row };
        let document =
            serde_json::to_value(Document { rows: vec![row], growth: Vec::new() }).unwrap();
        assert_eq!(
            document,
            json!({"rows": [{
                "name": "start", "subject": "floor", "runs": 1, "cpu_ms": 2.5, "rss_kb": 9,
                "wall_ms": {"median": 7.0, "min": 7.0, "max": 7.0}, "add_ms": null,
                "del_ms": null, "syscalls": null, "netlink": null, "ratio": 1.0,
                "paired_ratio": null,
            }]})
        );
    }
}
