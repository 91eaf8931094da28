//! What grows, and with what: each operation among more and more of what it does not touch.

mod chains;
mod leases;
mod links;
mod vfs;

use podbond_bench::{Growth, Line, Point, Spread};

use crate::case::{Method, Subject};
use crate::error::Error;

/// The calls of an ADD that takes longer are not counted.
const COUNTED_BELOW_MS: f64 = 1500.0;

/// Everything that is measured. The links of the node come last: they stay.
pub(crate) fn all(method: Method<'_>) -> Result<Vec<Growth>, Error> {
    let mut all = leases::growth(method)?;
    all.extend(chains::growth(method)?);
    all.extend(vfs::growth(method)?);
    all.extend(links::growth(method)?);
    Ok(all)
}

/// ADDs of subjects, one of each after the other, again and again; each is undone. Gives what a line
/// of each subject has at this size.
fn points(subjects: &[Subject], size: u32, method: Method<'_>) -> Result<Vec<Point>, Error> {
    let mut times: Vec<Vec<_>> = subjects.iter().map(|_| Vec::new()).collect();
    for round in 0..=method.runs {
        for (subject, times) in subjects.iter().zip(&mut times) {
            let wall = subject.add_and_delete()?;
            if round > 0 {
                times.push(wall);
            }
        }
    }
    let point = |(subject, times): (&Subject, Vec<_>)| {
        let wall_ms = Spread::of(times);
        // What is that slow makes more calls than strace can count in minutes.
        let strace = method.strace.filter(|_| wall_ms.median < COUNTED_BELOW_MS);
        let calls = strace.map(|strace| subject.count_add(strace)).transpose()?;
        Ok(Point { size, wall_ms, syscalls: calls.map(|calls| calls.all) })
    };
    subjects.iter().zip(times).map(point).collect()
}

/// Adds the points of a size to the lines of the subjects.
fn extend(lines: &mut Vec<Line>, subjects: &[Subject], points: Vec<Point>) {
    for (subject, point) in subjects.iter().zip(points) {
        match lines.iter_mut().find(|line| line.subject == subject.name) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { subject: subject.name.clone(), points: vec![point] }),
        }
    }
}
