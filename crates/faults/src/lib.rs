//! The points before and after each change of the node, at which a test may end the process, make
//! the change fail, or leave it out.
//!
//! Whatever changes something that outlives the process (a step of the kernel crate, a file of the
//! state crate) does so through [`around`]. Without the feature `inject`, which only executables
//! for the lab are built with, that is a plain call.
//!
//! With it, the environment variable `PODBOND_FAULT` says what befalls the process, as words
//! separated by white space:
//!
//! - `list=FILE`: each change is appended to the file, a line `pid kind: what` before it is made;
//! - `child-of=PID`: only a process whose parent this is does as told. Without it a plugin that is
//!   called by exec does the same as its caller, and counts from 1 again;
//! - `die-before=K`, `die-after=K`: the process is killed (SIGKILL) around its K-th change, from 1;
//! - `fail=K:ERRNO`: the K-th change is not made and fails with this error number;
//! - `disk=K:ERRNO`: from the K-th change on no file can be changed, or, with `ENOSPC`, written;
//! - `ignore=KIND`: changes of this kind are not made and yet succeed; beside `fail`, those alone
//!   that come after it. It shows that a test would notice an undo that is missing.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

#[cfg(feature = "inject")]
mod inject;

use std::fmt::Display;
use std::io;

/// One change of the node, about to be made.
#[derive(Clone, Copy)]
pub struct Change<'c> {
    /// The kind of it: a step's, or `write`, `remove`, … of a file.
    pub kind: &'static str,
    /// What it does, for people.
    pub what: &'c dyn Display,
}

/// Makes a change. `refused` gives the caller's error for one that a test wants to fail.
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
