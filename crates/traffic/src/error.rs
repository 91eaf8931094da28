use std::io;

/// Why nothing could be measured. Loss is no error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or socket of the lab.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was done.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A command that ended with an error.
    #[error("`{command}` ended with {status}: {output}")]
    Command {
        /// As it would be typed.
        command: String,
        /// How it ended.
        status: String,
        /// All that it said.
        output: String,
    },
    /// Output that is not of the form that is known of the command.
    #[error("the output of `{command}` could not be read: {output}")]
    Unread {
        /// As it would be typed.
        command: String,
        /// What it said.
        output: String,
    },
    /// The lab is too small.
    #[error("{wanted} ports need {pfs} PFs with {each} VFs each, and {pf} has {most} at most")]
    TooFewVfs {
        /// How many ports.
        wanted: usize,
        /// How many PFs there are.
        pfs: usize,
        /// How many VFs of each are needed.
        each: usize,
        /// The first PF that has fewer.
        pf: String,
        /// Its `sriov_totalvfs`.
        most: usize,
    },
    /// A VF's link did not appear.
    #[error("VF {pci} got no link within {seconds} s")]
    NoLink {
        /// The VF.
        pci: String,
        /// How long it was waited for.
        seconds: u64,
    },
}

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
