//! Why an exchange failed.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::message::{Refusal, VERSION};

/// Why an exchange with the agent failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens.
    #[error(
        "podbond-agent does not answer at {} within {} s: is its pod on this node running? \
         kubectl -n podbond-system get pods -o wide",
        socket.display(),
        waited.as_secs()
    )]
    NoAgent {
        /// Where.
        socket: PathBuf,
        /// For how long it was tried.
        waited: Duration,
        /// The last attempt's error.
        source: io::Error,
    },
    /// The connection broke, or the answer did not come in time.
    #[error("podbond-agent has not answered: {source}")]
    Broken {
        /// The error of the socket.
        source: io::Error,
    },
    /// A frame is longer than may be.
    #[error("a message of {bytes} bytes is too long: at most {limit} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The most that is read.
        limit: usize,
    },
    /// A frame is not what it should be.
    #[error("a message of podbond-agent's socket cannot be read: {source}")]
    Malformed {
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The other side writes a version that is not understood.
    #[error(
        "the message has version {theirs}, and this podbond understands {VERSION}: renew podbond \
         on this node"
    )]
    Newer {
        /// The version of the message.
        theirs: u32,
    },
    /// The agent refused the request.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The answer is to another question.
    #[error("podbond-agent's answer is to another question: it is defective")]
    Unexpected,
}
