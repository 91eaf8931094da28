//! Why a record cannot be read or written, or an attachment not added or deleted by it.

use std::path::PathBuf;

use podbond_cni::{Code, Failure};
use rustix::io::Errno;

/// Why a record cannot be read or written, or an attachment not added or deleted by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Its file cannot be read, written, removed or locked.
    #[error(transparent)]
    State(#[from] podbond_state::Error),
    /// A record cannot be written as JSON, as with a path that is not UTF-8.
    #[error("the attachment cannot be recorded: {0}")]
    Unwritten(String),
    /// No record can be written at this moment, as on a full disk.
    #[error(
        "what ADD does cannot be recorded: {0}: make room, or mount the filesystem for writing"
    )]
    Unwritable(podbond_state::Error),
    /// There is a record of the attachment already.
    #[error("{attachment} has been added already: delete it first; its record is {}", path.display())]
    AlreadyAdded {
        /// The attachment, for people.
        attachment: String,
        /// The file.
        path: PathBuf,
    },
    /// The IPAM plugin has not taken back the lease of an attachment that is deleted.
    #[error(
        "the lease of {attachment} is pending, since its IPAM plugin has not taken it back: {problem}: \
         remedy that, then try again, or run `podbond gc`"
    )]
    LeasePending {
        /// The attachment, for people.
        attachment: String,
        /// What the IPAM plugin said.
        problem: String,
    },
}

impl Error {
    /// Returns whether a record could not be created because there is one.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::State(error) if error.errno() == Some(Errno::EXIST))
    }

    /// Returns whether another process holds the lock of the attachment.
    pub(crate) fn is_locked(&self) -> bool {
        matches!(self, Self::State(error) if error.is_locked())
    }

    /// Returns the code with which CNI reports it.
    pub fn code(&self) -> Code {
        match self {
            Self::AlreadyAdded { .. } => Code::CONFLICT,
            Self::LeasePending { .. } => Code::TRY_AGAIN,
            error if error.is_locked() => Code::TRY_AGAIN,
            Self::State(_) | Self::Unwritten(_) | Self::Unwritable(_) => Code::IO,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.code(), error)
    }
}
