//! What was fetched and built, kept for the next run.
//!
//! An entry is a directory that appears complete or not at all: it is built under another name and
//! renamed. One process builds at a time; those that come meanwhile wait for the lock and find the
//! entry made.

use std::{
    env,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use crate::{Error, Progress, error::FileContext};

/// Begins the name of an entry that is not finished.
const UNFINISHED: &str = "unfinished-";

/// A directory in the user's cache: the lab's, and that of what is built for checks.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// `$XDG_CACHE_HOME/podbond/lab`, or the same below `~/.cache`.
    pub fn open() -> Result<Self, Error> {
        let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
        let base = base
            .or_else(|| env::home_dir().map(|home| home.join(".cache")))
            .unwrap_or_else(env::temp_dir);
        Self::at(base.join("podbond/lab"))
    }

    fn at(dir: PathBuf) -> Result<Self, Error> {
        fs::create_dir_all(&dir).file("make", &dir)?;
        Ok(Self { dir })
    }

    /// A file beside the entries.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The directory of the entry `name`, built by `build` if there is none yet.
    ///
    /// `recipe` is everything that the content follows from: an entry made by another recipe is
    /// another entry.
    pub fn entry<E: From<Error>>(
        &self,
        name: &str,
        recipe: &impl Hash,
        progress: &Progress,
        build: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let mut hasher = DefaultHasher::new();
        recipe.hash(&mut hasher);
        let key = format!("{name}-{:016x}", hasher.finish());
        let entry = self.dir.join(&key);
        if entry.is_dir() {
            return Ok(entry);
        }
        let _lock = self.lock(progress)?;
        if entry.is_dir() {
            return Ok(entry);
        }
        self.clear_dir()?;
        let unfinished = self.dir.join(format!("{UNFINISHED}{key}"));
        fs::create_dir(&unfinished).file("make", &unfinished)?;
        let done = build(&unfinished)
            .and_then(|()| Ok(fs::rename(&unfinished, &entry).file("rename", &unfinished)?));
        if let Err(error) = done {
            // The first error is the one to tell; what stays behind is swept by the next run.
            let _ = fs::remove_dir_all(&unfinished);
            return Err(error);
        }
        Ok(entry)
    }

    fn lock(&self, progress: &Progress) -> Result<File, Error> {
        let path = self.dir.join("lock");
        let lock = File::create(&path).file("make", &path)?;
        if lock.try_lock().is_err() {
            progress.begin("waiting for another process that is filling the cache");
            lock.lock().file("lock", &path)?;
        }
        Ok(lock)
    }

    /// Removes what a killed run left half-built. Called under the lock: nobody is building.
    fn clear_dir(&self) -> Result<(), Error> {
        for entry in fs::read_dir(&self.dir).file("read", &self.dir)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_dir_all(entry.path()).file("remove", entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path().join("lab")).unwrap();
        (dir, cache)
    }

    #[test]
    fn an_entry_is_built_once_per_recipe() {
        let (_dir, cache) = cache();
        let progress = Progress::on_stderr();
        let never = |_: &Path| -> Result<(), Error> { panic!("built twice") };
        let build = |dir: &Path| fs::write(dir.join("made"), "x").file("write", dir);
        let first = cache.entry("e", &"recipe", &progress, build).unwrap();
        assert!(first.join("made").is_file());
        let again = cache.entry("e", &"recipe", &progress, never).unwrap();
        assert_eq!(first, again);
        let other = cache.entry("e", &"another recipe", &progress, build).unwrap();
        assert_ne!(first, other);
    }

    #[test]
    fn failed_and_killed_builds_leave_no_entry() {
        let (_dir, cache) = cache();
        let progress = Progress::on_stderr();
        let killed = cache.dir.join(format!("{UNFINISHED}killed"));
        fs::create_dir(&killed).unwrap();
        let error = cache.entry("e", &1, &progress, |dir| {
            fs::write(dir.join("half"), "").unwrap();
            Err(Error::Other("no".into()))
        });
        assert!(matches!(error, Err(Error::Other(_))));
        assert!(!killed.exists());
        let left: Vec<_> = fs::read_dir(&cache.dir).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "only the lock: {left:?}");
    }
}
