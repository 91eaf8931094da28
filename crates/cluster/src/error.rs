//! Why the API could not be asked or told.

use podbond_names::OneLine;

/// Why the API could not be asked or told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is neither a service account nor a kubeconfig.
    #[error("no way to the API server: run in a pod with a service account, or set KUBECONFIG")]
    Config {
        /// What is wrong with the service account.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A request failed.
    #[error("{action}: {}", OneLine(reason(source)))]
    Request {
        /// What was asked, with its object: `read pod demo/p`.
        action: String,
        /// The client's error.
        source: Box<kube::Error>,
    },
    /// The API did not answer in time.
    #[error("{action}: the API server has not answered within {ms} ms")]
    Late {
        /// What was asked, with its object.
        action: String,
        /// For how long it was waited, in ms.
        ms: u128,
    },
    /// An object of the API is none that the API takes.
    #[error("{object} of the API cannot be read: {}", OneLine(reason))]
    Object {
        /// Its kind and name.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// Returns whether the object is not there, or another one of its name is: nothing is left to write to.
    pub fn is_gone(&self) -> bool {
        let Self::Request { source, .. } = self else { return false };
        // 422 (409 in older API servers): the UID that was named is of an earlier pod.
        matches!(&**source, kube::Error::Api(status) if matches!(status.code, 404 | 409 | 422))
    }
}

/// Returns the API's own sentence, or the client's error with what is below it.
fn reason(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return status.message.clone();
    }
    let mut text = error.to_string();
    let mut below = std::error::Error::source(error);
    while let Some(error) = below {
        text = format!("{text}: {error}");
        below = error.source();
    }
    text
}
