//! The administrator's configuration file, `/etc/podbond/config.toml`, read table by table.
//!
//! Each table belongs to one part of podbond, which says what may stand in it: a mistake in one table
//! stops only that part. A table of another name is an error to every reader, so that a misspelt one
//! is not ignored.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::de::{DeTable, ValueDeserializer};

use crate::read_following_links;

/// Where the file is on a node.
pub const PATH: &str = "/etc/podbond/config.toml";

/// The names that a table may have.
const TABLES: [&str; 3] = ["host-links", "log", "networks"];

/// Why the file cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It exists and cannot be read.
    #[error(transparent)]
    Unread(#[from] crate::Error),
    /// It is not TOML, or has a key or value that is not podbond's.
    #[error("{}, line {line}, column {column}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong, with the key.
        problem: String,
    },
}

/// The file's text.
#[derive(Debug)]
pub struct Settings {
    path: PathBuf,
    text: String,
}

impl Settings {
    /// Reads the file; none where there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let Some(bytes) = read_following_links(path)? else { return Ok(None) };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(Self::of(path, text))),
            Err(error) => {
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let byte = error.utf8_error().valid_up_to();
                Err(Self::of(path, text).malformed(byte, "it is not UTF-8"))
            }
        }
    }

    /// Returns the settings that a text holds; `path` is what errors name.
    pub fn of(path: &Path, text: String) -> Self {
        Self { path: path.to_owned(), text }
    }

    /// Returns the table of this name; none where there is none.
    pub fn table<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let parsed = DeTable::parse(&self.text).map_err(|error| self.not_understood(&error))?;
        let mut tables = parsed.into_inner();
        if let Some(other) = tables.keys().find(|name| !TABLES.contains(&name.as_ref().as_ref())) {
            let tables = TABLES.join("] and [");
            let problem = format!("unknown table `{}`: podbond has [{tables}]", other.as_ref());
            return Err(self.malformed(other.span().start, problem));
        }
        let Some(table) = tables.remove(name) else { return Ok(None) };
        let read = T::deserialize(ValueDeserializer::from(table));
        read.map(Some).map_err(|error| self.not_understood(&error))
    }

    fn not_understood(&self, error: &toml::de::Error) -> Error {
        let byte = error.span().map_or(0, |span| span.start);
        self.malformed(byte, error.message().replace('\n', ", "))
    }

    /// Returns the error of a value that parses and makes no sense. `byte` is its offset in the text,
    /// as [`toml::Spanned`] has it.
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

#[cfg(test)]
mod tests {
    use std::fs;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Table {
        key: u8,
    }

    fn settings(text: &str) -> Settings {
        Settings::of(Path::new("config.toml"), text.to_owned())
    }

    fn message<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn table_is_read_whatever_the_others_hold() {
        let both = settings("[log]\nkey = 1\n[host-links]\nkey = 'two'\n");
        assert_eq!(both.table::<Table>("log").unwrap(), Some(Table { key: 1 }));
        let error = message(both.table::<Table>("host-links"));
        assert!(error.starts_with("config.toml, line 4, column 7: invalid type"), "{error}");
        assert_eq!(settings("").table::<Table>("log").unwrap(), None);
    }

    #[test]
    fn error_names_line_column_and_key() {
        for (text, expected) in [
            (
                "[logs]\nkey = 1\n",
                "line 1, column 2: unknown table `logs`: podbond has [host-links]",
            ),
            ("log = 1\n", "line 1, column 7: invalid type: integer `1`, expected struct Table"),
            ("[log]\n", "line 1, column 1: missing field `key`"),
            ("[log]\nkye = 1\n", "line 2, column 1: unknown field `kye`"),
            ("[log\n", "line 1, column 5: "),
            ("[log]\n[log]\n", "line 2, column 2: duplicate key"),
        ] {
            let error = message(settings(text).table::<Table>("log"));
            let expected = format!("config.toml, {expected}");
            assert!(error.starts_with(&expected), "{error}\n{expected}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn column_is_counted_in_characters() {
        let text = "[log] # \u{e9}\n# \u{e9}x\n";
        let error = settings(text).malformed(text.rfind('x').unwrap(), "wrong");
        assert_eq!(error.to_string(), "config.toml, line 2, column 4: wrong");
    }

    /// Promise: settings-no-pipe
    #[test]
    fn only_a_missing_file_is_not_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        assert!(Settings::read(&path).unwrap().is_none());
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into()).unwrap();
        for path in [&path, dir.path(), Path::new("/dev/zero")] {
            let expected = format!("{} is not a regular file: move it away", path.display());
            assert_eq!(message(Settings::read(path)), expected);
        }
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"[log]\nkey = \xff\n").unwrap();
        assert!(message(Settings::read(&path)).ends_with("line 2, column 7: it is not UTF-8"));
        fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(message(Settings::read(&path)).contains("is larger than 1048576 bytes"));
    }

    #[test]
    fn link_to_the_file_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("..data"), dir.path().join("config.toml"));
        fs::write(&file, "[log]\nkey = 1\n").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let settings = Settings::read(&link).unwrap().unwrap();
        assert_eq!(settings.table::<Table>("log").unwrap(), Some(Table { key: 1 }));
    }
}
