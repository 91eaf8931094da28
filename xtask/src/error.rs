//! Why a task failed.

use std::{io, path::PathBuf, process::ExitStatus};

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The lab could not do it.
    #[error(transparent)]
    Lab(#[from] podbond_lab::Error),
    /// The cluster could not do it.
    #[error(transparent)]
    Cluster(#[from] podbond_lab_cluster::Error),
    /// A file could not be used.
    #[error("cannot {what} {path}: {source}", path = path.display())]
    File {
        /// The verb.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A program could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A program failed; it has said why itself.
    #[error("{what} failed ({status})")]
    Program {
        /// What it was started for.
        what: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// cargo's JSON was not as expected.
    #[error("cannot read what cargo says: {0}")]
    Cargo(#[from] serde_json::Error),
    /// Lab tests failed or gave no result; each was printed.
    #[error("lab tests: {failed} failed, {missing} gave no result")]
    LabTests {
        /// How many tests failed, or were ignored.
        failed: usize,
        /// How many of those that were to run did not report.
        missing: usize,
    },
    /// A page has no place for what a task writes.
    #[error("{page} has no marks `{name}: begin` and `{name}: end`")]
    Marks {
        /// The page.
        page: &'static str,
        /// What should be between them.
        name: String,
    },
    /// Nothing was measured in the lab; the program there has said why.
    #[error("measuring in the lab failed (exit status {status})")]
    Measuring {
        /// How it ended.
        status: u8,
    },
    /// A line of the kept counts cannot be read.
    #[error(
        "line {line} of {} is no name and count above 0; \
         write the file anew with `cargo xtask bench --only instructions --write`",
        crate::workspace::INSTRUCTION_COUNTS
    )]
    KeptCount {
        /// Its number, from 1.
        line: usize,
    },
    /// A function was run and nothing was counted.
    #[error(
        "valgrind counted no instruction of {name}: is its name in the executable's symbols, and \
         does the profile bench keep them?"
    )]
    NoCount {
        /// The function and what it was given.
        name: String,
    },
    /// Counts are not those that the repository keeps; each was printed.
    #[error(
        "{differ} instruction counts differ from those that {} keeps (of {kept:?}; these are of \
         {counted:?}); if that is as it should be, accept them with \
         `cargo xtask bench --only instructions --write` and commit the file",
        crate::workspace::INSTRUCTION_COUNTS
    )]
    Counts {
        /// How many.
        differ: usize,
        /// What those that are kept were counted with.
        kept: String,
        /// What these were counted with.
        counted: String,
    },
    /// What is wrong and what to do about it.
    #[error("{0}")]
    Other(String),
    /// Rules are broken; each was printed.
    #[error("{0} things to tidy")]
    Untidy(usize),
    /// cargo built no such executable.
    #[error("cargo built no executable for {0}")]
    NotBuilt(String),
}

/// Turns an `io::Error` into [`Error::File`].
pub(crate) trait FileContext<T> {
    fn file(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T, Error>;
}

impl<T> FileContext<T> for io::Result<T> {
    fn file(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T, Error> {
        self.map_err(|source| Error::File { what, path: path.into(), source })
    }
}
