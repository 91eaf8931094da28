//! A log's file: lines from many processes at once, and room made by renaming.
//!
//! Each line is written by one write(2) to a file that was opened for appending, so that it is whole
//! and in one place whatever others do. A file that is full is renamed by whoever has the lock on
//! it; those who opened it before write their line into it under its new name.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::config::{NamedBy, Target};
use crate::line;

/// How often a line is tried again: while another process renames the files, or when the file was
/// dropped with the line in it, for which others must have filled all that are kept.
const ATTEMPTS: u32 = 50;

/// How long another process is waited for, each time.
const PAUSE: Duration = Duration::from_millis(1);

/// Appends a line to a log, which is made if need be, and its directory.
pub(crate) fn append(target: Target<'_>, line: &str) -> io::Result<()> {
    let mut rotation = Ok(());
    for attempt in 1.. {
        let (mut file, origin) = open(target.path)?;
        let metadata = file.metadata()?;
        match begin(&file, &metadata)? {
            Begin::Log => {}
            Begin::Nothing if origin == Origin::Made => {}
            Begin::Nothing if target.named_by == NamedBy::Administrator => {}
            // Who has just made it is about to write to it.
            Begin::Nothing if attempt < ATTEMPTS => {
                sleep(PAUSE);
                continue;
            }
            Begin::Nothing => return Err(io::Error::other(EMPTY)),
            Begin::Other => return Err(io::Error::other(NO_LOG)),
        }
        let size = metadata.len() + line.len() as u64;
        // Too long a log is better than none, where it cannot be renamed.
        let may_rotate = attempt < ATTEMPTS && rotation.is_ok();
        if may_rotate && metadata.len() > 0 && size > target.max_size {
            match rotate(target, &file, &metadata) {
                Ok(Rotation::Done) => continue,
                Ok(Rotation::Others) => {
                    sleep(PAUSE);
                    continue;
                }
                Err(error) => rotation = Err(error),
            }
        }
        let put = put(&mut file, line);
        if put.is_err() && origin == Origin::Made && file.metadata()?.len() == 0 {
            // A full disk: an empty file may be no log of a network's the next time.
            let _ = fs::remove_file(target.path);
        }
        if put? == Put::Kept || attempt >= ATTEMPTS {
            break;
        }
    }
    rotation
}

const EMPTY: &str =
    "it is empty, and may be another program's: remove it if it is not, or name another one";
const NO_LOG: &str = "it holds something else than a log: name another one, or remove it";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It was there.
    Found,
    /// It was not.
    Made,
}

/// Does not follow a link, nor wait for the reader of a pipe: neither is a log.
fn open(path: &Path) -> io::Result<(File, Origin)> {
    loop {
        match options().open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            file => return Ok((file?, Origin::Found)),
        }
        let create = || options().create_new(true).mode(0o600).open(path);
        let made = create().or_else(|error| match (error.kind(), path.parent()) {
            (ErrorKind::NotFound, Some(dir)) => {
                DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
                create()
            }
            _ => Err(error),
        });
        match made {
            // Another process was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return Ok((made?, Origin::Made)),
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    options.read(true).append(true).custom_flags(flags.bits().cast_signed());
    options
}

/// How a file begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    Log,
    Nothing,
    /// A slip of whoever configured it, or worse.
    Other,
}

fn begin(file: &File, metadata: &Metadata) -> io::Result<Begin> {
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file: name another one"));
    }
    let mut beginning = [0; line::BEGIN.len()];
    let length = file.read_at(&mut beginning, 0)?;
    Ok(match &beginning[..length] {
        [] => Begin::Nothing,
        beginning if beginning == line::BEGIN.as_bytes() => Begin::Log,
        _ => Begin::Other,
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Put {
    Kept,
    /// The file had been dropped by then.
    Dropped,
}

fn put(file: &mut File, line: &str) -> io::Result<Put> {
    // One call: the rest of what does not fit would stand among others' lines.
    if file.write(line.as_bytes())? < line.len() {
        return Err(ErrorKind::StorageFull.into());
    }
    Ok(if file.metadata()?.nlink() > 0 { Put::Kept } else { Put::Dropped })
}

#[derive(Debug, PartialEq, Eq)]
enum Rotation {
    /// The path leads to another file now.
    Done,
    /// Another process is at it.
    Others,
}

/// Renames `FILE` to `FILE.1`, `FILE.1` to `FILE.2` and so on; the last one is dropped. Nothing is
/// renamed where one of these is no log.
///
/// The lock is the kernel's, on the file itself, and ends with its process. `FILE` is renamed last:
/// whoever has the lock on the file that `FILE` is may rename them all.
fn rotate(target: Target<'_>, file: &File, metadata: &Metadata) -> io::Result<Rotation> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(Rotation::Others),
        Err(errno) => return Err(errno.into()),
    }
    let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
    match fs::symlink_metadata(target.path) {
        Ok(now) if identity(&now) == identity(metadata) => {}
        Ok(_) => return Ok(Rotation::Done),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Rotation::Done),
        Err(error) => return Err(error),
    }
    (1..=target.keep).try_for_each(|number| refuse_others(&kept(target.path, number)))?;
    for number in (1..target.keep).rev() {
        match fs::rename(kept(target.path, number), kept(target.path, number + 1)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            renamed => renamed?,
        }
    }
    fs::rename(target.path, kept(target.path, 1))?;
    Ok(Rotation::Done)
}

/// Refuses to rename or drop what is no log, though it has the name of a full one. In an empty file
/// there is nothing to lose.
fn refuse_others(path: &Path) -> io::Result<()> {
    let is_other = match options().open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        // A link, a socket.
        Err(_) => true,
        Ok(file) => begin(&file, &file.metadata()?).map_or(true, |begin| begin == Begin::Other),
    };
    if is_other {
        let path = path.display();
        return Err(io::Error::other(format!(
            "it is full, and {path} holds something else than a log: move that away, or name \
             another file"
        )));
    }
    Ok(())
}

/// The name of a full file.
fn kept(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn target(path: &Path) -> Target<'_> {
        Target { path, max_size: 64, keep: 2, named_by: NamedBy::Administrator }
    }

    fn content(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_full_file_is_renamed_and_the_oldest_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b.log");
        for number in 0..8 {
            append(target(&path), &format!("time={number} {}\n", "x".repeat(22))).unwrap();
        }
        // Two lines of 30 bytes fit.
        let numbers = |path: &Path| -> Vec<char> {
            content(path).lines().filter_map(|line| line.chars().nth(5)).collect()
        };
        assert_eq!(numbers(&path), ['6', '7']);
        assert_eq!(numbers(&kept(&path, 1)), ['4', '5']);
        assert_eq!(numbers(&kept(&path, 2)), ['2', '3']);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 3);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_line_longer_than_a_file_may_be_has_a_file_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let long = format!("time={}\n", "x".repeat(100));
        append(target(&path), &long).unwrap();
        append(target(&path), "time=1\n").unwrap();
        assert_eq!((content(&kept(&path, 1)), content(&path)), (long, "time=1\n".to_owned()));
    }

    #[test]
    fn what_is_no_log_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("passwd");
        fs::write(&other, "root:x:0:0\n").unwrap();
        let link = dir.path().join("link.log");
        symlink(&other, &link).unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        for path in [&other, &link, &pipe, dir.path()] {
            append(target(path), "time=1\n").unwrap_err();
        }
        assert_eq!(content(&other), "root:x:0:0\n");
    }

    #[test]
    fn what_is_no_log_is_neither_renamed_nor_dropped_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let line = format!("time={}\n", "x".repeat(50));
        for number in [1, 2] {
            fs::write(kept(&path, number), "precious\n").unwrap();
            append(target(&path), &line).unwrap();
            // Too long a log is better than none.
            let error = append(target(&path), &line).unwrap_err().to_string();
            let told = format!("{} holds something else than a log", kept(&path, number).display());
            assert!(error.contains(&told), "{error}");
            assert_eq!(content(&kept(&path, number)), "precious\n");
            assert_eq!(content(&path), line.repeat(2));
            // One that is not kept is none of the log's business.
            fs::rename(kept(&path, number), kept(&path, 3)).unwrap();
            append(target(&path), &line).unwrap();
            assert_eq!(content(&kept(&path, 1)), line.repeat(2));
            assert_eq!(content(&path), line);
            fs::remove_file(&path).unwrap();
            fs::remove_file(kept(&path, 1)).unwrap();
        }
        fs::create_dir(kept(&path, 1)).unwrap();
        append(target(&path), &line).unwrap();
        append(target(&path), &line).unwrap_err();
        assert!(kept(&path, 1).is_dir());
    }

    #[test]
    fn an_empty_file_is_a_log_where_the_administrator_says_so_and_none_where_a_network_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let of_network = |path| Target { named_by: NamedBy::Network, ..target(path) };
        fs::write(&path, "").unwrap();
        let error = append(of_network(&path), "time=1\n").unwrap_err().to_string();
        assert!(error.contains("it is empty"), "{error}");
        assert_eq!(content(&path), "");
        append(target(&path), "time=1\n").unwrap();
        append(of_network(&path), "time=2\n").unwrap();
        assert_eq!(content(&path), "time=1\ntime=2\n");
        let new = dir.path().join("b.log");
        append(of_network(&new), "time=1\n").unwrap();
        assert_eq!(content(&new), "time=1\n");
    }

    #[test]
    fn a_log_that_another_process_has_just_made_is_no_empty_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let of_network = || Target { named_by: NamedBy::Network, ..target(&path) };
        let mut made = open(&path).unwrap();
        assert_eq!(made.1, Origin::Made);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| append(of_network(), "time=2\n"));
            sleep(PAUSE * 5);
            put(&mut made.0, "time=1\n").unwrap();
            other.join().unwrap().unwrap();
        });
        assert_eq!(content(&path), "time=1\ntime=2\n");
    }

    #[test]
    fn a_line_in_a_file_that_is_dropped_meanwhile_is_not_taken_for_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let (mut file, _) = open(&path).unwrap();
        fs::rename(&path, kept(&path, 1)).unwrap();
        assert_eq!(put(&mut file, "time=1\n").unwrap(), Put::Kept);
        fs::remove_file(kept(&path, 1)).unwrap();
        assert_eq!(put(&mut file, "time=2\n").unwrap(), Put::Dropped);
    }

    #[test]
    fn a_file_that_another_process_has_renamed_is_not_renamed_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let (full, _) = open(&path).unwrap();
        fs::rename(&path, kept(&path, 1)).unwrap();
        append(target(&path), "time=2\n").unwrap();
        let rotation = rotate(target(&path), &full, &full.metadata().unwrap());
        assert_eq!(rotation.unwrap(), Rotation::Done);
        assert_eq!(content(&path), "time=2\n");
    }

    #[test]
    fn who_holds_the_lock_renames_and_is_not_waited_for_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        append(target(&path), &format!("time={}\n", "x".repeat(50))).unwrap();
        let (file, _) = open(&path).unwrap();
        flock(&file, FlockOperation::LockExclusive).unwrap();
        append(target(&path), "time=2 rather long\n").unwrap();
        assert!(content(&path).ends_with("time=2 rather long\n"));
        drop(file);
        append(target(&path), "time=3\n").unwrap();
        assert_eq!(content(&path), "time=3\n");
    }
}
