//! Reading files with a size limit, and writing them atomically: to a temporary file beside the
//! target, which is renamed over it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use podbond_faults::{Change, around};
use rustix::fs::OFlags;
use rustix::io::Errno;
use tempfile::{Builder, NamedTempFile, PathPersistError, TempPath};

use crate::Error;
use crate::dir::Dir;

/// The largest file that is read and written, in bytes. The largest that is of use holds the
/// configurations of one attachment.
pub const MAX_SIZE: u64 = 1 << 20;

/// How the name of a temporary file ends; it starts with a dot.
const TEMPORARY: &str = ".new";

/// What [`writable`] writes: more than a file system may keep beside an inode.
const PROBE: [u8; 4096] = [0; 4096];

/// Returns the content of a file that podbond or another plugin writes; none where there is nothing.
/// A symbolic link is not followed. It has no content, nor has a directory, a pipe or a device: like
/// an empty file, it holds no record. Nor is one followed in the place of the file's directory: that
/// holds no file.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let dir = match Dir::of(path) {
        Ok(dir) => dir,
        Err(error) if is_no_directory(&error) => return Ok(None),
        Err(error) => return Err(Error::file("read", path)(error)),
    };
    match read_with(path, &dir.at_name_of(path), OFlags::NONBLOCK | OFlags::NOFOLLOW) {
        Err(Error::NotRegular { .. }) => Ok(Some(Vec::new())),
        read => read,
    }
}

/// Returns the content of a file that a person writes, which may be a symbolic link; none where there
/// is nothing. Anything but a regular file is [`Error::NotRegular`].
pub fn read_following_links(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    read_with(path, path, OFlags::NONBLOCK)
}

/// Returns whether there is no directory: nothing, or something else.
fn is_no_directory(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Reads the file at `place`, which errors call `path`.
fn read_with(path: &Path, place: &Path, flags: OFlags) -> Result<Option<Vec<u8>>, Error> {
    let failed = Error::file("read", path);
    let not_regular = || Error::NotRegular { path: path.to_owned() };
    // Without O_NONBLOCK, opening a pipe waits for somebody who writes into it.
    let flags = flags.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(place) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => match Errno::from_io_error(&error) {
            // A symbolic link, a socket.
            Some(Errno::LOOP | Errno::NXIO) => return Err(not_regular()),
            _ => return Err(failed(error)),
        },
    };
    let metadata = file.metadata().map_err(&failed)?;
    if !metadata.is_file() {
        return Err(not_regular());
    }
    // Room for all of it and for the read that finds its end.
    let size = usize::try_from(metadata.len().min(MAX_SIZE)).unwrap_or_default();
    let mut bytes = Vec::with_capacity(size + 1);
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(&failed)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(Error::TooLarge { path: path.to_owned(), max: MAX_SIZE });
    }
    Ok(Some(bytes))
}

/// Writes a file (mode 0600, as it may hold what a tenant wrote into a configuration) atomically,
/// and creates its directory (0700) if there is none. Replaces a file or a symbolic link that is
/// there; fails with `EISDIR` where a directory is, and with `ENOTDIR` where a symbolic link is in the
/// place of its directory.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_then(path, bytes, TempPath::persist)
}

/// The same for a file that must not exist: fails with `EEXIST` where anything is. Of several that
/// create it at once one succeeds.
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_then(path, bytes, TempPath::persist_noclobber)
}

/// Writes a file as [`write()`] does, and syncs it and its directory to the disk: it survives a loss of power.
pub fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = Error::file("write", path);
    write_then(path, bytes, |temporary, place| {
        let synced = File::open(&temporary).and_then(|file| file.sync_all());
        match synced {
            Ok(()) => temporary.persist(place),
            Err(error) => Err(PathPersistError { error, path: temporary }),
        }
    })?;
    let synced = Dir::of(path).and_then(|dir| File::open(dir.path())?.sync_all());
    synced.map_err(failed)
}

/// Writes a temporary file, which `rename` gives its place. It is removed if that fails.
fn write_then(
    path: &Path,
    bytes: &[u8],
    rename: impl FnOnce(TempPath, PathBuf) -> Result<(), PathPersistError>,
) -> Result<(), Error> {
    if bytes.len() as u64 > MAX_SIZE {
        return Err(Error::TooLarge { path: path.to_owned(), max: MAX_SIZE });
    }
    let failed = Error::file("write", path);
    let what = &path.display();
    around(Change { kind: "write", what }, &failed, || {
        let dir = make_dir_of(path)?;
        let mut temporary = temporary_file(&dir, path)?;
        temporary.as_file_mut().write_all(bytes).map_err(&failed)?;
        let temporary = temporary.into_temp_path();
        around(Change { kind: "rename", what }, &failed, || {
            rename(temporary, dir.at_name_of(path))
                .map_err(|PathPersistError { error, .. }| failed(error))
        })
    })
}

/// Opens the directory of a file, which is created if there is none.
pub(crate) fn make_dir_of(path: &Path) -> Result<Dir, Error> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let opened = match Dir::open(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_dir(dir)?;
            Dir::open(dir)
        }
        opened => opened,
    };
    opened.map_err(Error::file("use the directory", dir))
}

/// Creates a temporary file beside a file, `.NAME.RANDOM.new`.
fn temporary_file(dir: &Dir, path: &Path) -> Result<NamedTempFile, Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(TEMPORARY);
    // `tempfile_in` gives errors without the kernel's error number.
    let created = builder.make_in(dir.path(), |path| {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
    });
    created.map_err(Error::file("write", path))
}

/// Removes a file, and temporary files of processes that were killed while they wrote it. Succeeds
/// where there is none; fails with `EISDIR` where a directory is.
pub fn remove(path: &Path) -> Result<(), Error> {
    let failed = Error::file("remove", path);
    around(Change { kind: "remove", what: &path.display() }, &failed, || {
        let dir = match Dir::of(path) {
            Ok(dir) => dir,
            Err(error) if is_no_directory(&error) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        remove_file(&dir.at_name_of(path)).map_err(&failed)?;
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
        let mut names = list_in(&dir).map_err(&failed)?;
        names.retain(|temporary| unfinished_of(temporary) == Some(name));
        names.iter().try_for_each(|name| remove_file(&dir.at(name))).map_err(&failed)
    })
}

/// Removes a file; success where there is none.
fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Returns the names in a directory, in order, without temporary files and names that are not UTF-8;
/// none where there is no such directory.
pub fn names(dir: &Path) -> Result<Vec<String>, Error> {
    let mut names = list(dir)?;
    names.retain(|name| !is_unfinished(name));
    Ok(names)
}

/// Returns the paths of the temporary files in a directory, in order: of files that are being
/// written, and of processes that were killed while they wrote one. None where there is no such
/// directory.
pub fn unfinished(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let names = list(dir)?.into_iter();
    Ok(names.filter(|name| is_unfinished(name)).map(|name| dir.join(name)).collect())
}

/// Returns all names in a directory that are UTF-8, in order; none where there is no directory. Something
/// else in its place, as a symbolic link, holds no file of ours either.
fn list(dir: &Path) -> Result<Vec<String>, Error> {
    match Dir::open(dir).and_then(|dir| list_in(&dir)) {
        Err(error) if is_no_directory(&error) => Ok(Vec::new()),
        names => names.map_err(Error::file("list", dir)),
    }
}

fn list_in(dir: &Dir) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir.path())? {
        names.extend(entry?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// Creates a directory, and those above it, with mode 0700. Succeeds where it exists.
fn make_dir(dir: &Path) -> Result<(), Error> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    created.map_err(Error::file("make the directory", dir))
}

/// Tries whether a file can be written in a directory, which is created if there is none: writes a
/// temporary one and removes it. Fails where the disk is full or read-only.
pub fn writable(dir: &Path) -> Result<(), Error> {
    let path = dir.join("probe");
    let dir = make_dir_of(&path)?;
    let mut probe = temporary_file(&dir, &path)?;
    probe.as_file_mut().write_all(&PROBE).map_err(Error::file("write", &path))
}

/// Returns true for the name of a temporary file.
fn is_unfinished(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(TEMPORARY)
}

/// Returns the name of the file that a temporary file of this name was to become, for
/// `.10.56.217.2.aX81Kd.new` `10.56.217.2`; `probe` for one of [`writable`]. None for a name that is
/// not a temporary file's.
pub fn unfinished_of(name: &str) -> Option<&str> {
    let (name, _random) = name.strip_prefix('.')?.strip_suffix(TEMPORARY)?.rsplit_once('.')?;
    Some(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::fs::{CWD, mkfifoat};

    use super::*;

    /// A temporary file for a file.
    fn temporary(path: &Path) -> NamedTempFile {
        let file = temporary_file(&make_dir_of(path).unwrap(), path).unwrap();
        // Its directory is closed here: by its name it can be removed.
        let name = path.with_file_name(file.path().file_name().unwrap());
        let (file, _) = file.keep().unwrap();
        NamedTempFile::from_parts(file, TempPath::try_from_path(name).unwrap())
    }

    /// The names in a directory, temporary files too.
    fn listed(dir: &Path) -> Vec<String> {
        list(dir).unwrap()
    }

    #[test]
    fn file_is_read_back_until_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        assert_eq!(read(&path).unwrap(), None);
        write(&path, b"one").unwrap();
        write_synced(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(listed(&dir.path().join("a")).is_empty());
    }

    #[test]
    fn file_is_created_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b");
        create(&path, b"one").unwrap();
        let error = create(&path, b"two").unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EXIST));
        assert_eq!(read(&path).unwrap().unwrap(), b"one");
        assert_eq!(listed(dir.path()), ["b"]);
    }

    /// Promise: no-directory-removed
    #[test]
    fn directory_in_place_of_a_file_is_an_error_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b");
        fs::create_dir_all(path.join("c/d")).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"");
        assert!(matches!(read_following_links(&path), Err(Error::NotRegular { .. })));
        assert_eq!(create(&path, b"one").unwrap_err().errno(), Some(Errno::EXIST));
        for error in [write(&path, b"two").unwrap_err(), remove(&path).unwrap_err()] {
            assert_eq!(error.errno(), Some(Errno::ISDIR));
            let place = format!("{}: Is a directory", path.display());
            assert!(error.to_string().contains(&place), "{error}");
        }
        assert!(path.join("c/d").is_dir());
        assert_eq!(listed(dir.path()), ["b"]);
    }

    #[test]
    fn temporary_file_is_not_listed_and_removed_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("b"), dir.path().join("b.c"));
        let kept = [&path, &other].map(|path| {
            let temporary = temporary(path).keep().unwrap().1;
            dir.path().join(temporary.file_name().unwrap())
        });
        assert_eq!(read(&path).unwrap(), None);
        assert_eq!(names(dir.path()).unwrap(), Vec::<String>::new());
        assert_eq!(unfinished(dir.path()).unwrap().len(), 2);
        remove(&path).unwrap();
        assert_eq!(unfinished(dir.path()).unwrap(), kept[1..]);
    }

    #[test]
    fn temporary_name_tells_its_file() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["10.0.0.9", "c1:net1", ".hidden"] {
            let temporary = temporary(&dir.path().join(name));
            let temporary = temporary.path().file_name().unwrap().to_str().unwrap();
            assert!(is_unfinished(temporary));
            assert_eq!(unfinished_of(temporary), Some(name));
        }
        for name in ["10.0.0.9", ".new", ".x.new", "a.b.new", ".a.b.old"] {
            assert_eq!(unfinished_of(name), None, "{name}");
        }
    }

    #[test]
    fn two_writers_do_not_share_a_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b");
        let (one, two) = (temporary(&path), temporary(&path));
        assert_ne!(one.path().file_name(), two.path().file_name());
    }

    #[test]
    fn of_two_writers_at_once_one_wins_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let texts: Vec<Vec<u8>> = (b'a'..=b'h').map(|byte| vec![byte; 20_000]).collect();
        std::thread::scope(|scope| {
            for text in &texts {
                let path = &path;
                scope.spawn(move || (0..20).for_each(|_| write(path, text).unwrap()));
            }
        });
        assert!(texts.contains(&read(&path).unwrap().unwrap()));
        assert_eq!(listed(&dir.path().join("a")), ["b"]);
    }

    /// Promise: no-link-followed
    #[test]
    fn link_in_place_of_the_directory_is_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let (other, link) = (temp.path().join("other"), temp.path().join("link"));
        fs::create_dir(&other).unwrap();
        fs::write(other.join("b"), "precious").unwrap();
        for target in [other.as_path(), Path::new("dangling")] {
            let _ = fs::remove_file(&link);
            symlink(target, &link).unwrap();
            let path = link.join("b");
            assert_eq!(read(&path).unwrap(), None);
            assert_eq!(listed(&link), [""; 0]);
            remove(&path).unwrap();
            for error in [
                write(&path, b"one").unwrap_err(),
                write_synced(&path, b"one").unwrap_err(),
                create(&link.join("c"), b"one").unwrap_err(),
                writable(&link).unwrap_err(),
                crate::Lock::take(&path, std::time::Duration::ZERO).unwrap_err(),
            ] {
                let error = error.to_string();
                assert!(error.contains(&format!("{}: ", link.display())), "{error}");
                assert!(error.ends_with("podbond's files follow no symbolic link"), "{error}");
            }
        }
        assert_eq!(listed(&other), ["b"]);
        assert_eq!(fs::read(other.join("b")).unwrap(), b"precious");
        assert!(!temp.path().join("dangling").exists());
    }

    #[test]
    fn names_are_sorted_and_empty_without_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a", ".c"] {
            write(&dir.path().join(name), b"").unwrap();
        }
        assert_eq!(names(dir.path()).unwrap(), [".c", "a", "b"]);
        assert_eq!(names(&dir.path().join("x")).unwrap(), Vec::<String>::new());
        assert_eq!(names(&dir.path().join("a")).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn large_file_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b");
        fs::File::create(&path).unwrap().set_len(MAX_SIZE + 1).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.ends_with("b is larger than 1048576 bytes, the most that podbond reads"));
    }

    /// Promise: no-link-followed
    #[test]
    fn pipe_and_device_have_no_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        mkfifoat(CWD, &path, 0o600.into()).unwrap();
        for path in [&path, Path::new("/dev/zero")] {
            assert_eq!(read(path).unwrap().unwrap(), b"");
            let error = read_following_links(path).unwrap_err();
            assert!(matches!(error, Error::NotRegular { .. }), "{error}");
        }
        write(&path, b"one").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"one");
    }

    /// Promise: no-link-followed
    #[test]
    fn link_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("b"), dir.path().join("other"));
        fs::write(&other, "precious").unwrap();
        symlink(&other, &path).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"");
        assert_eq!(read_following_links(&path).unwrap().unwrap(), b"precious");
        assert_eq!(create(&path, b"one").unwrap_err().errno(), Some(Errno::EXIST));
        write(&path, b"two").unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        assert_eq!(fs::read(&other).unwrap(), b"precious");
    }

    #[test]
    fn content_too_large_to_read_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b");
        let bytes = vec![b'x'; usize::try_from(MAX_SIZE).unwrap() + 1];
        assert!(matches!(write(&path, &bytes), Err(Error::TooLarge { .. })));
        assert!(listed(dir.path()).is_empty());
        write(&path, &bytes[1..]).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().len() as u64, MAX_SIZE);
    }

    #[test]
    fn writable_leaves_nothing_in_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("a/b");
        writable(&dir).unwrap();
        assert!(listed(&dir).is_empty());
        assert!(writable(Path::new("/proc/none")).is_err());
    }

    #[test]
    fn error_names_the_file() {
        let error = write(Path::new("/proc/no/such"), b"").unwrap_err().to_string();
        assert!(error.starts_with("cannot make the directory /proc/no: "), "{error}");
    }
}
