//! Fault injection: before and after each change of the node a test may kill the process, make the
//! change fail, or skip it.
//!
//! Every change that outlives the process (a step of the kernel crate, a file of the state crate) goes
//! through [`around`], and an exchange of a daemon through [`point`]. Without the feature `inject`, which only executables
//! for the lab are built with, that is a plain call.
//!
//! With it, the environment variable `PODBOND_FAULT` has words separated by white space:
//!
//! - `list=FILE`: each change is appended to the file, a line `pid kind: what` before it;
//! - `child-of=PID`: the rest applies only to a process with this parent. Without it a plugin that is
//!   called by exec does the same as its caller, and counts from 1 again;
//! - `die-before=K`, `die-after=K`: the process is killed (SIGKILL) around its K-th change, from 1;
//! - `fail=K:ERRNO`: the K-th change is not made and fails with this error number;
//! - `disk=K:ERRNO`: from the K-th change on no file can be changed, or, with `ENOSPC`, written;
//! - `of=KIND`: only changes and points of this kind count;
//! - `once=FILE`: the process is killed only if the file is not there, which is made before it: a process that
//!   is started anew with the same environment lives;
//! - `ignore=KIND`: changes of this kind are skipped and succeed; together with `fail`, only those after
//!   it. For tests of tests: a missing undo must be noticed.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

#[cfg(feature = "inject")]
mod inject;

use std::fmt::Display;
use std::io;

/// A change of the node.
#[derive(Clone, Copy)]
pub struct Change<'c> {
    /// The kind of a step, or `write`, `rename` or `remove` of a file.
    pub kind: &'static str,
    /// What it changes, for people.
    pub what: &'c dyn Display,
}

/// Makes a change, or does what the fault asks for instead. `refused` returns the caller's error for a change
/// that fails.
pub fn around<E>(
    change: Change<'_>,
    refused: impl FnOnce(io::Error) -> E,
    make: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    #[cfg(feature = "inject")]
    {
        inject::around(change, refused, make)
    }
    #[cfg(not(feature = "inject"))]
    {
        let _ = (change, refused);
        make()
    }
}

/// A point between two changes at which a test may kill the process.
pub fn point(kind: &'static str, what: &dyn Display) {
    let _ = around(Change { kind, what }, |_| (), || Ok(()));
}
