//! Writes the lines of operations and warnings to standard error and to the log's file.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Once, OnceLock};
use std::time::SystemTime;

use podbond_cni::{Journal, Operation, Subject, print_error_line};
use rustix::fs::OFlags;

use crate::{config, line};

/// Who reads standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A runtime, or a plugin that called another: the lines go there, too.
    Runtime,
    /// A person, who sees the output of a command instead.
    Person,
}

/// The operation log. Nothing is read or written before the first operation has ended.
#[derive(Debug)]
pub struct Log {
    settings: &'static str,
    caller: Caller,
    file: OnceLock<Option<PathBuf>>,
    /// Only the first problem of the log itself is reported.
    problem: Once,
}

impl Log {
    /// Creates the log that `[log]` in this file describes.
    pub const fn new(settings: &'static str, caller: Caller) -> Self {
        Self { settings, caller, file: OnceLock::new(), problem: Once::new() }
    }

    /// Appends a line to the file, if there is to be one.
    fn append(&self, line: impl FnOnce() -> String) {
        if let Some(path) = self.file()
            && let Err(error) = append(path, &line())
        {
            self.report(format_args!("cannot write {}: {error}", path.display()));
        }
    }

    fn file(&self) -> Option<&Path> {
        let file = self.file.get_or_init(|| {
            config::read(Path::new(self.settings)).unwrap_or_else(|error| {
                self.report(format_args!(
                    "{error}; until it is corrected the log is written to no file"
                ));
                None
            })
        });
        file.as_deref()
    }

    fn report(&self, problem: impl Display) {
        self.problem.call_once(|| print_error_line(format_args!("log: warning: {problem}")));
    }
}

impl Journal for Log {
    fn note(&self, operation: &Operation<'_>) {
        let line = line::of_operation(SystemTime::now(), operation);
        if self.caller == Caller::Runtime {
            print_error_line(line.trim_end_matches('\n'));
        }
        self.append(|| line);
    }

    /// The warning is on standard error already, in words.
    fn warn(&self, subject: &Subject, warning: &dyn Display) {
        self.append(|| line::of_warning(SystemTime::now(), subject, warning));
    }
}

/// Appends a line to a file, which is created (mode 0600) if there is none. The file is opened for
/// each line, so that it can be renamed at any time, and with `O_APPEND`, so that lines of several
/// processes do not overwrite each other. Fails for anything but a regular file: a symbolic link may
/// lead to another program's file, and a pipe may block.
fn append(path: &Path, line: &str) -> io::Result<()> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).custom_flags(flags.bits().cast_signed());
    let mut file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file: name another one"));
    }
    file.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::fs::{CWD, mkfifoat};

    use super::*;

    /// Promise: log-not-rotated
    #[test]
    fn line_is_appended_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("podbond.log");
        append(&path, "one\n").unwrap();
        append(&path, "two\n").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::rename(&path, dir.path().join("podbond.log.1")).unwrap();
        append(&path, "three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        let rotated = fs::read_to_string(dir.path().join("podbond.log.1")).unwrap();
        assert_eq!(rotated, "one\ntwo\n");
    }

    /// Promise: log-spares-files
    #[test]
    fn only_a_regular_file_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name| dir.path().join(name);
        fs::write(at("other"), "precious").unwrap();
        symlink(at("other"), at("link")).unwrap();
        mkfifoat(CWD, at("pipe"), 0o600.into()).unwrap();
        // With a reader, opening the pipe succeeds.
        let _reader = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(at("pipe"))
            .unwrap();
        for path in [at("link"), at("pipe"), dir.path().to_owned(), "/dev/null".into()] {
            assert!(append(&path, "line\n").is_err(), "{}", path.display());
        }
        assert_eq!(fs::read_to_string(at("other")).unwrap(), "precious");
    }
}
