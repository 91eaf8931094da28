//! One log, written by many processes at once, which is full again and again: each line is whole and
//! in one place.
//!
//! The test runs its own executable as the writers, marked by a variable.
#![expect(clippy::unwrap_used, reason = "a panic here is the failure's report")]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use podbond_cni::{Journal, Operation, Subject};
use podbond_log::{Caller, Log};

/// The administrator's file; a writer has it.
const SETTINGS: &str = "PODBOND_TEST_SETTINGS";

const WRITERS: usize = 12;
const LINES: usize = 400;

/// As in the settings below.
const MAX_SIZE: u64 = 16 << 10;

fn write_lines(settings: &'static str) {
    let subject = |line: usize| Subject {
        plugin: "bond".to_owned(),
        command: "ADD".to_owned(),
        container: Some(format!("{}-{line}", std::process::id())),
        // So that lines are of many lengths.
        netns: Some("n".repeat(line % 200 + 1)),
        ..Subject::default()
    };
    for line in 0..LINES {
        // As each call has a process of its own, each reads the settings anew.
        let log = Log::new(settings, Caller::Runtime);
        let duration = Duration::from_micros(line as u64);
        log.note(&Operation { subject: &subject(line), duration, outcome: Ok(()) });
    }
}

fn start(settings: &Path) -> Child {
    Command::new(env::current_exe().unwrap()).env(SETTINGS, settings).spawn().unwrap()
}

/// How often each container has a line in the files of a directory; each line is whole.
fn containers(dir: &Path) -> BTreeMap<String, usize> {
    let mut containers = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with('\n'), "{}", path.display());
        // One of each of those that looked at its size at the same time.
        let most = MAX_SIZE + WRITERS as u64 * 512;
        assert!(text.len() as u64 <= most, "{}: {} bytes", path.display(), text.len());
        for line in text.lines() {
            assert!(line.starts_with("time=20") && line.ends_with(" outcome=ok"), "{line}");
            assert_eq!(line.matches("time=").count(), 1, "{line}");
            let container = line.split(' ').find_map(|pair| pair.strip_prefix("container="));
            *containers.entry(container.unwrap().to_owned()).or_default() += 1;
        }
    }
    containers
}

/// Gives the lines and the files.
fn write_at_once(keep: usize) -> (BTreeMap<String, usize>, usize) {
    let root = env::temp_dir().join(format!("podbond-log-{}-{keep}", std::process::id()));
    let logs = root.join("logs");
    fs::create_dir_all(&root).unwrap();
    let settings = root.join("config.toml");
    let file = logs.join("podbond.log");
    let text =
        format!("[log]\nfile = \"{}\"\nmax-size = {MAX_SIZE}\nkeep = {keep}\n", file.display());
    fs::write(&settings, text).unwrap();
    let writers: Vec<Child> = (0..WRITERS).map(|_| start(&settings)).collect();
    for writer in writers {
        let output = writer.wait_with_output().unwrap();
        assert!(output.status.success());
    }
    let written = (containers(&logs), fs::read_dir(&logs).unwrap().count());
    fs::remove_dir_all(&root).unwrap();
    written
}

fn no_line_is_lost_torn_or_written_twice() {
    let (containers, files) = write_at_once(100);
    assert_eq!(containers.len(), WRITERS * LINES);
    assert!(containers.values().all(|&count| count == 1));
    assert!((40..100).contains(&files), "{files} files");
}

fn no_more_files_are_kept_than_asked_for_and_they_are_full_of_whole_lines() {
    let (containers, files) = write_at_once(2);
    assert_eq!(files, 3);
    assert!(containers.values().all(|&count| count == 1));
}

fn main() {
    if let Ok(settings) = env::var(SETTINGS) {
        return write_lines(settings.leak());
    }
    no_line_is_lost_torn_or_written_twice();
    no_more_files_are_kept_than_asked_for_and_they_are_full_of_whole_lines();
    println!("2 tests passed");
}
