//! All points at which an operation can be killed or refused, one after the other.

use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use crate::operation::{Operation, Verb, told};
use crate::snapshot::Snapshot;

/// `EPERM`, `EINTR`, `ENOMEM`, `EBUSY`, `ENODEV`, `ENOSPC`, `EROFS`: what may be met in earnest.
const ERRORS: [i32; 7] = [1, 4, 12, 16, 19, 28, 30];

const SIGKILL: i32 = 9;

/// Kills and refuses an operation at every change it makes. Prints a row of the table and panics if
/// anything was lost.
pub(crate) fn exhaust(operation: &Operation) {
    // Once for what stays for good: directories and locks.
    operation.changes(Verb::Add);
    operation.changes(Verb::Del);
    let run = Run { operation, before: Snapshot::take(operation.netns) };
    let adds = operation.changes(Verb::Add);
    let dels = operation.changes(Verb::Del);
    let mut leaks = run.leaks("undisturbed");

    let mut tried = 0;
    for (verb, changes) in [(Verb::Add, &adds), (Verb::Del, &dels)] {
        for (position, change) in changes.iter().enumerate().step_by(operation.stride()) {
            for moment in ["before", "after"] {
                tried += 1;
                let when = format!("{verb:?} killed {moment} {}. {change}", position + 1);
                leaks.extend(run.killed(verb, &format!("die-{moment}={}", position + 1), &when));
            }
        }
    }
    row(operation.name, "killed", adds.len(), dels.len(), tried, leaks.len());

    let mut refused = Vec::new();
    let mut tried = 0;
    for (verb, changes) in [(Verb::Add, &adds), (Verb::Del, &dels)] {
        for (position, change) in changes.iter().enumerate().step_by(operation.stride()) {
            tried += 1;
            let errno = ERRORS[position % ERRORS.len()];
            let when = format!("{verb:?} refused ({errno}) at {}. {change}", position + 1);
            let fault = format!("fail={}:{errno}", position + 1);
            refused.extend(run.refused(verb, &fault, &when));
        }
    }
    row(operation.name, "refused", adds.len(), dels.len(), tried, refused.len());
    leaks.extend(refused);
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

/// One row, as `cargo xtask crash` gathers them.
fn row(operation: &str, what: &str, adds: usize, dels: usize, tried: usize, leaks: usize) {
    println!("crash: {operation} | {what} | {adds} | {dels} | {tried} | {leaks}");
}

struct Run<'o> {
    operation: &'o Operation,
    before: Snapshot,
}

impl Run<'_> {
    /// Killed at a point, then deleted. Gives what is not as before.
    fn killed(&self, verb: Verb, fault: &str, when: &str) -> Vec<String> {
        if verb == Verb::Del {
            self.add();
        }
        let output = self.operation.run(verb, fault);
        // How many changes there are may differ from one time to the next: a VF's link may be up.
        let ended = output.status.success();
        assert!(ended || output.status.signal() == Some(SIGKILL), "{when}: {}", told(&output));
        self.delete(when)
    }

    /// Refused a change. An ADD that fails for it has undone all the rest by itself; what a DEL could
    /// not do, the next one does.
    fn refused(&self, verb: Verb, fault: &str, when: &str) -> Vec<String> {
        if verb == Verb::Del {
            self.add();
        }
        let output = self.operation.run(verb, fault);
        assert_eq!(output.status.signal(), None, "{when}: {}", told(&output));
        let mut leaks = Vec::new();
        if verb == Verb::Add && !output.status.success() && self.operation.is_atomic() {
            leaks = self.leaks(&format!("{when}, not yet deleted"));
        }
        leaks.extend(self.delete(when));
        leaks
    }

    fn add(&self) {
        let output = self.operation.run(Verb::Add, "");
        assert!(output.status.success(), "{}", told(&output));
    }

    fn delete(&self, when: &str) -> Vec<String> {
        let deleted = self.operation.run(Verb::Del, "");
        let mut leaks = self.leaks(when);
        if !deleted.status.success() {
            leaks.push(failed(when, &deleted));
        }
        leaks
    }

    /// What is not as before, in one line; none if all is.
    fn leaks(&self, when: &str) -> Vec<String> {
        let lines = Snapshot::take(self.operation.netns).since(&self.before);
        if lines.is_empty() {
            Vec::new()
        } else {
            vec![format!("{when}:\n  {}", lines.join("\n  "))]
        }
    }
}

fn failed(when: &str, output: &Output) -> String {
    format!("{when}: DEL afterwards failed: {}", told(output))
}
