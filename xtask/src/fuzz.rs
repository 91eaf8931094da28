//! `cargo xtask fuzz`: libFuzzer on what reads configurations, manifests, records and netlink.
//!
//! The executable is built without cargo-fuzz and without a nightly compiler: the counters that
//! libFuzzer looks at are LLVM's own. There is no address sanitizer then; outside of crates/kernel no
//! code is unsafe.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::Mutex,
    thread,
};

use clap::{Args, builder::PossibleValuesParser};

use crate::{
    build,
    error::{Error, FileContext},
    process,
    workspace::{root, target},
};

/// The flags of rustc with which an executable counts the branches that it takes.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    --cfg fuzzing";

/// The fuzz targets, as `fuzz/src/lib.rs` has them.
const TARGETS: [&str; 7] =
    ["config", "manifests", "netlink", "networks", "records", "result", "settings"];

/// An input that takes longer than 10 s, or makes its target hold more than 1 GiB, is a finding: it
/// has a few kilobytes.
const LIMITS: [&str; 2] = ["-timeout=10", "-rss_limit_mb=1024"];

const EXAMPLES: &str = "\
Examples:
  cargo xtask fuzz --seconds 300
        five minutes of each target, as many at a time as there are cores
  cargo xtask fuzz --target netlink --seconds 3600
        an hour of one
  cargo xtask fuzz --target netlink --input fuzz/artifacts/netlink/crash-…
        an input that was found, again";

/// Search for inputs that no reader should fail on; the corpus alone is a unit test
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A target; all where none is given
    #[arg(long = "target", value_name = "T", value_parser = PossibleValuesParser::new(TARGETS))]
    targets: Vec<String>,
    /// How long each runs
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Give the targets this input alone
    #[arg(long, value_name = "FILE", requires = "targets", conflicts_with = "seconds")]
    input: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let program = build::fuzz_targets(FLAGS)?;
    let all = || TARGETS.map(str::to_owned).to_vec();
    let targets = if arguments.targets.is_empty() { all() } else { arguments.targets.clone() };
    if let Some(input) = &arguments.input {
        for target in &targets {
            process::run(
                engine(&program, target).arg(input),
                &format!("the fuzz target {target}"),
            )?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let waiting = Mutex::new(targets.iter());
    let failed = Mutex::new(Vec::new());
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.next());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(target) = next() {
                    if let Err(error) = search(&program, target, arguments.seconds) {
                        failed
                            .lock()
                            .map(|mut failed| failed.push(error.to_string()))
                            .unwrap_or_default();
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_default();
    if failed.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(Error::Other(failed.join("\n"))) }
}

/// Returns libFuzzer on one target, within the limits of an input.
fn engine(program: &Path, target: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PODBOND_FUZZ_TARGET", target).args(LIMITS);
    command
}

/// Runs one target for so many seconds. What it finds that is of use begins the next run.
fn search(program: &Path, name: &str, seconds: u32) -> Result<(), Error> {
    let artifacts = root().join("fuzz/artifacts").join(name);
    let found = target().join("fuzz/corpus").join(name);
    for directory in [&artifacts, &found] {
        fs::create_dir_all(directory).file("make", directory)?;
    }
    let mut command = engine(program, name);
    command.arg(&found).arg(root().join("fuzz/corpus").join(name));
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    command.arg(format!("-max_total_time={seconds}")).arg("-print_final_stats=1");
    let words = root().join("fuzz/dictionaries").join(name);
    if words.is_file() {
        command.arg(format!("-dict={}", words.display()));
    }
    let log = target().join("fuzz").join(format!("{name}.log"));
    let log_file = fs::File::create(&log).file("write", &log)?;
    eprintln!("xtask: {name}, {seconds} s; what libFuzzer says goes to {}", log.display());
    let done = process::run(command.stdout(Stdio::null()).stderr(log_file), name);
    // A panic may show any bytes.
    let said = fs::read(&log).file("read", &log)?;
    let said = String::from_utf8_lossy(&said);
    match executions(&said) {
        Some(executions) if done.is_ok() => println!("{name}: {executions} executions, no failure"),
        _ => {
            let input = said.lines().find_map(|line| line.split_once("Test unit written to "));
            let again = input.map_or(String::new(), |(_, input)| {
                format!("; again: cargo xtask fuzz --target {name} --input {input}")
            });
            return Err(Error::Other(format!("{name} failed: see {}{again}", log.display())));
        }
    }
    Ok(())
}

/// Returns how many inputs libFuzzer says it has given; `None` where it came to give none.
fn executions(said: &str) -> Option<u64> {
    let (_, number) = said.split_once("stat::number_of_executed_units:")?;
    number.split_whitespace().next()?.parse().ok().filter(|&executions| executions > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_was_given_no_input_has_not_passed() {
        assert_eq!(
            executions("#2 INITED\nstat::number_of_executed_units: 4711\nstat::x: 1"),
            Some(4711)
        );
        assert_eq!(executions("stat::number_of_executed_units: 0\n"), None);
        assert_eq!(executions(""), None);
    }

    #[test]
    fn every_target_of_the_fuzz_crate_is_named() {
        let source = include_str!("../../fuzz/src/lib.rs");
        assert_eq!(source.matches("\n    (\"").count(), TARGETS.len());
        for target in TARGETS {
            assert!(source.contains(&format!("(\"{target}\", ")), "{target}");
        }
    }
}
