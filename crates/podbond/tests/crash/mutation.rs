//! What shows that these tests can fail: the undoing of each kind of change is left out, and that
//! must be noticed.

use std::collections::BTreeSet;

use crate::exhaust::{Point, Run};
use crate::operation::{Closing, Operation, Ran, Verb, kind};
use crate::report::{is_full, progress, undo_row};

const EBUSY: i32 = 16;

/// At how many changes an ADD is made to fail, from the last on: there it has the most to undo.
const FAILING: usize = 2;

/// Changes whose leaving out nobody can notice, since another change does the same: of which plugin (any where
/// none is named), by whom, which, and why.
const IMPLIED: [(Option<&str>, By, &str, &str); 13] = [
    (
        None,
        By::FailedAdd,
        "remove-address",
        "addresses go with the link, or when it leaves the pod",
    ),
    (None, By::FailedAdd, "remove-route", "routes go with their link, or when it leaves the pod"),
    (None, By::FailedAdd, "set-sysctls", "the kernel makes them anew when the link leaves the pod"),
    (None, By::FailedAdd, "set-port", AS_PORT),
    (None, By::FailedAdd, "set-port-role", AS_PORT),
    (None, By::Del, "remove-vlan", WITH_BOND),
    (None, By::FailedAdd, "remove-vlan", WITH_BOND),
    (None, By::Del, "write", STATE),
    (None, By::Del, "rename", STATE),
    (
        Some("sriov"),
        By::FailedAdd,
        "set-mac",
        "the VF's driver makes its link anew, with the address",
    ),
    (Some("sriov"), By::Del, "bind-driver", MOVED),
    (Some("bond"), By::Del, "bind-driver", MOVED),
    (Some("sriov"), By::FailedAdd, "bind-driver", MOVED),
];

const STATE: &str = "it tells people that a DEL has begun";

const AS_PORT: &str = "it ends when the link is no port any more";
const WITH_BOND: &str = "it goes with its bond";

/// What a pod did to it stays on it then: `vf_comes_back_without_what_the_pod_did_to_it` notices that.
const MOVED: &str = "the link is moved back instead, and nobody has changed it";

/// Who undoes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    /// DEL, with the namespace or without it.
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

/// The kinds that were tried, of which plugin: once is enough.
type Tried = BTreeSet<(&'static str, By, String)>;

/// Leaves out each kind of change that a plugin makes on its way back, and panics if nobody notices.
pub(crate) fn every_undo_is_missed(operations: &[Operation]) {
    let mut unnoticed = Vec::new();
    let mut tried = Tried::new();
    for operation in operations {
        let mut run = Run::begin(operation);
        mutate(&mut run, &mut tried, &mut unnoticed);
        operation.scene.clear();
    }
    assert!(unnoticed.is_empty(), "nobody notices that these are left out: {unnoticed:?}");
}

fn mutate(run: &mut Run<'_>, tried: &mut Tried, unnoticed: &mut Vec<String>) {
    let operation = run.operation;
    let mut points = vec![Point::whole(Closing::Del), Point::whole(Closing::NetnsGone)];
    let mut last = 0;
    let mut kinds = BTreeSet::new();
    for point in &points {
        last = run.leave(point).changes.len();
        kinds.extend(kinds_of(&operation.close(point.closing, &[], "").changes));
    }
    // What is made only where less was done before is missed there.
    points.extend((1..=last).rev().map(|position| Point {
        killed: Some((Verb::Add, format!("die-after={position}"))),
        closing: Closing::Del,
    }));
    for kind in kinds {
        judge(operation, By::Del, &kind, tried, unnoticed, || {
            points.iter().find_map(|point| left_out_of_closing(run, &kind, point))
        });
    }

    let mut failing: Vec<(usize, BTreeSet<String>)> = Vec::new();
    for position in (1..=last).rev() {
        // It gets over some failures, as those of what is no more than a hint for later.
        let ran = operation.run(Verb::Add, &format!("fail={position}:{EBUSY}"));
        if ran.has_succeeded() {
            operation.close(Closing::Del, &[], "");
        } else {
            failing.push((position, kinds_of(&ran.changes[position..])));
        }
        if failing.len() == FAILING && !is_full() {
            break;
        }
    }
    let kinds: BTreeSet<String> = failing.iter().flat_map(|(_, kinds)| kinds.clone()).collect();
    for kind in kinds {
        let positions = failing.iter().filter(|(_, kinds)| kinds.contains(&kind));
        judge(operation, By::FailedAdd, &kind, tried, unnoticed, || {
            positions
                .map(|(position, _)| *position)
                .find_map(|position| left_out_of_undo(run, &kind, position))
        });
    }
}

fn kinds_of(changes: &[String]) -> BTreeSet<String> {
    changes.iter().map(|change| kind(change).to_owned()).collect()
}

fn judge(
    operation: &Operation,
    by: By,
    kind: &str,
    tried: &mut Tried,
    unnoticed: &mut Vec<String>,
    notice: impl FnOnce() -> Option<&'static str>,
) {
    if !tried.insert((operation.by(), by, kind.to_owned())) {
        return;
    }
    progress(format_args!("{}: without {kind} in {}", operation.name, by.text()));
    let implied = IMPLIED.iter().find(|(plugin, who, what, _)| {
        plugin.is_none_or(|plugin| plugin == operation.by()) && *who == by && *what == kind
    });
    if let Some((.., reason)) = implied {
        return undo_row(operation.name, by.text(), kind, &format!("nobody: {reason}"));
    }
    let noticed = notice();
    undo_row(operation.name, by.text(), kind, noticed.unwrap_or("NOBODY"));
    if noticed.is_none() {
        unnoticed.push(format!("{kind} by {} of {}", by.text(), operation.name));
    }
}

/// By what it is noticed that DEL leaves changes out; none where it has none to make.
fn left_out_of_closing(run: &mut Run<'_>, kind: &str, point: &Point) -> Option<&'static str> {
    run.leave(point);
    let ran = run.operation.close(point.closing, &[], &format!("ignore={kind}"));
    noticed(run, kind, &ran)
}

/// By what it is noticed that an ADD that fails leaves changes of its undoing out.
fn left_out_of_undo(run: &mut Run<'_>, kind: &str, position: usize) -> Option<&'static str> {
    run.operation.run(Verb::Add, &format!("fail={position}:{EBUSY} ignore={kind}"));
    let leaks = run.leaks(kind);
    heal(run);
    leaks.map(|_| "what it leaves")
}

fn noticed(run: &mut Run<'_>, kind: &str, ran: &Ran) -> Option<&'static str> {
    let leaks = run.leaks(kind).map(|_| "what it leaves");
    let noticed = leaks.or((!ran.has_succeeded()).then_some("an error"));
    if noticed.is_some() {
        heal(run);
    }
    noticed
}

/// Puts the node in order again.
fn heal(run: &mut Run<'_>) {
    let ran = run.operation.close(Closing::Del, &[], "");
    if !ran.has_succeeded() || run.leaks("").is_some() {
        run.begin_again();
    }
}
