//! What befalls the process, by `PODBOND_FAULT`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};

use crate::Change;

/// Where the process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    Before(usize),
    After(usize),
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Fault {
    list: Option<PathBuf>,
    /// The process whose children alone do as told.
    parent: Option<u32>,
    death: Option<Death>,
    /// Which change fails, and its error number.
    fail: Option<(usize, i32)>,
    /// From which change on files fail, and their error number.
    disk: Option<(usize, i32)>,
    ignore: Option<String>,
}

impl Fault {
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
                "ignore" => fault.ignore = Some(value.to_owned()),
                _ => return None,
            }
        }
        Some(fault)
    }
}

/// `K:ERRNO`.
fn failure(value: &str) -> Option<(usize, i32)> {
    let (position, errno) = value.split_once(':')?;
    Some((position.parse().ok()?, errno.parse().ok()?))
}

/// Whether a disk in this state refuses a change: nothing can be written to one that is full, and
/// nothing be done to one that is read-only.
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
    let fault = FAULT.get_or_init(|| {
        let text = std::env::var("PODBOND_FAULT").unwrap_or_default();
        // A test that is misunderstood must not pass.
        let fault = Fault::parse(&text);
        let fault = fault.unwrap_or_else(|| panic!("PODBOND_FAULT is malformed: {text:?}"));
        let is_meant =
            fault.parent.is_none_or(|parent| parent == std::os::unix::process::parent_id());
        if is_meant { fault } else { Fault::default() }
    });
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    if let Some(path) = &fault.list {
        note(path, change);
    }
    if fault.death == Some(Death::Before(count)) {
        die();
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
        die();
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

/// As `kill -9` does it: nothing is cleaned up.
fn die() -> ! {
    let _ = kill_process(getpid(), Signal::KILL);
    unreachable!("SIGKILL cannot be survived")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_refuses_what_needs_room_and_a_read_only_one_everything() {
        let (full, read_only) = (28, 30);
        for kind in ["write", "rename"] {
            assert!(refuses(full, kind) && refuses(read_only, kind));
        }
        assert!(!refuses(full, "remove") && refuses(read_only, "remove"));
        assert!(!refuses(full, "remove-bond") && !refuses(read_only, "remove-bond"));
    }

    #[test]
    fn a_fault_is_read_whole_or_not_at_all() {
        assert_eq!(Fault::parse(""), Some(Fault::default()));
        let fault =
            Fault::parse("list=/tmp/l child-of=7 die-after=3 fail=2:16 disk=4:30 ignore=set-mac")
                .unwrap();
        assert_eq!(fault.parent, Some(7));
        assert_eq!(fault.death, Some(Death::After(3)));
        assert_eq!(fault.fail, Some((2, 16)));
        assert_eq!(fault.disk, Some((4, 30)));
        assert_eq!(fault.ignore.as_deref(), Some("set-mac"));
        assert_eq!(fault.list, Some("/tmp/l".into()));
        for wrong in ["die", "die-before=x", "child-of=", "fail=2", "fail=2:EBUSY", "other=1"] {
            assert_eq!(Fault::parse(wrong), None, "{wrong}");
        }
    }
}
