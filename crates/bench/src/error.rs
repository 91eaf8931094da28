//! Why nothing was measured, or compared.

use std::io;
use std::path::{Path, PathBuf};

/// Why nothing was measured, or compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A process failed, so that its time says nothing.
    #[error("{what} failed: {why}")]
    Failed {
        /// The process, or what was waited for.
        what: String,
        /// How it ended, and what it printed.
        why: String,
    },
    /// A program could not be started.
    #[error("cannot start {}: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// The verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A temporary file or directory could not be used.
    #[error("cannot use a temporary file: {0}")]
    Temporary(#[from] io::Error),
    /// The results could not be written.
    #[error("cannot write the results: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// Returns what turns an `io::Error` into [`Error::File`].
    pub fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}
