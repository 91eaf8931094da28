use std::path::PathBuf;

use rustix::io::Errno;

/// Why a record cannot be read, written or removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Its file.
    #[error(transparent)]
    State(#[from] podbond_state::Error),
    /// What is to be recorded cannot be written as JSON, as a path that is not UTF-8.
    #[error("record {} cannot be written: {problem}", path.display())]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
}

impl Error {
    /// Returns whether a record could not be created because one is there.
    pub fn is_taken(&self) -> bool {
        match self {
            Self::State(error) => error.errno() == Some(Errno::EXIST),
            Self::Unwritten { .. } => false,
        }
    }
}
