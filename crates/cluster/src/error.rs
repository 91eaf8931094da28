//! Why the API could not be asked or told.

use podbond_names::ObjectKey;

/// Why the API could not be asked or told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is neither a service account nor a kubeconfig.
    #[error("no way to the API server: run in a pod with a service account, or set KUBECONFIG")]
    Config {
        /// What is wrong with either.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A request failed.
    #[error("{action}: {}", reason(source))]
    Request {
        /// What was asked, with its object.
        action: String,
        /// The client's error.
        source: kube::Error,
    },
    /// An object of the API has a name that Kubernetes does not allow.
    #[error("an object of the API has no valid name")]
    Name {
        /// What is wrong with it.
        source: podbond_names::NameError,
    },
    /// An object of the API lacks what each has.
    #[error("{object} has no {field} in the API")]
    Incomplete {
        /// The object.
        object: ObjectKey,
        /// What is missing.
        field: &'static str,
    },
    /// The API did not answer in time.
    #[error("{action}: the API server has not answered within {ms} ms")]
    Late {
        /// What was asked, with its object.
        action: String,
        /// For how long it was waited, in ms.
        ms: u128,
    },
}

impl Error {
    /// Returns true where the API says that there is no such object.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Request { source: kube::Error::Api(status), .. } if status.code == 404)
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
