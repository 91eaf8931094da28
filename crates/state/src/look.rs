use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use crate::{Error, make_dir, unfinished};

/// Whoever writes a file has it done in milliseconds. One that is older is nobody's, whatever lock
/// it was written under.
const WRITING: Duration = Duration::from_mins(1);

/// What is written to see whether a file can be: more than a filesystem may keep beside its inode.
const PROBE: [u8; 4096] = [0; 4096];

/// Whether files can be written to a directory, which is made if need be: not where the disk is full
/// or read-only. It is tried, under a name that no reader sees.
pub fn writable(dir: &Path) -> Result<(), Error> {
    make_dir(dir)?;
    let path = dir.join(format!(".probe-{}.new", std::process::id()));
    // Never what is there: it may be a link that leads elsewhere.
    let _ = fs::remove_file(&path);
    let written = File::create_new(&path).and_then(|mut file| file.write_all(&PROBE));
    let written = written.map_err(Error::file("write", &path));
    // It is swept with what killed processes leave.
    let _ = fs::remove_file(&path);
    written
}

/// The files of a directory that killed processes have left half-written, which say nothing; none
/// where there is no such directory. Those that somebody may still be writing are not among them.
pub fn abandoned(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut paths = unfinished(dir)?;
    paths.retain(|path| {
        let age = written(path).and_then(|at| at.elapsed().ok());
        age.is_some_and(|age| age > WRITING)
    });
    Ok(paths)
}

/// Whether a file was last written before this machine was started: then what it tells of processes
/// and of the kernel is over. False where there is no such file.
pub fn is_before_boot(path: &Path) -> bool {
    let running = clock_gettime(ClockId::Boottime);
    let running = Duration::from_secs(u64::try_from(running.tv_sec).unwrap_or(0));
    let boot = SystemTime::now().checked_sub(running);
    written(path).zip(boot).is_some_and(|(written, boot)| written < boot)
}

fn written(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_tried_and_nothing_is_left_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("a/b");
        writable(&dir).unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        assert!(writable(Path::new("/proc/none")).is_err());
    }

    #[test]
    fn a_link_in_the_probes_place_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (state, other) = (dir.path().join("state"), dir.path().join("other"));
        fs::create_dir(&state).unwrap();
        fs::write(&other, "precious").unwrap();
        let probe = state.join(format!(".probe-{}.new", std::process::id()));
        std::os::unix::fs::symlink(&other, probe).unwrap();
        writable(&state).unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"precious");
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
    }

    #[test]
    fn a_file_of_an_earlier_life_of_the_machine_is_told_from_one_of_this() {
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
    fn a_file_is_abandoned_when_it_has_been_half_written_for_longer_than_writing_takes() {
        let dir = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - 2 * WRITING;
        for (name, written) in [(".old.new", old), (".now.new", SystemTime::now()), ("whole", old)]
        {
            let file = fs::File::create(dir.path().join(name)).unwrap();
            file.set_modified(written).unwrap();
        }
        assert_eq!(abandoned(dir.path()).unwrap(), [dir.path().join(".old.new")]);
        assert!(abandoned(&dir.path().join("none")).unwrap().is_empty());
    }
}
