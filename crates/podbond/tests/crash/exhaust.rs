//! All points at which an operation can be killed or refused, one after the other.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::operation::{Closing, Operation, Ran, Verb, kind};
use crate::report::{is_full, progress, row};
use crate::snapshot::{FILE, FILES, Snapshot};

/// `EPERM`, `EINTR`, `ENOMEM`, `EBUSY`, `ENODEV`, `ENOSPC`, `EROFS`: what may be met in earnest.
const ERRORS: [i32; 7] = [1, 4, 12, 16, 19, 28, 30];

/// A full disk and one that can only be read.
const OF_DISK: [i32; 2] = [28, 30];

/// How long the kernel may take to give links back.
const RETURN_TIMEOUT: Duration = Duration::from_secs(20);

/// An operation on a node of which is known what it was before.
pub(crate) struct Run<'o> {
    pub(crate) operation: &'o Operation,
    before: Snapshot,
}

/// What there is to take away, and how it is taken away.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    /// What was killed and by which fault; none for an ADD that succeeded.
    pub(crate) killed: Option<(Verb, String)>,
    pub(crate) closing: Closing,
}

impl Point {
    /// An ADD that succeeded.
    pub(crate) fn whole(closing: Closing) -> Self {
        Self { killed: None, closing }
    }
}

/// How many points a verb has, by where it was killed or refused.
#[derive(Default)]
struct Tally {
    adds: usize,
    dels: usize,
    tried: usize,
    leaks: Vec<String>,
}

impl Tally {
    fn row(&self, operation: &str, what: &str) {
        row(operation, what, self.adds, self.dels, self.tried, self.leaks.len());
    }

    fn steps(&mut self, verb: Verb) -> &mut usize {
        match verb {
            Verb::Add => &mut self.adds,
            Verb::Del => &mut self.dels,
        }
    }
}

/// Kills and refuses an operation at every change it makes. Prints rows of the table and panics if
/// anything was lost.
pub(crate) fn exhaust(operation: &Operation) {
    let mut run = Run::begin(operation);
    let undisturbed = run.close_everyhow();
    undisturbed.row(operation.name, "undisturbed");
    let killed = run.kill_everywhere();
    killed.row(operation.name, "killed");
    let refused = run.refuse_everywhere();
    refused.row(operation.name, "refused");
    let disk = run.break_disk_everywhere();
    disk.row(operation.name, "disk broken");
    operation.scene.clear();
    let leaks = [undisturbed, killed, refused, disk].map(|tally| tally.leaks).concat();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

impl<'o> Run<'o> {
    /// Sets everything up.
    pub(crate) fn begin(operation: &'o Operation) -> Self {
        Self { operation, before: set_up(operation) }
    }

    /// The same after something was lost.
    pub(crate) fn begin_again(&mut self) {
        self.before = set_up(self.operation);
    }

    /// An ADD that succeeds, taken away in every way.
    fn close_everyhow(&mut self) -> Tally {
        let mut tally = Tally::default();
        for closing in self.operation.closings() {
            let point = Point::whole(*closing);
            tally.adds = self.leave(&point).changes.len();
            let closed =
                self.taken_away(&point, &format!("undisturbed, then {closing:?}"), &mut tally);
            if *closing == Closing::Del {
                tally.dels = closed.changes.len();
            }
            tally.tried += 1;
        }
        tally
    }

    fn kill_everywhere(&mut self) -> Tally {
        let mut tally = Tally::default();
        for verb in [Verb::Add, Verb::Del] {
            for position in self.operation.positions() {
                progress(format_args!("{}: {verb:?} killed at {position}", self.operation.name));
                let mut has_died = false;
                for side in ["before", "after"] {
                    let fault = format!("die-{side}={position}");
                    for closing in self.closings(side, position) {
                        let point = Point { killed: Some((verb, fault.clone())), closing };
                        let died = self.killed(&point, position, &mut tally);
                        has_died |= died;
                        if !died {
                            break;
                        }
                    }
                }
                if !has_died {
                    break;
                }
                *tally.steps(verb) = position;
            }
        }
        tally
    }

    /// What is after a change is what is before the next. After each it is DEL's turn; before each all
    /// the others', or by turns one of them. After a reboot VFs are other ones, and it takes long until
    /// there are any: only the node's files can be compared then, and everything has to be made again.
    fn closings(&self, side: &str, position: usize) -> Vec<Closing> {
        if side == "after" {
            return vec![Closing::Del];
        }
        let mut others = self.operation.closings().to_vec();
        others.retain(|closing| *closing != Closing::Del);
        if is_full() {
            return others;
        }
        if self.operation.scene.has_vfs() {
            // The VFs have to be made again after records that were cut short as well.
            let is_turn = (position / others.len()).is_multiple_of(4);
            others.retain(|closing| {
                !closing.is_reboot() && (*closing != Closing::CutShort || is_turn)
            });
        }
        vec![others[position % others.len()]]
    }

    /// Killed at a point, then taken away. Whether it was killed: how many changes there are may
    /// differ from one time to the next, as a link may be up already.
    fn killed(&mut self, point: &Point, position: usize, tally: &mut Tally) -> bool {
        let ran = self.leave(point);
        assert!(ran.was_killed() || ran.has_succeeded(), "{}", ran.output_text());
        if ran.was_killed() {
            tally.tried += 1;
        }
        let change = ran.changes.get(position - 1).map_or("nothing", String::as_str);
        let when = format!("{:?} at {change:?}, then {:?}", point.killed, point.closing);
        self.taken_away(point, &when, tally);
        ran.was_killed()
    }

    fn refuse_everywhere(&mut self) -> Tally {
        let mut tally = Tally::default();
        for verb in [Verb::Add, Verb::Del] {
            for position in self.operation.positions() {
                progress(format_args!("{}: {verb:?} refused at {position}", self.operation.name));
                let errors =
                    if is_full() { &ERRORS[..] } else { &[ERRORS[position % ERRORS.len()]] };
                let mut was_met = false;
                for errno in errors {
                    was_met |= self.refused(verb, position, *errno, &mut tally);
                }
                if !was_met {
                    break;
                }
                *tally.steps(verb) = position;
            }
        }
        tally
    }

    /// Refused a change. An ADD that fails for it has undone all the rest by itself; what a DEL could
    /// not do, the next one does. Whether there was such a change.
    fn refused(&mut self, verb: Verb, position: usize, errno: i32, tally: &mut Tally) -> bool {
        if verb == Verb::Del {
            self.add();
        }
        let ran = self.operation.run(verb, &format!("fail={position}:{errno}"));
        assert!(!ran.was_killed(), "{}", ran.output_text());
        let Some(change) = ran.changes.get(position - 1) else {
            self.taken_away(&Point::whole(Closing::Del), "undisturbed", tally);
            return false;
        };
        tally.tried += 1;
        let when = format!("{verb:?} refused ({errno}) at {position}. {change:?}");
        if verb == Verb::Add && !ran.has_succeeded() {
            tally.leaks.extend(self.leaks(&format!("{when}, not yet deleted")));
        }
        self.taken_away(&Point::whole(Closing::Del), &when, tally);
        true
    }

    /// From each change of a file on the disk is full or read-only. An ADD that fails for it has undone
    /// everything but files; a DEL does all once the disk can be written again.
    fn break_disk_everywhere(&mut self) -> Tally {
        let mut tally = Tally::default();
        for verb in [Verb::Add, Verb::Del] {
            progress(format_args!("{}: {verb:?} without a disk", self.operation.name));
            let changes = self.changes(verb, &mut tally);
            let of_files = (1..=changes.len()).filter(|at| is_of_file(&changes[at - 1]));
            for position in of_files {
                *tally.steps(verb) += 1;
                let errors = if is_full() { &OF_DISK[..] } else { &[OF_DISK[tally.tried % 2]] };
                for errno in errors {
                    self.without_disk(verb, position, *errno, &mut tally);
                }
            }
        }
        tally
    }

    fn without_disk(&mut self, verb: Verb, position: usize, errno: i32, tally: &mut Tally) {
        if verb == Verb::Del {
            self.add();
        }
        let ran = self.operation.run(verb, &format!("disk={position}:{errno}"));
        assert!(!ran.was_killed(), "{}", ran.output_text());
        tally.tried += 1;
        let when = format!("{verb:?} with a broken disk ({errno}) from {position} on");
        if verb == Verb::Add && !ran.has_succeeded() {
            let is_file = |line: &str| FILES.iter().any(|files| line[2..].starts_with(files));
            let lines = self.lines().into_iter().filter(|line| !is_file(line));
            let remains =
                difference_text(&lines.collect::<Vec<_>>(), &format!("{when}, not yet deleted"));
            tally.leaks.extend(remains);
        }
        self.taken_away(&Point::whole(Closing::Del), &when, tally);
    }

    /// The changes that it makes when nothing befalls it.
    fn changes(&mut self, verb: Verb, tally: &mut Tally) -> Vec<String> {
        let added = self.add();
        let deleted = self.taken_away(&Point::whole(Closing::Del), "undisturbed", tally);
        match verb {
            Verb::Add => added.changes,
            Verb::Del => deleted.changes,
        }
    }

    /// Does what a point says of what there is to take away.
    pub(crate) fn leave(&self, point: &Point) -> Ran {
        match &point.killed {
            None => self.add(),
            Some((Verb::Add, fault)) => self.operation.run(Verb::Add, fault),
            Some((Verb::Del, fault)) => {
                self.add();
                self.operation.run(Verb::Del, fault)
            }
        }
    }

    /// Takes away what is left; what is not as before is a leak, and so is an error.
    fn taken_away(&mut self, point: &Point, when: &str, tally: &mut Tally) -> Ran {
        let ran = self.operation.close(point.closing, &[], "");
        let mut leaks = self.wrong(point.closing, &ran, when);
        if point.closing.is_podbond_gc() {
            let again = self.operation.close(Closing::Del, &[], "");
            // After a reboot what is left is still what a reboot leaves.
            let left_by = if point.closing.is_reboot() { point.closing } else { Closing::Del };
            leaks.extend(self.wrong(left_by, &again, &format!("{when}, then DEL")));
        }
        for leak in &leaks {
            progress(format_args!("{}: LEAK: {leak}", self.operation.name));
        }
        let has_new_links = match point.closing {
            Closing::CutShort => true,
            closing => closing.is_reboot() && self.operation.scene.has_vfs(),
        };
        if !leaks.is_empty() || has_new_links {
            // So that the next point is not blamed for it.
            self.begin_again();
        }
        tally.leaks.extend(leaks);
        ran
    }

    fn wrong(&self, closing: Closing, ran: &Ran, when: &str) -> Vec<String> {
        let failed =
            (!ran.has_succeeded()).then(|| format!("{when}, which failed: {}", ran.output_text()));
        self.remains(closing, when).into_iter().chain(failed).collect()
    }

    pub(crate) fn add(&self) -> Ran {
        let ran = self.operation.run(Verb::Add, "");
        assert!(ran.has_succeeded(), "{}", ran.output_text());
        ran
    }

    /// What is not as before, in one text.
    pub(crate) fn leaks(&self, when: &str) -> Option<String> {
        self.remains(Closing::Del, when)
    }

    /// The same after one of the ways of taking things away.
    pub(crate) fn remains(&self, closing: Closing, when: &str) -> Option<String> {
        let mut lines = self.lines();
        lines.retain(|line| !self.operation.may_leave(closing, line));
        if closing.is_reboot() && self.operation.scene.has_vfs() {
            lines.retain(|line| line[2..].starts_with(FILE));
        }
        if closing == Closing::CutShort {
            lines.extend(self.lost_links());
        }
        difference_text(&lines, when)
    }

    /// Returns how many links there are on the node and in the pod where that is not as before, whatever
    /// they are like. The kernel gives links of a namespace back some time after its end.
    fn lost_links(&self) -> Option<String> {
        let before = self.before.links();
        let end = Instant::now() + RETURN_TIMEOUT;
        loop {
            let now = Snapshot::take(&[&self.operation.scene.netns]).links();
            if now == before {
                return None;
            }
            if Instant::now() > end {
                return Some(format!("links: {now:?} of {before:?} on the node and in the pod"));
            }
            sleep(Duration::from_millis(200));
        }
    }

    fn lines(&self) -> Vec<String> {
        Snapshot::take(&[&self.operation.scene.netns]).since(&self.before)
    }
}

fn difference_text(lines: &[String], when: &str) -> Option<String> {
    (!lines.is_empty()).then(|| format!("{when}:\n  {}", lines.join("\n  ")))
}

fn is_of_file(change: &str) -> bool {
    ["write", "rename", "remove"].contains(&kind(change))
}

/// Sets the scene, once used: directories and locks stay for good.
fn set_up(operation: &Operation) -> Snapshot {
    operation.scene.clear();
    operation.scene.build();
    for verb in [Verb::Add, Verb::Del] {
        let ran = operation.run(verb, "");
        assert!(ran.has_succeeded(), "{} {verb:?}: {}", operation.name, ran.output_text());
    }
    operation.scene.repair();
    Snapshot::take(&[&operation.scene.netns])
}
