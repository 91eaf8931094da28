//! `cargo xtask test`: unit tests on this machine, lab tests in the virtual machine.

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use podbond_lab::{Kernel, Progress, Stdin};

use crate::{
    build::{self, Built, cargo},
    error::Error,
    lab, metadata,
};

const EXAMPLES: &str = "\
Examples:
  cargo xtask test
        everything, as CI does
  cargo xtask test --unit
        what needs no virtual machine
  cargo xtask test --lab --package podbond-bond -- failover
        the lab tests of one package whose name holds `failover`
  cargo xtask test --kernel bookworm --kernel trixie-backports
        the lab tests under two other kernels, after the unit tests";

/// Where the test executables are in the lab.
const GUEST_DIR: &str = "/root/tests";

/// Runs each test executable on a clean node, and fails when one of them did.
const RUN_TESTS: &str = include_str!("run-tests.sh");

/// No run of the lab tests takes longer; 0 of them hang for ever.
const LIMIT: Duration = Duration::from_hours(1);

/// Run the tests: units on this machine, then the lab's in a virtual machine
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only the unit tests
    #[arg(long, conflicts_with_all = ["lab", "kernel"])]
    unit: bool,
    /// Only the lab tests
    #[arg(long)]
    lab: bool,
    /// The kernels for the lab tests, by Debian suite; may be repeated
    #[arg(long, value_name = "SUITE", default_values_t = [Kernel::default()])]
    kernel: Vec<Kernel>,
    /// Only the tests of this package; may be repeated
    #[arg(long, short, value_name = "NAME")]
    package: Vec<String>,
    /// Only tests whose name holds this
    #[arg(last = true, value_name = "FILTER")]
    filter: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    if !arguments.lab {
        unit_tests(arguments)?;
    }
    if !arguments.unit {
        lab_tests(arguments)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn unit_tests(arguments: &Arguments) -> Result<(), Error> {
    eprintln!("xtask: unit tests");
    let mut command = cargo();
    command.arg("test");
    if arguments.package.is_empty() {
        command.arg("--workspace");
    }
    for package in &arguments.package {
        command.args(["--package", package]);
    }
    command.arg("--").args(&arguments.filter);
    let status =
        command.status().map_err(|source| Error::Start { program: "cargo".into(), source })?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Program { what: "cargo test".into(), status })
    }
}

fn lab_tests(arguments: &Arguments) -> Result<(), Error> {
    let mut packages = metadata::packages()?;
    packages.retain(|package| {
        let chosen = arguments.package.is_empty() || arguments.package.contains(&package.name);
        chosen && !package.lab_tests.is_empty()
    });
    let tests = build::lab_tests(&packages)?;
    if tests.is_empty() {
        return Err(Error::NoTests);
    }
    let podbond = build::for_lab("podbond")?;
    for &kernel in &arguments.kernel {
        let builder = lab::bare(podbond.clone()).kernel(kernel);
        run_in(builder, kernel, &tests, arguments.filter.as_deref())?;
    }
    Ok(())
}

/// Boots once and runs every executable, each with its tests one after another: they share the
/// node's cards.
fn run_in(
    builder: podbond_lab::Builder,
    kernel: Kernel,
    tests: &[Built],
    filter: Option<&str>,
) -> Result<(), Error> {
    let progress = Progress::on_stderr();
    let guest = |test: &Built| format!("{GUEST_DIR}/{}-{}", test.package, test.name);
    let builder = tests.iter().fold(builder, |builder, test| builder.add(&test.path, guest(test)));
    let lab = builder.prepare(&progress)?;
    progress.begin(format_args!("booting {kernel} for {} test targets", tests.len()));
    let mut argv =
        ["sh", "-c", RUN_TESTS, "tests", filter.unwrap_or_default()].map(OsString::from).to_vec();
    argv.extend(tests.iter().map(|test| guest(test).into()));
    let mut stdout = Counting::new(io::stdout());
    let status = lab.run(&argv, Stdin::Empty, &mut stdout, &mut io::stderr(), Some(LIMIT))?;
    let counts = stdout.counts;
    println!("{kernel}: {} passed, {} failed", counts.passed, counts.failed);
    if status != 0 || counts.failed > 0 || counts.targets != tests.len() {
        let silent = tests.len().saturating_sub(counts.targets);
        return Err(Error::LabTests { kernel, failed: counts.failed, silent });
    }
    if counts.passed == 0 { Err(Error::NoTests) } else { Ok(()) }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    /// Executables that reported a result.
    targets: usize,
    passed: usize,
    failed: usize,
}

/// Passes text on and counts what libtest reports in it.
struct Counting<W> {
    to: W,
    line: Vec<u8>,
    counts: Counts,
}

impl<W> Counting<W> {
    fn new(to: W) -> Self {
        Self { to, line: Vec::new(), counts: Counts::default() }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        if let Some((passed, failed)) = parse_result(&line) {
            self.counts.targets += 1;
            self.counts.passed += passed;
            self.counts.failed += failed;
        }
        self.line.clear();
    }
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        for &byte in &bytes[..written] {
            if byte == b'\n' {
                self.end_line();
            } else {
                self.line.push(byte);
            }
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Passed and failed of `test result: ok. 5 passed; 0 failed; …`, an ignored test being one that
/// could not run.
fn parse_result(line: &str) -> Option<(usize, usize)> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let count = |what: &str| {
        let part = counts.split("; ").find_map(|part| part.strip_suffix(what));
        part.and_then(|number| number.parse::<usize>().ok())
    };
    Some((count(" passed")?, count(" failed")? + count(" ignored")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted_however_the_stream_is_cut() {
        let text = "running 2 tests\ntest a ... ok\n\n\
                    test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
                    test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured\n";
        let mut counting = Counting::new(Vec::new());
        for part in text.as_bytes().chunks(7) {
            counting.write_all(part).unwrap();
        }
        assert_eq!(counting.counts, Counts { targets: 2, passed: 3, failed: 3 });
        assert_eq!(counting.to, text.as_bytes());
    }

    #[test]
    fn an_ignored_lab_test_is_a_failure() {
        let line = "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(parse_result(line), Some((2, 1)));
        assert_eq!(parse_result("test result_is_ok ... ok"), None);
    }
}
