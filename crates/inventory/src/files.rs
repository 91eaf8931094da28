//! Files of policies and PFs: one JSON file each, replaced atomically and synced, under one lock.

use std::path::{Path, PathBuf};
use std::time::Duration;

use podbond_state::{Lock, names, read, remove, write_synced};

use crate::error::Error;

const SUFFIX: &str = ".json";

/// How long to wait for another process: creating VFs takes seconds.
const LOCK_TIMEOUT: Duration = Duration::from_mins(1);

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

    /// Returns the names of the files, in order.
    pub(crate) fn names(&self) -> Result<Vec<String>, Error> {
        let names = names(&self.directory)?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(SUFFIX)).map(str::to_owned).collect())
    }

    /// Returns what `parse` reads from a file; none where there is none. `parse` returns the problem of a
    /// file that it cannot read, and so does this within the result.
    pub(crate) fn read<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<Result<T, String>>, Error> {
        let bytes = match read(&self.path(name)) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            Err(error @ podbond_state::Error::TooLarge { .. }) => {
                return Ok(Some(Err(error.to_string())));
            }
            Err(error) => return Err(error.into()),
        };
        let text = String::from_utf8(bytes).map_err(|error| error.to_string());
        Ok(Some(text.and_then(|text| parse(&text))))
    }

    /// Writes a file. Needs the lock.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        Ok(write_synced(&self.path(name), bytes)?)
    }

    /// Removes a file; success where there is none. Needs the lock.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Error> {
        Ok(remove(&self.path(name))?)
    }
}

/// Takes the lock of a state directory, which is created if need be.
pub(crate) fn lock(state: &Path) -> Result<Lock, Error> {
    Ok(Lock::take(&state.join("inventory.lock"), LOCK_TIMEOUT)?)
}
