use std::io;
use std::path::{Path, PathBuf};

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// What is to be measured was refused: its time would say nothing.
    #[error("{what} was refused: {why}")]
    Refused { what: String, why: String },
    /// A program that could not be started.
    #[error("cannot start {}: {source}", program.display())]
    Start { program: PathBuf, source: io::Error },
    /// A file that could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    /// A file of the measurement's own could not be used.
    #[error("cannot keep what is measured with: {0}")]
    Own(#[from] io::Error),
    /// The rows could not be written down.
    #[error("cannot write the rows: {0}")]
    Rows(#[from] serde_json::Error),
}

impl Error {
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}
