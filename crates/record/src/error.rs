//! Why a record cannot be read, written or removed.

use std::path::PathBuf;

use rustix::io::Errno;

/// Why a record cannot be read, written or removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Its file cannot be read, written or removed.
    #[error(transparent)]
    State(#[from] podbond_state::Error),
    /// A record cannot be written as JSON, as with a path that is not UTF-8.
    #[error("record {} cannot be written: {problem}", path.display())]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
}

impl Error {
    /// Returns whether a record could not be created because there is one.
    pub fn is_taken(&self) -> bool {
        match self {
            Self::State(error) => error.errno() == Some(Errno::EXIST),
            Self::Unwritten { .. } => false,
        }
    }

    /// Returns whether another process holds the lock of the attachment.
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::State(error) if error.is_locked())
    }
}
