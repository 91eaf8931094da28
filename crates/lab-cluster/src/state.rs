//! The folder that all of a cluster is in: certificates, kubeconfigs, etcd's data, logs and consoles. It
//! stays behind, to be looked at, until the next cluster begins there.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::error::{Error, FileContext};

/// The file that makes a folder a cluster's, and that a cluster holds locked while it runs.
const LOCK: &str = "podbond-cluster.lock";

/// A folder that is this cluster's.
#[derive(Debug)]
pub(crate) struct State {
    dir: PathBuf,
    _lock: File,
}

impl State {
    /// Takes a folder that is new, empty, or was another cluster's, and empties it.
    pub(crate) fn take(dir: &Path) -> Result<Self, Error> {
        fs::create_dir_all(dir).file("make", dir)?;
        let dir = fs::canonicalize(dir).file("find", dir)?;
        let entries = || fs::read_dir(&dir).file("read", &dir);
        let lock_path = dir.join(LOCK);
        if !lock_path.is_file() && entries()?.next().is_some() {
            return Err(Error::Foreign { dir });
        }
        let lock = File::create(&lock_path).file("make", &lock_path)?;
        if lock.try_lock().is_err() {
            return Err(Error::InUse { dir });
        }
        for entry in entries()?.flatten().filter(|entry| entry.path() != lock_path) {
            let path = entry.path();
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let removed = if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.file("remove", path)?;
        }
        for name in ["pki", "logs", "bin", "tmp"] {
            fs::create_dir(dir.join(name)).file("make", dir.join(name))?;
        }
        Ok(Self { dir, _lock: lock })
    }

    /// Returns the folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the path of something in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Returns the path of a component's log.
    pub(crate) fn log(&self, component: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{component}.log"))
    }

    /// Writes a file there and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.path(name);
        fs::write(&path, text).file("write", &path)?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_is_emptied_and_held_by_one_cluster() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("cluster");
        let state = State::take(&place).unwrap();
        state.write("old", "").unwrap();
        assert!(matches!(State::take(&place), Err(Error::InUse { .. })));
        drop(state);
        let state = State::take(&place).unwrap();
        assert!(!state.path("old").exists() && state.path("logs").is_dir());
    }

    #[test]
    fn folder_of_something_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "x").unwrap();
        assert!(matches!(State::take(dir.path()), Err(Error::Foreign { .. })));
        assert!(dir.path().join("thesis.tex").exists());
    }
}
