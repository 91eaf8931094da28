use std::path::PathBuf;

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
