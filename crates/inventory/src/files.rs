//! Records on disk: one JSON file each, replaced in one piece, under one lock.

use std::path::{Path, PathBuf};
use std::time::Duration;

use podbond_state::{Lock, names, read, remove, write};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Error;

const SUFFIX: &str = ".json";

/// How long another process is waited for: making VFs takes seconds.
const LOCK_TIMEOUT: Duration = Duration::from_mins(1);

/// The version of our records' form.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Versioned<'r, T> {
    version: u32,
    #[serde(flatten)]
    record: &'r T,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// A directory of JSON files. It need not exist: then it is empty.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    directory: PathBuf,
}

impl Files {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}{SUFFIX}"))
    }

    /// The names of the files that are there, in order.
    pub(crate) fn names(&self) -> Result<Vec<String>, Error> {
        let names = names(&self.directory)?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(SUFFIX)).map(str::to_owned).collect())
    }

    pub(crate) fn read_text(&self, name: &str) -> Result<Option<String>, Error> {
        let path = self.path(name);
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let text = String::from_utf8(bytes);
        text.map(Some).map_err(|error| Error::Damaged { path, problem: error.to_string() })
    }

    /// A record that [`Files::write_record`] wrote.
    pub(crate) fn read_record<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let Some(text) = self.read_text(name)? else { return Ok(None) };
        let damaged = |problem| Error::Damaged { path: self.path(name), problem };
        parse(&text).map(Some).map_err(damaged)
    }

    /// Writes a record with the version of its form. Needs the lock.
    pub(crate) fn write_record(&self, name: &str, record: &impl Serialize) -> Result<(), Error> {
        self.put(name, to_bytes(record))
    }

    /// Writes a file whole. Needs the lock.
    pub(crate) fn write(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        self.put(name, serde_json::to_vec(value))
    }

    fn put(&self, name: &str, text: serde_json::Result<Vec<u8>>) -> Result<(), Error> {
        let path = self.path(name);
        match text {
            Ok(text) => Ok(write(&path, &text)?),
            Err(error) => Err(Error::Damaged { path, problem: error.to_string() }),
        }
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), Error> {
        Ok(remove(&self.path(name))?)
    }
}

/// Takes the lock of a state directory, made if need be.
pub(crate) fn lock(state: &Path) -> Result<Lock, Error> {
    Ok(Lock::take(&state.join("inventory.lock"), LOCK_TIMEOUT)?)
}

/// A record with the version of its form.
pub(crate) fn to_bytes(record: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Versioned { version: VERSION, record })
}

/// Reads what [`to_bytes`] wrote. The error is the file's problem.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let Version { version } = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if version != VERSION {
        return Err(format!("it is of version {version}, known is {VERSION}"));
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}
