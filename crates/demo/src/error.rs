//! Why the demo ended early.

use std::io;
use std::time::Duration;

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A claim does not hold.
    #[error("not true: {claim}. Seen was:\n{seen}")]
    NotTrue { claim: String, seen: String },
    /// A command could not be started, or a file not be read or written.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// A command ended with an error.
    #[error("`{command}` ended with {status}:\n{output}")]
    Command { command: String, status: String, output: String },
    /// The output of a command is not of the form that is expected.
    #[error("cannot parse the output of `{command}`:\n{output}")]
    Parse { command: String, output: String },
    /// Something that was waited for did not come.
    #[error("{what} was not seen within {} s", limit.as_secs())]
    TimedOut { what: String, limit: Duration },
}

impl Error {
    /// Returns what turns an `io::Error` into [`Error::Io`].
    pub(crate) fn io(what: &str) -> impl FnOnce(io::Error) -> Self {
        let what = what.to_owned();
        move |source| Self::Io { what, source }
    }
}
