//! What can keep the lab from being built, from booting, or from finishing a command.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

use crate::Kernel;

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
    #[error("{doing} failed ({status}):\n{stderr}")]
    Program {
        /// What it was started for.
        doing: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote to its standard error.
        stderr: String,
    },
    /// The machine's apt knows no Debian archive.
    #[error(
        "this machine's apt sources name no Debian archive to fetch the lab from; \
         set PODBOND_LAB_MIRROR to the URL of one"
    )]
    NoMirror,
    /// Debian's signing keys are not on this machine.
    #[error("there is no keyring to check Debian's packages with; install debian-archive-keyring")]
    NoKeyring,
    /// apt resolved a package set in which what was asked for is missing.
    #[error("the suite {suite} has no package whose name begins with {wanted}")]
    NoPackage {
        /// The Debian suite.
        suite: &'static str,
        /// The name or its beginning.
        wanted: String,
    },
    /// The kernel package lacks something that the lab cannot do without.
    #[error("the kernel package of {kernel} has no {missing}")]
    Kernel {
        /// Which kernel.
        kernel: Kernel,
        /// The file or module.
        missing: String,
    },
    /// The QEMU that the user named cannot be used.
    #[error("{path} (from PODBOND_LAB_QEMU) has no igb device; QEMU 8.0 or newer has it", path = path.display())]
    NoIgb {
        /// The executable.
        path: PathBuf,
    },
    /// KVM was asked for and does not work here.
    #[error("KVM was asked for, but {reason}; leave the choice to the lab or ask for tcg")]
    NoKvm {
        /// What was seen.
        reason: &'static str,
    },
    /// More cards than the virtual machine has room for.
    #[error("the lab takes 1 to {most} PFs, not {asked}")]
    Pfs {
        /// The upper bound.
        most: u8,
        /// What was asked for.
        asked: u8,
    },
    /// More VFs than an igb has.
    #[error("an igb PF has at most {most} VFs, not {asked}")]
    Vfs {
        /// The upper bound.
        most: u8,
        /// What was asked for.
        asked: u8,
    },
    /// A place in the guest that is not an absolute path below the root.
    #[error("{path:?} is no place for a file in the lab: give an absolute path without `..`")]
    GuestPath {
        /// As given.
        path: PathBuf,
    },
    /// The guest did not come up.
    #[error("the virtual machine did not come up within {} s; its console ends:\n{console}", limit.as_secs())]
    Boot {
        /// The limit that passed.
        limit: Duration,
        /// The end of the guest's console.
        console: String,
    },
    /// The command took longer than it may.
    #[error("the command did not end within {} s; the virtual machine was stopped", limit.as_secs())]
    TimeLimit {
        /// The limit that passed.
        limit: Duration,
    },
    /// The virtual machine ended before the command did.
    #[error("the virtual machine ended before the command did; its console ends:\n{console}")]
    Died {
        /// The end of the guest's console, and of what QEMU said.
        console: String,
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
