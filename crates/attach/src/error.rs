use podbond_cni::Failure;

/// stub
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A plugin failed.
    #[error("{0}")]
    Plugin(Failure),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Plugin(failure) => failure,
        }
    }
}
