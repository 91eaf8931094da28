use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use podbond_faults::{Change, around};
use rustix::fs::{AtFlags, CWD, OFlags, RenameFlags, linkat, renameat_with};
use rustix::io::Errno;

use crate::Error;

/// The largest file that is read and written, in bytes. The largest that is of use holds the
/// configurations of one attachment.
pub const MAX_SIZE: u64 = 1 << 20;

/// How the hidden name ends under which a file is written.
const UNFINISHED: &str = ".new";

/// A file's content; none where there is no such file. What is no regular file, as a directory or a
/// pipe in its place, has no content: it is as damaged as an empty file.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let failed = Error::file("read", path);
    let mut open = OpenOptions::new();
    // Otherwise opening a pipe waits for somebody who writes into it.
    open.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = match open.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        // A socket.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NXIO) => {
            return Ok(Some(Vec::new()));
        }
        file => file.map_err(&failed)?,
    };
    let metadata = file.metadata().map_err(&failed)?;
    if !metadata.is_file() {
        return Ok(Some(Vec::new()));
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

/// Writes a file whole, and its directory if need be: another process sees it complete or not at
/// all. Only root may read it, as it may hold what a tenant wrote into a configuration. A directory
/// in its place, which nobody of ours has made, gives way.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    place(path, bytes, RenameFlags::empty(), rename)
}

/// The same for a file that must not be there: none but the first of those who write it succeeds,
/// the others get `EEXIST`.
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    place(path, bytes, RenameFlags::NOREPLACE, rename)
}

fn rename(from: &Path, to: &Path, flags: RenameFlags) -> rustix::io::Result<()> {
    renameat_with(CWD, from, CWD, to, flags)
}

/// Writes a file beside its place and lets `rename` put it there.
fn place(
    path: &Path,
    bytes: &[u8],
    flags: RenameFlags,
    rename: impl Fn(&Path, &Path, RenameFlags) -> rustix::io::Result<()>,
) -> Result<(), Error> {
    if bytes.len() as u64 > MAX_SIZE {
        return Err(Error::TooLarge { path: path.to_owned(), max: MAX_SIZE });
    }
    let failed = Error::file("write", path);
    let write = Change { kind: "write", what: &path.display() };
    let into_place = Change { kind: "rename", what: &path.display() };
    around(write, &failed, || {
        let beside = unfinished_name(path);
        let mut open = OpenOptions::new();
        // Never what is there: it may be a link that leads elsewhere.
        open.create_new(true).write(true).mode(0o600);
        let file = match open.open(&beside) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make_dir(path.parent().unwrap_or(Path::new("/")))?;
                open.open(&beside)
            }
            // One who was killed left it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                fs::remove_file(&beside).and_then(|()| open.open(&beside))
            }
            file => file,
        };
        let written = file.and_then(|mut file| file.write_all(bytes)).map_err(&failed);
        let renamed = written.and_then(|()| {
            around(into_place, &failed, || {
                let renamed = match rename(&beside, path, flags) {
                    Err(Errno::ISDIR) if flags.is_empty() => {
                        fs::remove_dir_all(path).map_err(&failed)?;
                        rename(&beside, path, flags)
                    }
                    // Not every file system knows the flag: ZFS before 2.2, NFS and 9p do not.
                    Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if !flags.is_empty() => {
                        link(&beside, path)
                    }
                    renamed => renamed,
                };
                renamed.map_err(|errno| failed(errno.into()))
            })
        });
        renamed.inspect_err(|_| {
            // A full disk: what there is of it helps nobody.
            let _ = fs::remove_file(&beside);
        })
    })
}

/// Gives a file another name, which nothing may have, instead of its own.
fn link(from: &Path, to: &Path) -> rustix::io::Result<()> {
    linkat(CWD, from, CWD, to, AtFlags::empty())?;
    // What stays of one who is killed here goes as a file that was not written to its end does.
    let _ = fs::remove_file(from);
    Ok(())
}

/// Removes a file, and what a killed process may have left of writing it; success when there is
/// none. So goes a directory in its place: it would keep the file from being written ever again.
pub fn remove(path: &Path) -> Result<(), Error> {
    let failed = Error::file("remove", path);
    around(Change { kind: "remove", what: &path.display() }, &failed, || {
        [path, &unfinished_name(path)]
            .into_iter()
            .try_for_each(|path| match fs::remove_file(path) {
                Err(error) if error.kind() == ErrorKind::IsADirectory => fs::remove_dir_all(path),
                removed => gone(removed),
            })
            .map_err(&failed)
    })
}

/// Removes what killed processes have left of writing files in a directory, and the directory
/// itself once it is empty; success when there is none.
pub fn sweep(dir: &Path) -> Result<(), Error> {
    let Some(entries) = list(dir)? else { return Ok(()) };
    for name in entries.iter().filter(|name| name.to_str().is_some_and(is_unfinished)) {
        let path = dir.join(name);
        gone(fs::remove_file(&path)).map_err(Error::file("remove", &path))?;
    }
    around(Change { kind: "remove", what: &dir.display() }, Error::file("remove", dir), || {
        // It stays while there is something in it.
        let _ = fs::remove_dir(dir);
        Ok(())
    })
}

/// The names in a directory, in order; none where there is no such directory. Files that are not
/// written to their end, and names that are not UTF-8, are left out.
pub fn names(dir: &Path) -> Result<Vec<String>, Error> {
    let entries = list(dir)?.unwrap_or_default().into_iter();
    let names = entries.filter_map(|name| name.into_string().ok());
    Ok(names.filter(|name| !is_unfinished(name)).collect())
}

/// The files of a directory that are being written, or that killed processes have left so, in
/// order; none where there is no such directory. [`remove`] removes them.
pub fn unfinished(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = list(dir)?.unwrap_or_default().into_iter();
    let unfinished = entries.filter(|name| name.to_str().is_some_and(is_unfinished));
    Ok(unfinished.map(|name| dir.join(name)).collect())
}

/// All names in a directory, in order; none where there is no such directory.
fn list(dir: &Path) -> Result<Option<Vec<OsString>>, Error> {
    let failed = Error::file("list", dir);
    let entries = match fs::read_dir(dir) {
        // Something else in its place holds no file of ours either.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        entries => entries.map_err(&failed)?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name()));
    let mut names = names.collect::<io::Result<Vec<OsString>>>().map_err(&failed)?;
    names.sort();
    Ok(Some(names))
}

/// Makes a directory, and those above it, that only root may enter.
pub fn make_dir(dir: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(Error::file("make the directory", dir))
}

/// What a file is called until it is written.
fn unfinished_name(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(UNFINISHED);
    path.with_file_name(name)
}

/// Whether this is the name of a file that is being written, or was when its writer was killed.
pub fn is_unfinished(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(UNFINISHED)
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_is_read_back_as_written_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        assert_eq!(read(&path).unwrap(), None);
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 0);
    }

    #[test]
    fn a_file_is_created_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b");
        create(&path, b"one").unwrap();
        let error = create(&path, b"two").unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EXIST));
        assert_eq!(read(&path).unwrap().unwrap(), b"one");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_created_once_where_no_rename_spares_what_is_there() {
        for unknown in [Errno::INVAL, Errno::NOSYS, Errno::NOTSUP] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("b");
            let create =
                |bytes| place(&path, bytes, RenameFlags::NOREPLACE, |_, _, _| Err(unknown));
            create(b"one").unwrap();
            assert_eq!(create(b"two").unwrap_err().errno(), Some(Errno::EXIST));
            assert_eq!(read(&path).unwrap().unwrap(), b"one");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
            // One who was killed before the first name went.
            fs::hard_link(&path, unfinished_name(&path)).unwrap();
            write(&path, b"three").unwrap();
            assert_eq!(read(&path).unwrap().unwrap(), b"three");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_directory_in_a_files_place_has_no_content_and_gives_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b");
        let occupy = || fs::create_dir_all(path.join("c/d")).unwrap();
        occupy();
        assert_eq!(read(&path).unwrap().unwrap(), b"");
        assert_eq!(create(&path, b"one").unwrap_err().errno(), Some(Errno::EXIST));
        write(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        remove(&path).unwrap();
        occupy();
        remove(&path).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_was_not_written_to_its_end_is_not_seen_and_goes_with_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b");
        fs::write(unfinished_name(&path), "half").unwrap();
        assert_eq!(read(&path).unwrap(), None);
        assert_eq!(names(dir.path()).unwrap(), Vec::<String>::new());
        assert_eq!(unfinished(dir.path()).unwrap(), [unfinished_name(&path)]);
        remove(&path).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_is_swept_of_what_was_not_finished_and_goes_once_it_is_empty() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("c1");
        write(&dir.join("a"), b"").unwrap();
        fs::write(unfinished_name(&dir.join("b")), "half").unwrap();
        sweep(&dir).unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        remove(&dir.join("a")).unwrap();
        sweep(&dir).unwrap();
        sweep(&dir).unwrap();
        assert!(!dir.exists());
    }

    #[test]
    fn names_are_in_order_and_none_where_nothing_is() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a", ".c"] {
            write(&dir.path().join(name), b"").unwrap();
        }
        assert_eq!(names(dir.path()).unwrap(), [".c", "a", "b"]);
        assert_eq!(names(&dir.path().join("x")).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_huge_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b");
        fs::File::create(&path).unwrap().set_len(MAX_SIZE + 1).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.ends_with("b is larger than 1048576 bytes, the most that podbond reads"));
    }

    #[test]
    fn what_is_no_file_has_no_content_and_nobody_waits_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        rustix::fs::mkfifoat(CWD, &path, 0o600.into()).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"");
        assert_eq!(read(Path::new("/dev/zero")).unwrap().unwrap(), b"");
        write(&path, b"one").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"one");
    }

    #[test]
    fn no_link_is_followed_by_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("b"), dir.path().join("other"));
        fs::write(&other, "precious").unwrap();
        symlink(&other, unfinished_name(&path)).unwrap();
        create(&path, b"one").unwrap();
        symlink(&other, unfinished_name(&path)).unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        fs::remove_file(&path).unwrap();
        symlink(&other, &path).unwrap();
        assert_eq!(create(&path, b"three").unwrap_err().errno(), Some(Errno::EXIST));
        write(&path, b"four").unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(fs::read(&other).unwrap(), b"precious");
    }

    #[test]
    fn what_could_not_be_read_again_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b");
        let bytes = vec![b'x'; usize::try_from(MAX_SIZE).unwrap() + 1];
        assert!(matches!(write(&path, &bytes), Err(Error::TooLarge { .. })));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        write(&path, &bytes[1..]).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().len() as u64, MAX_SIZE);
    }

    #[test]
    fn an_error_names_the_file() {
        let error = write(Path::new("/proc/no/such"), b"").unwrap_err().to_string();
        assert!(error.starts_with("cannot make the directory /proc/no: "), "{error}");
    }
}
