//! One operation, done by each of its subjects in turn.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::process::{Cost, Process};
use crate::trace::{Calls, count};
use podbond_bench::{Row, Spread};

/// Which subject the others are compared with.
pub(crate) const FLOOR: &str = "floor";

/// What is measured.
pub(crate) const PODBOND: &str = "podbond";

/// An operation that leaves all as it was before.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) subjects: Vec<Subject>,
}

/// Who does it, and how.
pub(crate) struct Subject {
    pub(crate) name: String,
    /// ADD: these processes, one after the other.
    pub(crate) add: Vec<Process>,
    /// DEL; empty where there is nothing to undo.
    pub(crate) del: Vec<Process>,
}

/// How it is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Method<'a> {
    /// How often with the clock running.
    pub(crate) runs: u32,
    /// No run begins after so long, and no peer's calls are counted: on a slow machine less is done.
    pub(crate) patience: Duration,
    /// strace, where calls are to be counted.
    pub(crate) strace: Option<&'a Path>,
    /// This program, where memory is to be looked at.
    pub(crate) itself: Option<&'a Path>,
}

/// The costs of one run.
struct Run {
    add: Cost,
    del: Cost,
}

impl Run {
    fn wall(&self) -> Duration {
        self.add.wall + self.del.wall
    }
}

impl Case {
    /// Measures it: one run of each subject to warm up, then one run of each after the other, again
    /// and again, so that whatever else the machine does befalls all alike. What slows a process
    /// down comes last: its calls counted, its memory looked at.
    pub(crate) fn measure(&self, method: Method<'_>) -> Result<Vec<Row>, Error> {
        let mut runs: Vec<Vec<Run>> = self.subjects.iter().map(|_| Vec::new()).collect();
        let end = Instant::now() + method.patience;
        for round in 0..=method.runs {
            if round > 1 && Instant::now() > end {
                break;
            }
            for (subject, runs) in self.subjects.iter().zip(&mut runs) {
                let run = subject.run()?;
                if round > 0 {
                    runs.push(run);
                }
            }
        }
        let paired = paired_ratios(&self.subjects, &runs);
        let mut rows = Vec::new();
        for ((subject, runs), paired_ratio) in self.subjects.iter().zip(runs).zip(paired) {
            let counts = !subject.is_peer() || Instant::now() < end;
            let strace = method.strace.filter(|_| counts);
            let calls = strace.map(|strace| subject.count(strace)).transpose()?;
            let rss_kb = method.itself.map(|itself| subject.memory(itself)).transpose()?;
            rows.push(Row { paired_ratio, ..self.row(subject, &runs, calls, rss_kb) });
        }
        compare(&mut rows);
        Ok(rows)
    }

    fn row(
        &self,
        subject: &Subject,
        runs: &[Run],
        calls: Option<Calls>,
        rss_kb: Option<u64>,
    ) -> Row {
        let times = |of: fn(&Run) -> Duration| runs.iter().map(of).collect::<Vec<_>>();
        let median = |of| Spread::of(times(of)).median;
        let parts = !subject.del.is_empty();
        Row {
            add_ms: parts.then(|| median(|run| run.add.wall)),
            del_ms: parts.then(|| median(|run| run.del.wall)),
            cpu_ms: Some(median(|run| run.add.cpu + run.del.cpu)),
            rss_kb,
            syscalls: calls.as_ref().map(|calls| calls.all),
            netlink: calls.as_ref().map(|calls| calls.netlink),
            calls: calls.map(|calls| calls.kinds).unwrap_or_default(),
            ..Row::timed(&self.name, &subject.name, times(Run::wall))
        }
    }
}

/// The median of each subject's ratios to the floor's run of the same round: what befell both in
/// that round, as on a machine that does much else, befell both.
fn paired_ratios(subjects: &[Subject], runs: &[Vec<Run>]) -> Vec<Option<f64>> {
    let floor = subjects.iter().position(|subject| subject.name == FLOOR);
    let ratio = |runs: &Vec<Run>, floor: &Vec<Run>| {
        let pairs = runs.iter().zip(floor);
        let ratio =
            |(run, floor): (&Run, &Run)| run.wall().as_secs_f64() / floor.wall().as_secs_f64();
        let mut ratios: Vec<f64> = pairs.map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied()
    };
    let floor = floor.and_then(|floor| runs.get(floor));
    runs.iter().map(|runs| ratio(runs, floor?)).collect()
}

/// Gives each row its ratio to the floor.
fn compare(rows: &mut [Row]) {
    let floor = rows.iter().find(|row| row.subject == FLOOR).map(|row| row.wall_ms.median);
    for row in rows {
        row.ratio = floor.map(|floor| row.wall_ms.median / floor);
    }
}

impl Subject {
    /// A subject that does the whole operation in one process for ADD and one for DEL.
    pub(crate) fn new(name: &str, add: Process, del: Process) -> Self {
        Self { name: name.to_owned(), add: vec![add], del: vec![del] }
    }

    /// A subject with nothing to undo.
    pub(crate) fn once(name: &str, process: Process) -> Self {
        Self { name: name.to_owned(), add: vec![process], del: Vec::new() }
    }

    fn is_peer(&self) -> bool {
        self.name != FLOOR && self.name != PODBOND
    }

    /// ADD, timed, and its DEL.
    pub(crate) fn add_and_delete(&self) -> Result<Duration, Error> {
        self.run().map(|run| run.add.wall)
    }

    /// ADD alone.
    pub(crate) fn add_alone(&self) -> Result<Cost, Error> {
        all(&self.add)
    }

    /// DEL alone.
    pub(crate) fn delete_alone(&self) -> Result<Cost, Error> {
        all(&self.del)
    }

    /// The calls of an ADD; it is undone.
    pub(crate) fn count_add(&self, strace: &Path) -> Result<Calls, Error> {
        let calls = count_all(&self.add, strace);
        self.delete_alone()?;
        calls
    }

    fn run(&self) -> Result<Run, Error> {
        Ok(Run { add: all(&self.add)?, del: all(&self.del)? })
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        self.add.iter().chain(&self.del)
    }

    fn count(&self, strace: &Path) -> Result<Calls, Error> {
        count_all(self.processes(), strace)
    }

    fn memory(&self, itself: &Path) -> Result<u64, Error> {
        let mut most = 0;
        for process in self.processes() {
            most = most.max(crate::memory::peak_kb(process, itself)?);
        }
        Ok(most)
    }
}

/// The calls of processes that run one after the other.
fn count_all<'p>(
    processes: impl IntoIterator<Item = &'p Process>,
    strace: &Path,
) -> Result<Calls, Error> {
    let mut calls = Calls::default();
    for process in processes {
        calls.add(&count(process, strace)?);
    }
    Ok(calls)
}

/// The sum of what processes cost that run one after the other.
fn all(processes: &[Process]) -> Result<Cost, Error> {
    let mut sum = Cost::default();
    for process in processes {
        let cost = process.run()?;
        sum.wall += cost.wall;
        sum.cpu += cost.cpu;
        sum.rss_kb = sum.rss_kb.max(cost.rss_kb);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subject_is_compared_with_the_floor() {
        let process = |ms: &str| Process::new("/bin/sleep").arguments([ms]);
        let subjects = vec![
            Subject::new(FLOOR, process("0.02"), process("0.02")),
            Subject::new("podbond", process("0.06"), process("0.02")),
        ];
        let case = Case { name: "sleep".to_owned(), subjects };
        let rows = case
            .measure(Method {
                runs: 3,
                patience: Duration::from_mins(1),
                strace: None,
                itself: None,
            })
            .unwrap();
        assert_eq!(rows[0].ratio, Some(1.0));
        assert!(rows[1].ratio.is_some_and(|ratio| ratio > 1.2), "{rows:?}");
        assert!(rows[1].add_ms > rows[1].del_ms, "{rows:?}");
        assert_eq!((rows[0].runs, rows[0].syscalls), (3, None));
    }

    #[test]
    fn what_is_refused_has_no_time() {
        let case = Case {
            name: "false".to_owned(),
            subjects: vec![Subject::once(FLOOR, Process::new("/bin/false"))],
        };
        let refused =
            case.measure(Method { runs: 1, patience: Duration::ZERO, strace: None, itself: None });
        assert!(matches!(refused, Err(Error::Refused { .. })));
    }
}
