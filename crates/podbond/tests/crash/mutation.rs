//! What shows that these tests can fail: the undoing of each kind of change is left out, and that
//! must be noticed.

use crate::exhaust::{Point, Run};
use crate::operation::{Closing, Verb};
use crate::report::{progress, undo_row};

/// Changes whose leaving out nobody can notice, since another change does the same. Of which
/// operation (any, where it is empty), by whom, which, and why.
const EXCUSED: [(&str, By, &str, &str); 1] = [(
    "",
    By::FailedAdd,
    "remove-address",
    "addresses go with the link, or when it leaves the pod",
)];

/// Who undoes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// DEL, or GC, after the ADD or after a kill.
    Del,
    /// An ADD that failed.
    FailedAdd,
}

impl By {
    fn text(self) -> &'static str {
        match self {
            Self::Del => "DEL",
            Self::FailedAdd => "failed ADD",
        }
    }
}

/// Leaves out each kind of change that an operation takes on its way back, and panics if nobody
/// notices. It takes what [`crate::exhaust::exhaust`] has seen.
pub(crate) fn mutate(run: &mut Run<'_>) {
    let mut unnoticed = Vec::new();
    let closing = run.seen.closing.clone();
    for (kind, points) in &closing {
        judge(run.operation.name, By::Del, kind, &mut unnoticed, || {
            points.iter().find_map(|point| left_out_of_closing(run, kind, point))
        });
    }
    let undo = run.seen.undo.clone();
    for (kind, positions) in &undo {
        judge(run.operation.name, By::FailedAdd, kind, &mut unnoticed, || {
            positions.iter().rev().find_map(|position| left_out_of_undo(run, kind, *position))
        });
    }
    assert!(unnoticed.is_empty(), "nobody notices that these are left out: {unnoticed:?}");
}

fn judge(
    operation: &str,
    by: By,
    kind: &str,
    unnoticed: &mut Vec<String>,
    notice: impl FnOnce() -> Option<&'static str>,
) {
    progress(format_args!("{operation}: without {kind} in {}", by.text()));
    let excuse = EXCUSED.iter().find(|(of, who, what, _)| {
        (of.is_empty() || *of == operation) && *who == by && *what == kind
    });
    if let Some((.., reason)) = excuse {
        return undo_row(operation, by.text(), kind, &format!("nothing: {reason}"));
    }
    let noticed = notice();
    undo_row(operation, by.text(), kind, noticed.unwrap_or("NOTHING"));
    if noticed.is_none() {
        unnoticed.push(format!("{kind} by {}", by.text()));
    }
}

/// By what it is noticed that DEL or GC leaves changes out.
fn left_out_of_closing(run: &mut Run<'_>, kind: &str, point: &Point) -> Option<&'static str> {
    run.leave(point);
    let ran = run.operation.close(point.closing, &[], &format!("ignore={kind}"));
    let noticed = if ran.has_succeeded() {
        run.leaks(kind).map(|_| "what it leaves")
    } else {
        Some("an error")
    };
    heal(run);
    noticed
}

/// By what it is noticed that an ADD that fails leaves changes of its undoing out.
fn left_out_of_undo(run: &mut Run<'_>, kind: &str, position: usize) -> Option<&'static str> {
    const EBUSY: i32 = 16;
    let ran = run.operation.run(Verb::Add, &format!("fail={position}:{EBUSY} ignore={kind}"));
    // It may get over this error, and then undoes nothing.
    let noticed = run.leaks(kind).filter(|_| !ran.has_succeeded()).map(|_| "what it leaves");
    heal(run);
    noticed
}

/// Puts the node in order again.
fn heal(run: &mut Run<'_>) {
    let ran = run.operation.close(Closing::Del, &[], "");
    if !ran.has_succeeded() || run.leaks("").is_some() {
        run.begin_again();
    }
}
