use std::io;
use std::time::Duration;

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Something that was promised was not seen.
    #[error("not true: {what}. Seen was:\n{seen}")]
    NotSeen { what: String, seen: String },
    /// A command that could not be started, or a file not read.
    #[error("{what}: {source}")]
    Start { what: String, source: io::Error },
    /// A command that ended with an error.
    #[error("`{command}` ended with {status}:\n{output}")]
    Command { command: String, status: String, output: String },
    /// Output that is not of the form that is known of the command.
    #[error("the output of `{command}` could not be read:\n{output}")]
    Unread { command: String, output: String },
    /// The manifests hold no pod.
    #[error("the examples hold no bondpod1.yaml")]
    NoPod,
    /// Something that was waited for did not come.
    #[error("{what} was not seen within {} s", limit.as_secs())]
    TimedOut { what: String, limit: Duration },
}

impl Error {
    pub(crate) fn start(what: &str, source: io::Error) -> Self {
        Self::Start { what: what.to_owned(), source }
    }

    pub(crate) fn unread(command: &str, output: &str) -> Self {
        Self::Unread { command: command.to_owned(), output: output.to_owned() }
    }
}
