//! Many processes write one log at once: each line is whole, and none is lost.
//!
//! The test runs its own executable as the writers, marked by a variable.
#![expect(clippy::unwrap_used, reason = "a panic here is the failure's report")]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use podbond_cni::{Journal, Operation, Subject};
use podbond_log::{Caller, Log};

/// The path of the administrator's file, for a writer.
const SETTINGS: &str = "PODBOND_TEST_SETTINGS";

const WRITERS: usize = 12;
const LINES: usize = 400;

fn write_lines(settings: &'static str) {
    for line in 0..LINES {
        let subject = Subject {
            plugin: "bond".to_owned(),
            command: "ADD".to_owned(),
            container: Some(format!("{}-{line}", std::process::id())),
            // So that lines are of many lengths.
            netns: Some("n".repeat(line % 200 + 1)),
            ..Subject::default()
        };
        // As each call of a plugin is a process of its own, each reads the settings anew.
        let log = Log::new(settings, Caller::Runtime);
        let duration = Duration::from_micros(line as u64);
        log.note(&Operation { subject: &subject, duration, outcome: Ok(()) });
    }
}

fn start(settings: &Path, stderr: &fs::File) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    let stderr = Stdio::from(stderr.try_clone().unwrap());
    command.env(SETTINGS, settings).stderr(stderr).spawn().unwrap()
}

/// The containers that have a line in a file, of which each is whole.
fn containers(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'));
    let mut containers = BTreeSet::new();
    for line in text.lines() {
        assert!(line.starts_with("time=20") && line.ends_with(" outcome=ok"), "{line}");
        assert_eq!(line.matches("time=").count(), 1, "{line}");
        let container = line.split(' ').find_map(|pair| pair.strip_prefix("container="));
        assert!(containers.insert(container.unwrap().to_owned()), "twice: {line}");
    }
    containers
}

fn file_and_stderr_have_each_line_once() {
    let dir = tempfile::tempdir().unwrap();
    let [settings, log, stderr] =
        ["config.toml", "podbond.log", "stderr"].map(|name| dir.path().join(name));
    fs::write(&settings, format!("[log]\nfile = \"{}\"\n", log.display())).unwrap();
    let output = fs::File::options().create(true).append(true).open(&stderr).unwrap();
    let writers: Vec<Child> = (0..WRITERS).map(|_| start(&settings, &output)).collect();
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
    let written = containers(&log);
    assert_eq!(written.len(), WRITERS * LINES);
    assert_eq!(containers(&stderr), written);
}

fn main() {
    if let Ok(settings) = env::var(SETTINGS) {
        return write_lines(settings.leak());
    }
    file_and_stderr_have_each_line_once();
    println!("1 test passed");
}
