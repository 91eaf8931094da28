//! The table `[log]` of the administrator's file.

use std::path::{Path, PathBuf};

use podbond_state::settings::{Error, Settings};
use serde::Deserialize;

/// Where the log goes, beside standard error.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    file: Option<LogFile>,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "PathBuf")]
struct LogFile(PathBuf);

impl TryFrom<PathBuf> for LogFile {
    type Error = &'static str;

    fn try_from(path: PathBuf) -> Result<Self, Self::Error> {
        if path.is_absolute() && path.file_name().is_some() {
            Ok(Self(path))
        } else {
            Err("file is not an absolute path of a file: give one like \"/var/log/podbond.log\"")
        }
    }
}

/// Reads from the administrator's file which file the log goes to; none if it names none.
pub(crate) fn read(path: &Path) -> Result<Option<PathBuf>, Error> {
    Settings::read(path)?.map_or(Ok(None), |settings| log_file(&settings))
}

pub(crate) fn log_file(settings: &Settings) -> Result<Option<PathBuf>, Error> {
    let table: Table = settings.table("log")?.unwrap_or_default();
    Ok(table.file.map(|LogFile(path)| path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_file(text: &str) -> Result<Option<PathBuf>, String> {
        let settings = Settings::of(Path::new("config.toml"), text.to_owned());
        super::log_file(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn file_is_optional() {
        for text in ["", "[log]\n", "[host-links]\nallow = 7\n"] {
            assert_eq!(log_file(text).unwrap(), None, "{text}");
        }
        let file = log_file("[log]\nfile = \"/var/log/podbond.log\"\n").unwrap();
        assert_eq!(file, Some("/var/log/podbond.log".into()));
    }

    #[test]
    fn error_names_line_and_key() {
        for (text, expected) in [
            ("[log]\nfiel = \"/l\"\n", "line 2, column 1: unknown field `fiel`"),
            ("[log]\nfile = \"l.log\"\n", "line 2, column 8: file is not an absolute path"),
            ("[log]\nfile = \"/\"\n", "line 2, column 8: file is not an absolute path"),
            ("[log]\nfile = 7\n", "line 2, column 8: invalid type: integer `7`"),
        ] {
            let error = log_file(text).unwrap_err();
            assert!(error.starts_with(&format!("config.toml, {expected}")), "{error}");
        }
    }
}
