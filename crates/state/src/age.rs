//! Temporary files of killed processes, by when they were last written.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::{Error, unfinished};

/// How old a temporary file is that nobody is writing, whatever lock it was written under: a write
/// takes milliseconds.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);

/// Returns the temporary files of a directory that killed processes did not finish; none where there
/// is no such directory. Those that somebody may still be writing are not among them.
pub fn abandoned(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut paths = unfinished(dir)?;
    paths.retain(|path| {
        let age = modified(path).and_then(|at| at.elapsed().ok());
        age.is_some_and(|age| age > WRITE_TIMEOUT)
    });
    Ok(paths)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::symlink_metadata(path).and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_file_is_abandoned_when_older_than_a_write_takes() {
        let dir = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - 2 * WRITE_TIMEOUT;
        for (name, modified) in
            [(".old.x.new", old), (".now.x.new", SystemTime::now()), ("whole", old)]
        {
            let file = fs::File::create(dir.path().join(name)).unwrap();
            file.set_modified(modified).unwrap();
        }
        assert_eq!(abandoned(dir.path()).unwrap(), [dir.path().join(".old.x.new")]);
        assert!(abandoned(&dir.path().join("none")).unwrap().is_empty());
    }
}
