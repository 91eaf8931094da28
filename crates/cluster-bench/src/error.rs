//! Why something could not be measured.

use std::{io, path::PathBuf};

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The cluster, or kubectl.
    #[error(transparent)]
    Cluster(#[from] podbond_lab_cluster::Error),
    /// The bare client.
    #[error(transparent)]
    Client(#[from] podbond_cluster::Error),
    /// A file.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    File {
        /// The verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A program did not start.
    #[error("cannot start {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A program failed.
    #[error("{doing} failed: {said}")]
    Program {
        /// What it was to do.
        doing: String,
        /// What it said.
        said: String,
    },
    /// What a program printed is not what is read.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Something did not come in time.
    #[error("{what} did not come within {seconds} s{said}")]
    Late {
        /// What was waited for.
        what: String,
        /// For how long.
        seconds: u64,
        /// What may tell why.
        said: String,
    },
    /// Something is not as the measurement needs it.
    #[error("{0}")]
    Unfit(String),
}

impl Error {
    /// Returns what turns the system's answer into an error that names the file.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// Returns what turns the system's answer into an error that names the program.
    pub(crate) fn start(program: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let program = program.into();
        move |source| Self::Start { program, source }
    }
}
