//! The administrator's file, `/etc/podbond/config.toml`: what one node does otherwise than others.
//!
//! Each of its tables belongs to one part of podbond, which says what may stand in it and reads it
//! alone: what is wrong in one table keeps none but its own part from working. What is no table of
//! podbond's is told by whoever reads the file.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// Where the file is on a node.
pub const PATH: &str = "/etc/podbond/config.toml";

/// The largest file that is read, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// Why the administrator's file says nothing that can be followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is there and cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It does not say what such a file says.
    #[error("{}, line {line}, column {column}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong.
        problem: String,
    },
}

/// The file's text.
#[derive(Debug)]
pub struct Settings {
    path: PathBuf,
    text: String,
}

/// Its tables. Who reads one of them ignores what stands in the others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Tables<H, L> {
    host_links: Option<H>,
    log: Option<L>,
}

impl Settings {
    /// Reads the file; none where there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        match read(path) {
            Ok(text) => Ok(Some(Self::of(path, text))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Unread { path: path.to_owned(), source }),
        }
    }

    /// The text of a file that was read.
    pub fn of(path: &Path, text: String) -> Self {
        Self { path: path.to_owned(), text }
    }

    /// The table `[host-links]`, if there is one.
    pub fn host_links<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        Ok(self.tables::<T, IgnoredAny>()?.host_links)
    }

    /// The table `[log]`, if there is one.
    pub fn log<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        Ok(self.tables::<IgnoredAny, T>()?.log)
    }

    fn tables<H: DeserializeOwned, L: DeserializeOwned>(&self) -> Result<Tables<H, L>, Error> {
        toml::from_str(&self.text).map_err(|error| {
            let byte = error.span().map_or(0, |span| span.start);
            self.malformed(byte, error.message().replace('\n', ", "))
        })
    }

    /// The error of what parses and cannot be meant: `byte` is where in the text it stands, as
    /// `toml::Spanned` tells it.
    pub fn malformed(&self, byte: usize, problem: impl Display) -> Error {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Error::Malformed {
            path: self.path.clone(),
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            problem: problem.to_string(),
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut open = OpenOptions::new();
    // Otherwise opening a pipe waits for somebody who writes into it.
    open.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = open.open(path)?;
    if !file.metadata()?.is_file() {
        let problem = "it is no regular file: remove what is there, or write a file";
        return Err(io::Error::other(problem));
    }
    let mut text = String::new();
    file.take(MAX_SIZE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_SIZE {
        let problem = format!("it is larger than {MAX_SIZE} bytes, the most that podbond reads");
        return Err(io::Error::new(ErrorKind::FileTooLarge, problem));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Table {
        key: u8,
    }

    fn settings(text: &str) -> Settings {
        Settings::of(Path::new("config.toml"), text.to_owned())
    }

    #[test]
    fn each_table_is_read_whatever_stands_in_the_others() {
        let both = settings("[log]\nkey = 1\n[host-links]\nkey = 'two'\n");
        assert_eq!(both.log::<Table>().unwrap(), Some(Table { key: 1 }));
        let error = both.host_links::<Table>().unwrap_err().to_string();
        assert!(error.starts_with("config.toml, line 4, column 7: invalid type"), "{error}");
        assert_eq!(settings("").log::<Table>().unwrap(), None);
    }

    #[test]
    fn a_table_that_nobody_reads_is_an_error_to_all() {
        let wrong = settings("[logs]\nkey = 1\n");
        for error in [wrong.log::<Table>().unwrap_err(), wrong.host_links::<Table>().unwrap_err()] {
            let error = error.to_string();
            assert!(
                error.starts_with("config.toml, line 1, column 2: unknown field `logs`"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_place_is_told_in_lines_and_characters() {
        let error = settings("# \u{e9}\n\u{e9}x").malformed(7, "wrong").to_string();
        assert_eq!(error, "config.toml, line 2, column 2: wrong");
    }

    #[test]
    fn only_a_file_that_is_not_there_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Settings::read(&dir.path().join("config.toml")).unwrap().is_none());
        let error = Settings::read(dir.path()).unwrap_err();
        assert!(matches!(error, Error::Unread { .. }), "{error}");
    }

    #[test]
    fn what_is_no_regular_file_is_an_error_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into()).unwrap();
        for path in [&path, dir.path(), Path::new("/dev/zero")] {
            let error = Settings::read(path).unwrap_err().to_string();
            let told = "it is no regular file: remove what is there, or write a file";
            assert_eq!(error, format!("cannot read {}: {told}", path.display()));
        }
    }

    #[test]
    fn a_link_to_the_file_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("..data"), dir.path().join("config.toml"));
        std::fs::write(&file, "[log]\nkey = 1\n").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let settings = Settings::read(&link).unwrap().unwrap();
        assert_eq!(settings.log::<Table>().unwrap(), Some(Table { key: 1 }));
    }

    #[test]
    fn a_huge_file_is_not_swallowed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let error = Settings::read(&path).unwrap_err().to_string();
        assert!(error.ends_with("it is larger than 1048576 bytes, the most that podbond reads"));
    }
}
