//! `cargo xtask test`: unit tests on this machine, lab tests in virtual machines.

mod report;
mod runs;

use std::{
    collections::VecDeque,
    ffi::OsString,
    io,
    num::NonZero,
    path::Path,
    process::{Command, ExitCode},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use podbond_lab::{Kernel, Lab, Progress, Stdin};

use crate::{
    build::{self, Built},
    error::Error,
    lab,
    line_writer::LineWriter,
    metadata::{self, Package},
    process,
    workspace::root,
};
use report::{Counts, Report};
use runs::{Listed, Run, Scope};

const EXAMPLES: &str = "\
Examples:
  cargo xtask test
        everything, as CI does: the lab tests under Linux 6.12, short lists under the others
  cargo xtask test --unit
        what needs no virtual machine
  cargo xtask test --lab --package podbond-bond -- failover
        the lab tests of one package whose name holds `failover`
  cargo xtask test --kernel bookworm --kernel trixie-backports
        all lab tests under two other kernels, after the unit tests
  cargo xtask test --full
        everything under every kernel but the oldest, also what takes hours";

/// Where the test executables are in the lab.
const GUEST_DIR: &str = "/root/tests";

/// Runs each test executable on a clean node, and fails when one of them did.
const RUN_TESTS: &str = include_str!("run-tests.sh");

/// No machine takes longer; one that hangs would do so for ever.
const LIMIT: Duration = Duration::from_hours(1);

/// The same with `--full`.
const FULL_LIMIT: Duration = Duration::from_hours(6);

/// How many random sequences of the crash test each kernel gets: another seed with each run, so that
/// runs add up.
const SEQUENCES: usize = 60;

/// The same with `--full`.
const FULL_SEQUENCES: usize = 1000;

/// With `--full`, whose tests take a second or half an hour, each machine gets so many shares, one
/// after another: none is left with all that takes long.
const FULL_SHARES: usize = 4;

/// Run the tests: units on this machine, then the lab's in virtual machines
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only the unit tests
    #[arg(long, conflicts_with_all = ["lab", "kernel", "full"])]
    unit: bool,
    /// Only the lab tests
    #[arg(long)]
    lab: bool,
    /// All lab tests under the kernel of this Debian suite: bullseye (5.10), bookworm (6.1),
    /// trixie (6.12) or trixie-backports; may be repeated
    #[arg(long, value_name = "SUITE")]
    kernel: Vec<Kernel>,
    /// In the lab tests also what takes long (`PODBOND_TEST_FULL=1`); under every kernel, unless some
    /// are named
    #[arg(long)]
    full: bool,
    /// How many virtual machines run at a time; as many as processors, but 4 at most, if not said
    #[arg(long, value_name = "N")]
    machines: Option<NonZero<usize>>,
    /// Only the tests of this package; may be repeated
    #[arg(long, short, value_name = "NAME")]
    package: Vec<String>,
    /// Only tests whose name holds one of these words
    #[arg(last = true, value_name = "FILTER")]
    filter: Vec<String>,
}

impl Arguments {
    /// Under which kernels, and how much.
    fn kernels(&self) -> Vec<(Kernel, Scope)> {
        let all = |kernels: &[Kernel]| kernels.iter().map(|&kernel| (kernel, Scope::All)).collect();
        match (self.full, &*self.kernel) {
            (true, []) => Kernel::ALL.map(|kernel| (kernel, full_scope_of(kernel))).to_vec(),
            (false, []) if self.chooses() => all(&[Kernel::default()]),
            (false, []) => {
                let others = Kernel::ALL.into_iter().filter(|&kernel| kernel != Kernel::default());
                let mut kernels = vec![(Kernel::default(), Scope::All)];
                kernels.extend(others.map(|kernel| (kernel, scope_of(kernel))));
                kernels
            }
            (_, kernels) => all(kernels),
        }
    }

    /// Whether not all tests are wanted.
    fn chooses(&self) -> bool {
        !self.package.is_empty() || !self.filter.is_empty()
    }

    /// A machine of the lab keeps one processor busy.
    fn machines(&self) -> usize {
        let processors = || thread::available_parallelism().map_or(1, |count| count.get().min(4));
        self.machines.map_or_else(processors, NonZero::get)
    }
}

/// How much of the lab tests a kernel gets that is not the lab's own.
fn scope_of(kernel: Kernel) -> Scope {
    match kernel {
        Kernel::Bullseye => Scope::Shortest,
        _ => Scope::Short,
    }
}

/// The same with `--full`: all, but for the oldest kernel, which does not have all that the tests use.
fn full_scope_of(kernel: Kernel) -> Scope {
    match kernel {
        Kernel::Bullseye => Scope::Shortest,
        _ => Scope::All,
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let mut packages = metadata::packages()?;
    packages.retain(|package| {
        arguments.package.is_empty() || arguments.package.contains(&package.name)
    });
    let begun = Instant::now();
    let built = build::tests(&packages)?;
    eprintln!("xtask: built in {} s", begun.elapsed().as_secs());
    let podbond = built.iter().find(|built| built.name == "podbond" && !built.is_test);
    let podbond = podbond.map(|built| built.path.clone());
    let podbond = podbond.ok_or_else(|| Error::NotBuilt("podbond".into()))?;
    let tests = built.into_iter().filter(|built| built.is_test);
    let (lab, unit): (Vec<Built>, Vec<Built>) =
        tests.partition(|test| is_lab_test(test, &packages));
    if !arguments.lab {
        unit_tests(&unit, &packages, arguments)?;
    }
    if !arguments.unit {
        lab_tests(&lab, &podbond, arguments)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn is_lab_test(test: &Built, packages: &[Package]) -> bool {
    packages
        .iter()
        .any(|package| package.name == test.package && package.lab_tests.contains(&test.name))
}

/// Runs the executables here, one after another, each in its package's directory as cargo does.
fn unit_tests(tests: &[Built], packages: &[Package], arguments: &Arguments) -> Result<(), Error> {
    let begun = Instant::now();
    for Built { package, name, path, .. } in tests {
        let Some(of) = packages.iter().find(|of| of.name == *package) else { continue };
        let mut command = Command::new(path);
        command.arg("--quiet").args(&arguments.filter).current_dir(root().join(&of.directory));
        eprintln!("xtask: unit tests of {package}, {name}");
        process::run(&mut command, &format!("a unit test of {package}, {name},"))?;
    }
    eprintln!("xtask: unit tests passed in {} s", begun.elapsed().as_secs());
    Ok(())
}

fn lab_tests(tests: &[Built], podbond: &Path, arguments: &Arguments) -> Result<(), Error> {
    let filter = arguments.filter.join(" ");
    let listed = tests.iter().map(|test| list(test, &filter)).collect::<Result<Vec<_>, _>>()?;
    if !arguments.chooses()
        && let Some(entry) = runs::stale(&listed)
    {
        return Err(Error::Other(format!(
            "no lab test is called {entry}…, as the short list in xtask/src/test/runs.rs has it"
        )));
    }
    let shares = arguments.machines() * if arguments.full { FULL_SHARES } else { 1 };
    let runs = runs::deal(&arguments.kernels(), &listed, shares);
    let progress = Progress::on_stderr();
    let mut prepared = VecDeque::new();
    for run in runs {
        let builder = lab::bare(podbond.to_owned()).kernel(run.kernel);
        let needed = tests.iter().zip(&run.tests).filter(|(_, names)| !names.is_empty());
        let builder =
            needed.fold(builder, |builder, (test, _)| builder.add(&test.path, guest(test)));
        prepared.push_back((builder.prepare(&progress)?, run));
    }
    let outcomes = in_machines(prepared, tests, arguments);
    judge(&outcomes.into_iter().collect::<Result<Vec<_>, _>>()?)
}

/// The tests of an executable that the filter lets through. It is static: it runs here as well.
fn list(test: &Built, filter: &str) -> Result<Listed, Error> {
    let mut command = Command::new(&test.path);
    let listed = process::output(command.args(["--list", "--format", "terse"]), &test.name)?;
    let tests = runs::filtered(runs::parse_list(&listed), filter);
    Ok(Listed { package: test.package.clone(), tests })
}

fn guest(test: &Built) -> String {
    format!("{GUEST_DIR}/{}-{}", test.package, test.name)
}

const NO_TESTS: &str = "no lab test was run: none was found, or the filter fits none";

/// What one machine was to do, and what came of it.
type Outcome = (Run, u8, Counts);

/// Runs all of them, as many at a time as there may be machines.
fn in_machines(
    runs: VecDeque<(Lab, Run)>,
    tests: &[Built],
    arguments: &Arguments,
) -> Vec<Result<Outcome, Error>> {
    let several = runs.len() > 1;
    let machines = arguments.machines().min(runs.len());
    let (queue, outcomes) = (Mutex::new(runs), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..machines {
            scope.spawn(|| {
                while let Some((lab, run)) = next() {
                    let label = if several { format!("{} ", label(&run)) } else { String::new() };
                    let outcome = run_in(&lab, run, tests, arguments.full, label);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
                }
            });
        }
    });
    outcomes.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn label(run: &Run) -> String {
    match run.share {
        (_, 1) => format!("[{}]", run.kernel),
        (share, shares) => format!("[{} {share}/{shares}]", run.kernel),
    }
}

/// Boots once and runs every executable, each with its tests one after another: they share the
/// node's cards.
fn run_in(
    lab: &Lab,
    run: Run,
    tests: &[Built],
    full: bool,
    label: String,
) -> Result<Outcome, Error> {
    Progress::on_stderr().begin(format_args!("{label}booting for {} tests", run.count()));
    let mut argv = vec![OsString::from("env")];
    let sequences = if full { FULL_SEQUENCES } else { SEQUENCES };
    argv.push(format!("PODBOND_TEST_SEQUENCES={sequences}").into());
    argv.extend(full.then(|| "PODBOND_TEST_FULL=1".into()));
    argv.extend(["sh", "-c", RUN_TESTS, "tests"].map(OsString::from));
    let needed = tests.iter().zip(&run.tests).filter(|(_, names)| !names.is_empty());
    for (place, (test, names)) in needed.enumerate() {
        argv.extend((place > 0).then(|| "--".into()));
        argv.push(guest(test).into());
        argv.extend(names.iter().map(OsString::from));
    }
    let limit = if full { FULL_LIMIT } else { LIMIT };
    let mut report = Report::new(io::stdout(), label);
    let mut lines = LineWriter::new(|line: &str| report.line(line));
    let status = lab.run(&argv, Stdin::Empty, &mut lines, &mut io::stderr(), Some(limit))?;
    Ok((run, status, report.counts()))
}

/// All must have run, and passed.
fn judge(outcomes: &[Outcome]) -> Result<(), Error> {
    let (mut failed, mut missing, mut bad_ends) = (0, 0, 0);
    for (run, status, counts) in outcomes {
        let label = label(run);
        for name in &counts.names {
            println!("{label} {name} failed");
        }
        println!("{label} {} passed, {} failed", counts.passed, counts.failed);
        failed += counts.failed;
        missing += run.count().saturating_sub(counts.passed + counts.failed);
        bad_ends += usize::from(*status != 0);
    }
    if failed + missing + bad_ends > 0 {
        Err(Error::LabTests { failed, missing })
    } else if outcomes.is_empty() {
        Err(Error::Other(NO_TESTS.into()))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn kernels(arguments: &str) -> Vec<(Kernel, Scope)> {
        let given = std::iter::once("test").chain(arguments.split_whitespace());
        Alone::try_parse_from(given).unwrap().arguments.kernels()
    }

    #[test]
    fn kernels_follow_from_the_arguments() {
        use Kernel::{Bookworm, Bullseye, Trixie, TrixieBackports};
        let wanted = [
            (Trixie, Scope::All),
            (Bullseye, Scope::Shortest),
            (Bookworm, Scope::Short),
            (TrixieBackports, Scope::Short),
        ];
        assert_eq!(kernels(""), wanted);
        assert_eq!(kernels("--lab"), wanted);
        assert_eq!(kernels("-- vlan"), [(Trixie, Scope::All)]);
        assert_eq!(kernels("-p podbond"), [(Trixie, Scope::All)]);
        assert_eq!(kernels("--kernel bookworm"), [(Bookworm, Scope::All)]);
        let full = [
            (Bullseye, Scope::Shortest),
            (Bookworm, Scope::All),
            (Trixie, Scope::All),
            (TrixieBackports, Scope::All),
        ];
        assert_eq!(kernels("--full"), full);
        assert_eq!(kernels("--full --kernel bookworm"), [(Bookworm, Scope::All)]);
        assert_eq!(kernels("-- vlan at_once"), [(Trixie, Scope::All)]);
        assert_eq!(kernels("--full -- vlan"), full);
    }

    #[test]
    fn missing_result_is_a_failure() {
        let run = Run { kernel: Kernel::Trixie, share: (1, 1), tests: vec![vec!["a".into()]] };
        let passed = |passed| Counts { passed, ..Counts::default() };
        assert!(judge(&[(run.clone(), 0, passed(1))]).is_ok());
        assert!(judge(&[(run.clone(), 0, passed(0))]).is_err());
        assert!(judge(&[(run, 1, passed(1))]).is_err());
        assert!(judge(&[]).is_err());
    }
}
