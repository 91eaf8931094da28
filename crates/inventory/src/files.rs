//! Records on disk: one JSON file each, replaced in one piece, under one lock.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Error;

const SUFFIX: &str = ".json";

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
        let failed = failed("read", &self.directory);
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(&failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(&failed)?.file_name();
            names.extend(
                file.to_str().and_then(|file| file.strip_suffix(SUFFIX)).map(str::to_owned),
            );
        }
        names.sort();
        Ok(names)
    }

    pub(crate) fn read_text(&self, name: &str) -> Result<Option<String>, Error> {
        let path = self.path(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::File { action: "read", path, source }),
        }
    }

    /// A record that [`Files::write_record`] wrote.
    pub(crate) fn read_record<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let Some(text) = self.read_text(name)? else { return Ok(None) };
        let damaged = |problem| Error::Damaged { path: self.path(name), problem };
        let of_version: Version =
            serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if of_version.version != VERSION {
            let version = of_version.version;
            return Err(damaged(format!("it is of version {version}, known is {VERSION}")));
        }
        serde_json::from_str(&text).map(Some).map_err(|error| damaged(error.to_string()))
    }

    /// Writes a record with the version of its form. Needs the lock.
    pub(crate) fn write_record(&self, name: &str, record: &impl Serialize) -> Result<(), Error> {
        self.write(name, &Versioned { version: VERSION, record })
    }

    /// Writes beside and renames: a reader, or one who comes after a crash, finds the old file or
    /// the new one. Needs the lock.
    pub(crate) fn write(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        fs::create_dir_all(&self.directory).map_err(failed("create", &self.directory))?;
        let path = self.path(name);
        let beside = self.directory.join(format!(".{name}.new"));
        let text = serde_json::to_string(value)
            .map_err(|error| failed("write", &path)(io::Error::other(error)))?;
        fs::write(&beside, text).map_err(failed("write", &beside))?;
        fs::rename(&beside, &path).map_err(failed("write", &path))
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(Error::File { action: "remove", path, source })
            }
            _ => Ok(()),
        }
    }
}

/// Takes the lock of a state directory, made if need be; held until the file is dropped.
pub(crate) fn lock(state: &Path) -> Result<File, Error> {
    fs::create_dir_all(state).map_err(failed("create", state))?;
    let path = state.join("inventory.lock");
    let file =
        File::options().create(true).append(true).open(&path).map_err(failed("open", &path))?;
    file.lock().map_err(failed("lock", &path))?;
    Ok(file)
}

pub(crate) fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { action, path: path.clone(), source }
}
