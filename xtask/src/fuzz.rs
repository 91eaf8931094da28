//! `cargo xtask fuzz`: inputs that no one would write, to whatever reads what others wrote.
//!
//! The targets are a workspace of their own, `fuzz/`, which cargo-fuzz understands too. Here they
//! are built without it and without a nightly compiler: the counters that libFuzzer looks at are
//! LLVM's own. There is no address sanitizer then; outside of crates/kernel no code is unsafe.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::Mutex,
    thread,
};

use clap::Args;

use crate::{
    build::{self, Built},
    error::{Error, FileContext},
    workspace::{root, target},
};

/// What rustc is told, so that an executable counts the branches that it takes.
const COUNTERS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // As cargo-fuzz has it.
    "--cfg",
    "fuzzing",
];

/// An input that takes longer than this, in seconds, is a finding: it is a few kilobytes.
const INPUT_SECONDS: u32 = 10;

/// A target that comes to hold more than this, in MiB, is one too.
const MOST_MEMORY: u32 = 1024;

const EXAMPLES: &str = "\
Examples:
  cargo xtask fuzz
        a minute of each target, two at a time on two cores
  cargo xtask fuzz netlink --seconds 3600
        an hour of one
  target/fuzz/x86_64-unknown-linux-gnu/release/netlink fuzz/artifacts/netlink/crash-…
        an input that was found, again";

/// Give each reader of what others wrote inputs that no one would write
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Targets, as their files below fuzz/ are called; all where none is given
    targets: Vec<String>,
    /// How long each runs
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let mut built = build::fuzz_targets(&COUNTERS.join(" "))?;
    built.sort_by(|a, b| a.name.cmp(&b.name));
    for name in &arguments.targets {
        if !built.iter().any(|target| target.name == *name) {
            return Err(Error::NotBuilt(format!("the fuzz target {name}")));
        }
    }
    built.retain(|one| arguments.targets.is_empty() || arguments.targets.contains(&one.name));
    let results = Mutex::new(Vec::new());
    let waiting = Mutex::new(built.iter());
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.next());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(target) = next() {
                    let result = one(target, arguments.seconds);
                    match &result {
                        Ok(()) => {}
                        Err(error) => eprintln!("{}: {error}", target.name),
                    }
                    if let Ok(mut results) = results.lock() {
                        results.push(result.is_ok());
                    }
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_default();
    let failed = built.len() - results.iter().filter(|fine| **fine).count();
    if failed == 0 { Ok(ExitCode::SUCCESS) } else { Err(Error::Fuzz { failed }) }
}

/// Runs one target, and prints how many inputs it was given.
fn one(built: &Built, seconds: u32) -> Result<(), Error> {
    let name = built.name.as_str();
    let seeds = root().join("fuzz/corpus").join(name);
    let artifacts = root().join("fuzz/artifacts").join(name);
    // What was found in earlier runs is begun with, and stays out of the repository.
    let found = target().join("fuzz/corpus").join(name);
    for dir in [&artifacts, &found] {
        fs::create_dir_all(dir).file("make", dir)?;
    }
    let log = target().join("fuzz").join(format!("{name}.log"));
    let output = File::create(&log).file("write", &log)?;
    let mut command = Command::new(&built.path);
    command.arg(found).arg(&seeds).args([
        // The directory, with the `/` that makes it one.
        format!("-artifact_prefix={}/", artifacts.display()),
        format!("-max_total_time={seconds}"),
        format!("-timeout={INPUT_SECONDS}"),
        format!("-rss_limit_mb={MOST_MEMORY}"),
        "-print_final_stats=1".to_owned(),
    ]);
    if let Some(words) = dictionary(name) {
        command.arg(format!("-dict={}", words.display()));
    }
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output).status();
    let status = status.map_err(|source| Error::Start { program: name.to_owned(), source })?;
    let text = fs::read(&log).file("read", &log)?;
    let report = Report::parse(&String::from_utf8_lossy(&text));
    if !status.success() {
        eprintln!("{}", report.end);
        let input = report.input.unwrap_or_else(|| format!("in no file; see {}", log.display()));
        return Err(Error::Input { target: name.to_owned(), input });
    }
    // A target that was never run has found nothing either.
    let executions = report.executions.filter(|&count| count > 0);
    let executions = executions.ok_or_else(|| Error::NotRun { target: name.to_owned(), log })?;
    println!("{name:<12} {executions:>10} executions in {seconds} s, no crash");
    Ok(())
}

fn dictionary(name: &str) -> Option<PathBuf> {
    let words = root().join("fuzz/dictionaries").join(name);
    Path::is_file(&words).then_some(words)
}

/// What libFuzzer says at its end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    executions: Option<u64>,
    /// The file with the input that it stopped at.
    input: Option<String>,
    /// Its last lines, without those that tell of progress.
    end: String,
}

impl Report {
    fn parse(text: &str) -> Self {
        let after = |line: &str, words: &str| {
            line.split_once(words).map(|(_, value)| value.trim().to_owned())
        };
        let said: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        Self {
            executions: text
                .lines()
                .find_map(|line| after(line, "stat::number_of_executed_units:"))
                .and_then(|number| number.parse().ok()),
            input: text.lines().find_map(|line| after(line, "Test unit written to ")),
            end: said[said.len().saturating_sub(20)..].join("\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executions_and_the_input_that_was_found_are_read_from_what_libfuzzer_says() {
        let text = "INFO: Seed: 1\n#2\tINITED cov: 7\nthread panicked\n\
                    artifact_prefix='/a/'; Test unit written to /a/crash-1\n\
                    stat::number_of_executed_units: 4711\n";
        let report = Report::parse(text);
        assert_eq!(report.executions, Some(4711));
        assert_eq!(report.input.as_deref(), Some("/a/crash-1"));
        assert!(report.end.contains("panicked") && !report.end.contains("INITED"));
        assert_eq!(Report::parse("").executions, None);
    }
}
