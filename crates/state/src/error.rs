//! Errors of state files and locks, with what to do about them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use podbond_names::OneLine;
use rustix::io::Errno;

/// Why a file cannot be read, written or locked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel refuses an operation on a file or directory.
    #[error("cannot {action} {}: {source}{}", path.display(), remedy(*.source))]
    File {
        /// `read`, `write`, `remove`, `list`, `make the directory`, `lock`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: Errno,
    },
    /// A directory, a symbolic link, a pipe or a device is where a file is expected.
    #[error("{} is not a regular file: move it away", path.display())]
    NotRegular {
        /// Its path.
        path: PathBuf,
    },
    /// A file that podbond does not read, and did not write.
    #[error("{} is larger than {max} bytes, the most that podbond reads", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The largest that is read and written, in bytes.
        max: u64,
    },
    /// Another process held a lock at the end of the timeout.
    #[error("{} is locked by {holder} after {seconds} s: wait for it, or end it", path.display())]
    Locked {
        /// The lock's file.
        path: PathBuf,
        /// The timeout, in s.
        seconds: u64,
        /// The process.
        holder: LockHolder,
    },
}

/// The process that holds a lock, as far as `/proc` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    /// The process ID; 0 if unknown.
    pub pid: u32,
    /// Its command line; empty if unknown.
    pub command: String,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { pid: 0, .. } => f.write_str("another process"),
            Self { pid, command } if command.is_empty() => write!(f, "process {pid}"),
            Self { pid, command } => write!(f, "process {pid} ({})", OneLine(command)),
        }
    }
}

/// Returns what to do about a refusal, where that is plain.
fn remedy(source: Errno) -> &'static str {
    match source {
        Errno::NOSPC | Errno::DQUOT => ": free space in its file system",
        Errno::ROFS => ": mount its file system writable",
        Errno::ISDIR => ": move the directory away",
        Errno::NOTDIR => {
            ": make it a directory, or mount one there: podbond's files follow no symbolic link"
        }
        Errno::NAMETOOLONG => ": give what it is named after a shorter name",
        Errno::ACCESS | Errno::PERM => ": run it as root, and let root write there",
        _ => "",
    }
}

impl Error {
    /// Returns the kernel's error number, if the kernel refused.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::File { source, .. } => Some(*source),
            _ => None,
        }
    }

    /// Returns the path of the file that it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::File { path, .. }
            | Self::NotRegular { path }
            | Self::TooLarge { path, .. }
            | Self::Locked { path, .. } => path,
        }
    }

    /// Returns the same error with another path to the file, which people know it by.
    #[must_use]
    pub fn with_path(mut self, to: &Path) -> Self {
        match &mut self {
            Self::File { path, .. }
            | Self::NotRegular { path }
            | Self::TooLarge { path, .. }
            | Self::Locked { path, .. } => to.clone_into(path),
        }
        self
    }

    /// Returns true if another process holds the lock. After any other error there is no lock to
    /// wait for.
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Locked { .. })
    }

    /// Returns a function that makes an [`Error::File`] of an I/O error.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |error| {
            // An error of the standard library, as of a write that writes nothing, has no number.
            let source = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            Self::File { action, path: path.clone(), source }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_error_says_what_to_do() {
        let error = |source| Error::File { action: "write", path: "/var/lib/x".into(), source };
        for (source, remedy) in [
            (Errno::NOSPC, "(os error 28): free space in its file system"),
            (Errno::ROFS, "(os error 30): mount its file system writable"),
            (Errno::IO, "(os error 5)"),
        ] {
            let error = error(source).to_string();
            assert!(error.starts_with("cannot write /var/lib/x: "), "{error}");
            assert!(error.ends_with(remedy), "{error}");
        }
    }

    #[test]
    fn command_line_of_the_holder_is_escaped() {
        let holder = LockHolder { pid: 7, command: "a\u{1b}[2J".to_owned() };
        assert_eq!(holder.to_string(), "process 7 (a\\u001b[2J)");
    }
}
