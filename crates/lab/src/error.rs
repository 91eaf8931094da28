//! What can keep the lab from being built, from booting, or from finishing a command.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

/// Why the lab did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation of our own failed.
    #[error("cannot {what} {path}: {source}", path = path.display())]
    File {
        /// The verb, as in "cannot read".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A program that the lab needs is not on this machine.
    #[error(
        "cannot start {program}: {source}; the lab needs Debian's packages apt, dpkg and util-linux"
    )]
    NoProgram {
        /// Name of the program.
        program: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A program that the lab started failed.
    #[error("{doing} failed ({status})\n{stderr}")]
    Program {
        /// What it was started for.
        doing: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to its standard error, if that was not shown.
        stderr: String,
    },
    /// What is wrong and what to do about it.
    #[error("{0}")]
    Other(String),
    /// The guest did not come up, or ended before the command did.
    #[error("{what}; its console ends:\n{console}")]
    Machine {
        /// What became of the virtual machine.
        what: String,
        /// The end of the guest's console, and of what QEMU said.
        console: String,
    },
    /// The command took longer than it may.
    #[error("the command did not end within {} s; the virtual machine was stopped", limit.as_secs())]
    TimeLimit {
        /// The limit that passed.
        limit: Duration,
    },
}

/// Turns an `io::Error` into [`Error::File`].
pub(crate) trait FileContext<T> {
    fn file(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T, Error>;
}

impl<T> FileContext<T> for io::Result<T> {
    fn file(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T, Error> {
        self.map_err(|source| Error::File { what, path: path.into(), source })
    }
}
