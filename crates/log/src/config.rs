use std::path::{Path, PathBuf};

use podbond_settings::{Error, Settings};
use serde::Deserialize;
use toml::Spanned;

use crate::level::Level;

/// Where the logs are to which a network may lead.
const NETWORK_LOGS: &str = "/var/log";

/// The smallest file that is worth keeping: a few of the longest lines.
const MIN_SIZE: u64 = 16 << 10;

/// How many files may be kept.
const MAX_KEEP: u32 = 100;

/// What the administrator wants to be told, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// The file; none is standard error.
    pub(crate) file: Option<PathBuf>,
    /// How much.
    pub(crate) level: Level,
    /// When a file is full, bytes.
    pub(crate) max_size: u64,
    /// How many full files are kept.
    pub(crate) keep: u32,
}

/// `[log]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    file: Option<Spanned<PathBuf>>,
    level: Option<Level>,
    max_size: Option<Spanned<Size>>,
    keep: Option<Spanned<u32>>,
}

/// Bytes, as a number or as `1 MiB`.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "Written")]
struct Size(u64);

#[derive(Deserialize)]
#[serde(untagged, expecting = "give bytes as a number, or a text like \"1 MiB\"")]
enum Written {
    Bytes(u64),
    Text(String),
}

/// A text that is no size.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no size: give a whole number of KiB, MiB or GiB, like \"1 MiB\"")]
struct SizeError(String);

impl TryFrom<Written> for Size {
    type Error = SizeError;

    fn try_from(written: Written) -> Result<Self, SizeError> {
        let text = match written {
            Written::Bytes(bytes) => return Ok(Self(bytes)),
            Written::Text(text) => text,
        };
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit: Option<u64> = match text[digits.len()..].trim() {
            "" | "B" => Some(1),
            "KiB" => Some(1 << 10),
            "MiB" => Some(1 << 20),
            "GiB" => Some(1 << 30),
            _ => None,
        };
        let bytes = digits.parse::<u64>().ok().zip(unit);
        let bytes = bytes.and_then(|(number, unit)| number.checked_mul(unit));
        bytes.map(Self).ok_or(SizeError(text))
    }
}

impl Default for Config {
    /// Without a word from the administrator: what failed, to standard error.
    fn default() -> Self {
        Self { file: None, level: Level::Error, max_size: 1 << 20, keep: 3 }
    }
}

impl Config {
    /// Reads `[log]` of the administrator's file.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        Settings::read(path)?.map_or_else(|| Ok(Self::default()), |settings| Self::of(&settings))
    }

    pub(crate) fn of(settings: &Settings) -> Result<Self, Error> {
        let default = Self::default();
        let Some(table) = settings.log::<Table>()? else { return Ok(default) };
        if let Some(file) = &table.file
            && !(file.as_ref().is_absolute() && file.as_ref().file_name().is_some())
        {
            let problem =
                "file is no absolute path of a file: give one like \"/var/log/podbond.log\"";
            return Err(settings.malformed(file.span().start, problem));
        }
        if let Some(size) = &table.max_size
            && size.as_ref().0 < MIN_SIZE
        {
            let problem = "max-size is less than 16 KiB: give that or more";
            return Err(settings.malformed(size.span().start, problem));
        }
        if let Some(keep) = &table.keep
            && !(1..=MAX_KEEP).contains(keep.as_ref())
        {
            let problem = format!("keep is {}: give 1 to {MAX_KEEP}", keep.as_ref());
            return Err(settings.malformed(keep.span().start, problem));
        }
        let level = match &table.file {
            // A file is there to be looked at later: all may matter then.
            Some(_) => Level::Info,
            None => default.level,
        };
        Ok(Self {
            file: table.file.map(Spanned::into_inner),
            level: table.level.unwrap_or(level),
            max_size: table.max_size.map_or(default.max_size, |size| size.into_inner().0),
            keep: table.keep.map_or(default.keep, Spanned::into_inner),
        })
    }
}

/// A file to write to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'c> {
    /// The file.
    pub(crate) path: &'c Path,
    /// When it is full, bytes.
    pub(crate) max_size: u64,
    /// How many full files are kept.
    pub(crate) keep: u32,
    /// Whose word it is that this is a log.
    pub(crate) named_by: NamedBy,
}

/// Who says which file is a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// An empty file of that name is meant for it.
    Administrator,
    /// A tenant, who may name an empty file of another program.
    Network,
}

/// Whether a network may have its log there. Networks are written by tenants, and a plugin writes as
/// root: their logs are where logs are.
pub(crate) fn is_networks(path: &Path) -> bool {
    let text = path.to_string_lossy();
    path.starts_with(NETWORK_LOGS)
        && path != Path::new(NETWORK_LOGS)
        && !text.split('/').skip(1).any(|part| matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        let place = format!("{}/", dir.path().display());
        Config::read(&path).map_err(|error| error.to_string().replace(&place, ""))
    }

    #[test]
    fn a_file_gets_every_operation_and_standard_error_what_failed() {
        assert_eq!(read("").unwrap(), Config::default());
        assert_eq!(read("[host-links]\nallow = 7\n").unwrap(), Config::default());
        let config = read("[log]\nfile = \"/var/log/podbond.log\"\n").unwrap();
        let file = Some(PathBuf::from("/var/log/podbond.log"));
        assert_eq!(config, Config { file, level: Level::Info, ..Config::default() });
        let all = "[log]\nfile = \"/l\"\nlevel = \"warning\"\nmax-size = \"64 KiB\"\nkeep = 9\n";
        let file = Some(PathBuf::from("/l"));
        let expected = Config { file, level: Level::Warning, max_size: 65_536, keep: 9 };
        assert_eq!(read(all).unwrap(), expected);
        assert_eq!(read("[log]\nlevel = \"info\"").unwrap().level, Level::Info);
    }

    #[test]
    fn a_size_is_a_number_of_bytes_or_of_their_multiples() {
        for (text, bytes) in [
            ("65536", 65_536),
            ("\"65536\"", 65_536),
            ("\"3MiB\"", 3 << 20),
            ("\"1 GiB\"", 1 << 30),
        ] {
            let config = read(&format!("[log]\nmax-size = {text}\n"));
            assert_eq!(config.unwrap().max_size, bytes, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_file_line_and_key() {
        for (text, expected) in [
            ("[log]\nfiel = \"/l\"\n", "line 2, column 1: unknown field `fiel`"),
            ("[log]\nfile = \"l.log\"\n", "line 2, column 8: file is no absolute path"),
            ("[log]\nfile = \"/\"\n", "line 2, column 8: file is no absolute path"),
            ("[log]\nlevel = \"debug\"\n", "line 2, column 9: unknown variant `debug`"),
            ("[log]\nmax-size = \"1 MB\"\n", "line 2, column 12: \"1 MB\" is no size"),
            ("[log]\nmax-size = true\n", "line 2, column 12: give bytes as a number"),
            ("[log]\nmax-size = \"99999999999 GiB\"\n", "is no size"),
            ("[log]\nmax-size = 100\n", "line 2, column 12: max-size is less than 16 KiB"),
            ("[log]\nkeep = 0\n", "line 2, column 8: keep is 0: give 1 to 100"),
            ("[log]\nkeep = -1\n", "line 2, column 8: invalid value"),
            ("[log\n", "line 1, column 5"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with("config.toml, line "), "{error}");
            assert!(error.contains(expected), "{expected:?} is not in: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_network_logs_where_logs_are() {
        for path in ["/var/log/a.log", "/var/log/sriov/a.log"] {
            assert!(is_networks(Path::new(path)), "{path}");
        }
        for path in [
            "",
            "a.log",
            "/var/log",
            "/var/log/",
            "/var/logs/a",
            "/etc/cron.d/a",
            "/var/log/../a",
            "/var/log/./a",
            "/var/log//a",
            "/var/log/a/..",
        ] {
            assert!(!is_networks(Path::new(path)), "{path}");
        }
    }
}
