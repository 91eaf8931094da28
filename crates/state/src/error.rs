use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Why something cannot be remembered or recalled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A file or directory that the kernel refuses.
    #[error("cannot {action} {}: {source}{}", path.display(), mend(*.source))]
    File {
        /// `read`, `write`, `remove`, `list`, `make the directory`, `lock`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: Errno,
    },
    /// A file that nobody of ours has written, or one that could not be read again.
    #[error("{} is larger than {max} bytes, the most that podbond reads", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The largest that is read and written, in bytes.
        max: u64,
    },
    /// Another process has worked on the same thing for too long.
    #[error("{} is locked since more than {seconds} s by {holder}: wait for it, or end it", path.display())]
    Locked {
        /// The lock's file.
        path: PathBuf,
        /// How long was waited, in s.
        seconds: u64,
        /// Who has it.
        holder: LockHolder,
    },
}

/// Who holds a lock, as far as `/proc` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    /// The process.
    pub pid: u32,
    /// Its command line.
    pub command: String,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { pid: 0, .. } => f.write_str("another process"),
            Self { pid, command } if command.is_empty() => write!(f, "process {pid}"),
            Self { pid, command } => write!(f, "process {pid} ({command})"),
        }
    }
}

/// What to do about it, where that is plain.
fn mend(source: Errno) -> &'static str {
    match source {
        Errno::NOSPC | Errno::DQUOT => ": free space in its file system",
        Errno::ROFS => ": mount its file system writable",
        Errno::NAMETOOLONG => ": give what it is named after a shorter name",
        Errno::ACCESS | Errno::PERM => ": run it as root, and let root write there",
        _ => "",
    }
}

impl Error {
    /// Why the kernel refused, if it did.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::File { source, .. } => Some(*source),
            _ => None,
        }
    }

    /// Whether another process has the lock. Any other error says that there is none to be had.
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Locked { .. })
    }

    pub(crate) fn file(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |error| {
            // Whatever else it may be, as an end of file in the middle of a write, is none of ours.
            let source = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            Self::File { action, path: path.clone(), source }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_disk_says_what_to_do() {
        let error = |source| Error::File { action: "write", path: "/var/lib/x".into(), source };
        for (source, mend) in [
            (Errno::NOSPC, "(os error 28): free space in its file system"),
            (Errno::ROFS, "(os error 30): mount its file system writable"),
            (Errno::IO, "(os error 5)"),
        ] {
            let error = error(source).to_string();
            assert!(error.starts_with("cannot write /var/lib/x: "), "{error}");
            assert!(error.ends_with(mend), "{error}");
        }
    }
}
