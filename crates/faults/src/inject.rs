//! Kills the process, or fails or skips a change, as the variable `PODBOND_FAULT` says.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};

use crate::Change;

/// At which change the process is killed, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    Before(usize),
    After(usize),
}

/// The words of `PODBOND_FAULT`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fault {
    /// The file to which changes are appended.
    list: Option<PathBuf>,
    /// The process to whose children the rest applies.
    parent: Option<u32>,
    death: Option<Death>,
    /// Which change fails, and its error number.
    fail: Option<(usize, i32)>,
    /// From which change on files cannot be changed, and the error number.
    disk: Option<(usize, i32)>,
    /// The kind of change that counts; none: all.
    of: Option<String>,
    /// The file that is made before the process is killed, and whose presence keeps it alive.
    once: Option<PathBuf>,
    /// The kind of change that is skipped.
    ignore: Option<String>,
}

impl Fault {
    /// Returns the fault that the variable asks for, if it concerns this process.
    fn of_environment() -> Self {
        let text = std::env::var("PODBOND_FAULT").unwrap_or_default();
        // A test whose words are not understood must not pass.
        let fault =
            Self::parse(&text).unwrap_or_else(|| panic!("PODBOND_FAULT is malformed: {text:?}"));
        let parent = std::os::unix::process::parent_id();
        if fault.parent.is_none_or(|wanted| wanted == parent) { fault } else { Self::default() }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut fault = Self::default();
        for word in text.split_whitespace() {
            let (key, value) = word.split_once('=')?;
            match key {
                "list" => fault.list = Some(value.into()),
                "child-of" => fault.parent = Some(value.parse().ok()?),
                "die-before" => fault.death = Some(Death::Before(value.parse().ok()?)),
                "die-after" => fault.death = Some(Death::After(value.parse().ok()?)),
                "fail" => fault.fail = Some(failure(value)?),
                "disk" => fault.disk = Some(failure(value)?),
                "of" => fault.of = Some(value.to_owned()),
                "once" => fault.once = Some(value.into()),
                "ignore" => fault.ignore = Some(value.to_owned()),
                _ => return None,
            }
        }
        Some(fault)
    }
}

/// Reads `K:ERRNO`.
fn failure(value: &str) -> Option<(usize, i32)> {
    let (position, errno) = value.split_once(':')?;
    Some((position.parse().ok()?, errno.parse().ok()?))
}

/// Returns true if a file system with this error refuses a change: nothing can be written to a full
/// one (`ENOSPC`), and nothing changed on one that is read-only.
fn refuses(errno: i32, kind: &str) -> bool {
    match kind {
        "write" | "rename" => true,
        "remove" => errno != Errno::NOSPC.raw_os_error(),
        _ => false,
    }
}

static FAULT: OnceLock<Fault> = OnceLock::new();
static COUNT: AtomicUsize = AtomicUsize::new(0);
static HAS_FAILED: AtomicBool = AtomicBool::new(false);

pub(crate) fn around<E>(
    change: Change<'_>,
    refused: impl FnOnce(io::Error) -> E,
    make: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    let fault = FAULT.get_or_init(Fault::of_environment);
    let counts = fault.of.as_deref().is_none_or(|kind| kind == change.kind);
    if !counts {
        return make();
    }
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    if let Some(path) = &fault.list {
        note(path, change);
    }
    if fault.death == Some(Death::Before(count)) {
        die(fault);
    }
    if let Some((position, errno)) = fault.fail
        && position == count
    {
        HAS_FAILED.store(true, Ordering::Relaxed);
        return Err(refused(io::Error::from_raw_os_error(errno)));
    }
    if let Some((position, errno)) = fault.disk
        && position <= count
        && refuses(errno, change.kind)
    {
        return Err(refused(io::Error::from_raw_os_error(errno)));
    }
    let ignores = fault.fail.is_none() || HAS_FAILED.load(Ordering::Relaxed);
    let outcome =
        if ignores && fault.ignore.as_deref() == Some(change.kind) { Ok(()) } else { make() };
    if fault.death == Some(Death::After(count)) {
        die(fault);
    }
    outcome
}

fn note(path: &PathBuf, change: Change<'_>) {
    let line = format!("{} {}: {}\n", std::process::id(), change.kind, change.what);
    let noted = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = noted {
        panic!("PODBOND_FAULT: cannot write {}: {error}", path.display());
    }
}

/// Ends the process as `kill -9` does: nothing is cleaned up.
fn die(fault: &Fault) {
    if let Some(path) = &fault.once {
        let made = OpenOptions::new().create_new(true).write(true).open(path);
        match made {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return,
            Err(error) => panic!("PODBOND_FAULT: cannot make {}: {error}", path.display()),
        }
    }
    let _ = kill_process(getpid(), Signal::KILL);
    unreachable!("SIGKILL cannot be survived")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_refuses_writes_and_read_only_one_removals_too() {
        let (full, read_only) = (28, 30);
        for kind in ["write", "rename"] {
            assert!(refuses(full, kind) && refuses(read_only, kind));
        }
        assert!(!refuses(full, "remove") && refuses(read_only, "remove"));
        assert!(!refuses(full, "remove-bond") && !refuses(read_only, "remove-bond"));
    }

    #[test]
    fn malformed_fault_is_refused() {
        assert_eq!(Fault::parse(""), Some(Fault::default()));
        let fault = Fault::parse(
            "list=/tmp/l child-of=7 die-after=3 fail=2:16 disk=4:30 ignore=set-mac of=a once=/o",
        )
        .unwrap();
        assert_eq!(fault.parent, Some(7));
        assert_eq!(fault.death, Some(Death::After(3)));
        assert_eq!(fault.fail, Some((2, 16)));
        assert_eq!(fault.disk, Some((4, 30)));
        assert_eq!(fault.ignore.as_deref(), Some("set-mac"));
        assert_eq!((fault.of.as_deref(), fault.once), (Some("a"), Some("/o".into())));
        assert_eq!(fault.list, Some("/tmp/l".into()));
        for wrong in ["die", "die-before=x", "child-of=", "fail=2", "fail=2:EBUSY", "other=1"] {
            assert_eq!(Fault::parse(wrong), None, "{wrong}");
        }
    }
}
