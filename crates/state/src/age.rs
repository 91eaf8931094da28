//! Judging files by when they were last written: those of killed processes, and of earlier boots.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

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

/// Returns true for a file that was last written before this machine was started. False where there
/// is no such file.
pub fn is_before_boot(path: &Path) -> bool {
    let uptime = clock_gettime(ClockId::Boottime);
    let uptime = Duration::from_secs(u64::try_from(uptime.tv_sec).unwrap_or(0));
    let boot = SystemTime::now().checked_sub(uptime);
    modified(path).zip(boot).is_some_and(|(modified, boot)| modified < boot)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_of_an_earlier_boot_is_recognised() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        assert!(!is_before_boot(&path));
        fs::write(&path, "").unwrap();
        assert!(!is_before_boot(&path));
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        assert!(is_before_boot(&path));
    }

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
