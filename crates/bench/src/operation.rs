//! One operation, done by each of its subjects in turn: ratios to the floor, and peak memory.

use std::fs;
use std::path::Path;
use std::time::Duration;

use podbond_bench::{Error, Plugin, Process, Row, median, median_ms};
use serde_json::Value;

/// The subject with which the others are compared.
pub(crate) const FLOOR: &str = "floor";

/// An operation that leaves everything as it was before.
pub(crate) struct Operation {
    pub(crate) name: String,
    /// Who does it; the floor first.
    pub(crate) subjects: Vec<Subject>,
}

/// Who does an operation, and by which processes.
pub(crate) struct Subject {
    pub(crate) name: String,
    /// The processes of an ADD, one after the other.
    pub(crate) add: Vec<Process>,
    /// Those of its DEL; empty where there is nothing to undo.
    pub(crate) del: Vec<Process>,
}

/// Wall times of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) add: Duration,
    pub(crate) del: Duration,
}

impl Run {
    fn total(self) -> Duration {
        self.add + self.del
    }
}

impl Operation {
    /// Measures the times of each subject, then its peak memory in a run of its own.
    pub(crate) fn measure(&self, runs: u32) -> Result<Vec<Row>, Error> {
        eprintln!("measuring: {}", self.name);
        let times = run_in_turn(&self.subjects, runs)?;
        let floor = times.first().map_or(&[][..], Vec::as_slice);
        let rows = self.subjects.iter().zip(&times);
        rows.map(|(subject, times)| self.row(subject, times, floor)).collect()
    }

    fn row(&self, subject: &Subject, times: &[Run], floor: &[Run]) -> Result<Row, Error> {
        let mut peak_kb = 0;
        for process in subject.add.iter().chain(&subject.del) {
            peak_kb = peak_kb.max(process.peak_kb()?);
        }
        let has_del = !subject.del.is_empty();
        Ok(Row {
            operation: self.name.clone(),
            subject: subject.name.clone(),
            ratio: ratio(times, floor),
            ms: median_ms(times.iter().map(|run| run.total())),
            add_ms: has_del.then(|| median_ms(times.iter().map(|run| run.add))),
            del_ms: has_del.then(|| median_ms(times.iter().map(|run| run.del))),
            peak_kb,
        })
    }
}

/// Returns the median of the ratios within each round: what slows a busy machine down in a round
/// slows both.
fn ratio(times: &[Run], floor: &[Run]) -> f64 {
    let seconds = |run: &Run| run.total().as_secs_f64();
    median(times.iter().zip(floor).map(|(run, floor)| seconds(run) / seconds(floor)))
}

/// Runs each subject once to warm up, then one after the other, `runs` times; returns the times of
/// each.
pub(crate) fn run_in_turn(subjects: &[Subject], runs: u32) -> Result<Vec<Vec<Run>>, Error> {
    let mut times: Vec<Vec<Run>> = vec![Vec::new(); subjects.len()];
    for round in 0..=runs {
        for (subject, times) in subjects.iter().zip(&mut times) {
            let run = Run { add: subject.add()?, del: subject.del()? };
            if round > 0 {
                times.push(run);
            }
        }
    }
    Ok(times)
}

impl Subject {
    /// Returns a subject that needs one process for ADD and one for DEL.
    pub(crate) fn new(name: &str, add: Process, del: Process) -> Self {
        Self { name: name.to_owned(), add: vec![add], del: vec![del] }
    }

    /// Returns the ADD and DEL of an attachment with this configuration, which is kept as a file in
    /// `directory`.
    pub(crate) fn attachment(
        plugin: &Plugin,
        netns: &str,
        ifname: &str,
        config: &Value,
        directory: &Path,
    ) -> Result<Self, Error> {
        let input = directory.join(format!("{}-{netns}-{ifname}.json", plugin.subject));
        fs::write(&input, config.to_string()).map_err(Error::file("write", &input))?;
        let call = |command| plugin.call(command, netns, ifname, &input);
        Ok(Self::new(&plugin.subject, call("ADD"), call("DEL")))
    }

    /// Does ADD and returns its wall time.
    pub(crate) fn add(&self) -> Result<Duration, Error> {
        self.add.iter().map(Process::run).sum()
    }

    /// Does DEL and returns its wall time.
    pub(crate) fn del(&self) -> Result<Duration, Error> {
        self.del.iter().map(Process::run).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(add: u64, del: u64) -> Run {
        Run { add: Duration::from_millis(add), del: Duration::from_millis(del) }
    }

    #[test]
    fn ratio_is_taken_within_each_round() {
        let floor = [run(10, 10), run(100, 100), run(10, 10)];
        let podbond = [run(20, 10), run(200, 100), run(10, 10)];
        assert!((ratio(&podbond, &floor) - 1.5).abs() < 1e-9);
        assert!((ratio(&floor, &floor) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn times_of_the_warm_up_are_not_counted() {
        let sleep = |ms: &str| Process::new("/bin/sleep").arguments([ms]);
        let subjects = [Subject::new(FLOOR, sleep("0.02"), sleep("0"))];
        let times = run_in_turn(&subjects, 3).unwrap();
        assert_eq!((times.len(), times[0].len()), (1, 3));
        assert!(times[0].iter().all(|run| run.add.as_millis() >= 20), "{times:?}");
    }
}
