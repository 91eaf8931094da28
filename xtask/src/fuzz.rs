//! `cargo xtask fuzz`: inputs that no one would write, to whatever reads what others wrote.
//!
//! The targets are a workspace of their own, `fuzz/`, which cargo-fuzz understands too. Here they
//! are built without it and without a nightly compiler: the counters that libFuzzer looks at are
//! LLVM's own. There is no address sanitizer then; outside of crates/kernel no code is unsafe.

mod report;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use self::report::{Outcome, Progress, Report};
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

/// How often it is told how far each target is.
const PROGRESS: Duration = Duration::from_secs(20);

const EXAMPLES: &str = "\
Examples:
  cargo xtask fuzz
        a minute of each target, as many at a time as there are cores
  cargo xtask fuzz --target netlink --seconds 3600
        an hour of one
  cargo xtask fuzz --target netlink --input fuzz/artifacts/netlink/crash-…
        an input that was found, again";

/// Give each reader of what others wrote inputs that no one would write
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A target, by the name of its file below fuzz/; all where none is given
    #[arg(long = "target", value_name = "T")]
    targets: Vec<String>,
    /// How long each runs
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Give the target this input alone
    #[arg(long, value_name = "FILE", requires = "targets", conflicts_with = "seconds")]
    input: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let mut built = build::fuzz_targets(&COUNTERS.join(" "))?;
    built.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(name) =
        arguments.targets.iter().find(|name| !built.iter().any(|target| target.name == **name))
    {
        let targets = built.into_iter().map(|target| target.name).collect();
        return Err(Error::NoFuzzTarget { name: name.clone(), targets });
    }
    built.retain(|one| arguments.targets.is_empty() || arguments.targets.contains(&one.name));
    if let Some(input) = &arguments.input {
        return again(&built, input);
    }
    let outcomes = Mutex::new(Vec::new());
    let waiting = Mutex::new(built.iter());
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.next());
    let work = || -> Result<(), Error> {
        while let Some(target) = next() {
            let outcome = one(target, arguments.seconds)?;
            if let Ok(mut outcomes) = outcomes.lock() {
                outcomes.push(outcome);
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        // A panic of a worker is this one's.
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    let mut outcomes = outcomes.into_inner().unwrap_or_default();
    outcomes.sort_by(|a, b| a.target.cmp(&b.target));
    print!("{}", report::table(&outcomes));
    for Outcome { target, report, .. } in &outcomes {
        if let Some(input) = &report.input {
            let input = Path::new(input);
            let input = input.strip_prefix(root()).unwrap_or(input).display();
            println!("again: cargo xtask fuzz --target {target} --input {input}");
        }
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.is_fine()).count();
    if failed == 0 { Ok(ExitCode::SUCCESS) } else { Err(Error::Fuzz { failed }) }
}

/// Gives the targets one input, and shows what becomes of it.
fn again(built: &[Built], input: &Path) -> Result<ExitCode, Error> {
    File::open(input).file("read", input)?;
    for Built { name, path, .. } in built {
        let status = Command::new(path).arg(input).args(limits()).stdin(Stdio::null()).status();
        let status = status.map_err(|source| Error::Start { program: name.clone(), source })?;
        if !status.success() {
            return Err(Error::Input { target: name.clone(), input: input.to_owned() });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What an input may take.
fn limits() -> [String; 2] {
    [format!("-timeout={INPUT_SECONDS}"), format!("-rss_limit_mb={MOST_MEMORY}")]
}

/// Runs one target, and tells how far it is from time to time.
fn one(built: &Built, seconds: u32) -> Result<Outcome, Error> {
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
    command.arg(found).arg(&seeds).args(limits()).args([
        // The directory, with the `/` that makes it one.
        format!("-artifact_prefix={}/", artifacts.display()),
        format!("-max_total_time={seconds}"),
        "-print_final_stats=1".to_owned(),
    ]);
    if let Some(words) = dictionary(name) {
        command.arg(format!("-dict={}", words.display()));
    }
    let started = |source| Error::Start { program: name.to_owned(), source };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
    let mut child = command.spawn().map_err(started)?;
    let status = wait(&mut child, name, &log).map_err(started)?;
    let report = Report::parse(&read(&log)?);
    let outcome = Outcome { target: name.to_owned(), ended_well: status.success(), report };
    if !outcome.is_fine() {
        eprintln!("{name}, {status}; all that it said is in {}:", log.display());
        eprintln!("{}", outcome.report.end);
    }
    Ok(outcome)
}

/// Waits for a target to end.
fn wait(child: &mut Child, name: &str, log: &Path) -> std::io::Result<ExitStatus> {
    let mut told = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(100));
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            let text = read(log).unwrap_or_default();
            if let Some(Progress { executions, corpus }) = Progress::parse(&text) {
                eprintln!("{name:<12} {executions:>10} executions, corpus {corpus}");
            }
        }
    }
}

/// What a target has said until now; a panic may show any bytes.
fn read(log: &Path) -> Result<String, Error> {
    Ok(String::from_utf8_lossy(&fs::read(log).file("read", log)?).into_owned())
}

fn dictionary(name: &str) -> Option<PathBuf> {
    let words = root().join("fuzz/dictionaries").join(name);
    Path::is_file(&words).then_some(words)
}
