//! `cargo xtask crash`: the exhaustive crash test alone, with its tables.

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Args, builder::PossibleValuesParser};
use podbond_lab::{Accel, Kernel, Progress, Stdin};

use crate::{build, error::Error, lab, line_writer::LineWriter, metadata};

const EXAMPLES: &str = "\
Examples:
  cargo xtask crash
        every operation killed, refused and taken back at each of its changes
  cargo xtask crash --operation chain --kernel bookworm
        the documented pod alone, under Linux 6.1
  cargo xtask crash --operation sequences --seed 17 --sequences 1
        one random sequence, the same as another time
  cargo xtask crash --operation undo
        without the undoing of each kind of change, which must be noticed
  cargo xtask crash --full
        every way back and every error at each change, ten times as many sequences";

/// The package and the test target in it, and where it is in the lab.
const TEST: (&str, &str, &str) = ("podbond", "crash", "/root/tests/podbond-crash");

/// Each is the beginning of a test's name, with `_` for `-`.
const OPERATIONS: [&str; 11] = [
    "host-local",
    "bond-in-pod",
    "bond-on-host",
    "bond-over-vfs",
    "bond-vlan",
    "bond-mac",
    "bond-equal-macs",
    "sriov",
    "chain",
    "sequences",
    "undo",
];

/// No run takes longer, even on a machine that does much else.
const LIMIT: Duration = Duration::from_hours(6);

/// Kill every operation at each of its changes, and see that nothing is lost
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only this operation; may be repeated
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(OPERATIONS))]
    operation: Vec<String>,
    /// The seed of the first random sequence, the next having the next; another one each time if none
    /// is given
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// How many random sequences: 300 if not given, with --full 3,000
    #[arg(long, value_name = "COUNT")]
    sequences: Option<u64>,
    /// Also what takes long: every way back and every error at each change, 3,000 sequences
    #[arg(long)]
    full: bool,
    /// The Debian suite whose kernel runs: bullseye (5.10), bookworm (6.1), trixie (6.12) or
    /// trixie-backports
    #[arg(long, value_name = "SUITE", default_value_t = Kernel::default())]
    kernel: Kernel,
    /// Run under kvm or tcg instead of trying which works
    #[arg(long, value_name = "KIND", env = "PODBOND_LAB_ACCEL")]
    accel: Option<Accel>,
}

impl Arguments {
    /// What runs in the lab.
    fn command(&self) -> Vec<OsString> {
        let mut words = vec!["env".to_owned()];
        words.extend(self.full.then(|| "PODBOND_TEST_FULL=1".to_owned()));
        words.extend(self.seed.map(|seed| format!("PODBOND_TEST_SEED={seed}")));
        words.extend(self.sequences.map(|count| format!("PODBOND_TEST_SEQUENCES={count}")));
        words.extend([TEST.2, "--test-threads=1", "--nocapture"].map(str::to_owned));
        words.extend(self.operation.iter().map(|name| name.replace('-', "_")));
        words.into_iter().map(OsString::from).collect()
    }
}

/// Ends with the exit status 0 only if nothing was lost.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let (package, target, place) = TEST;
    let mut packages = metadata::packages()?;
    packages.retain(|found| found.name == package);
    let built = build::tests(&packages)?;
    let built = |is_test: bool, name: &str| {
        let found = built.iter().find(|built| built.is_test == is_test && built.name == name);
        found.map(|built| built.path.clone()).ok_or_else(|| Error::NotBuilt(name.to_owned()))
    };
    let builder = lab::bare(built(false, package)?).add(built(true, target)?, place);
    let progress = Progress::on_stderr();
    let lab = builder.kernel(arguments.kernel).accel(arguments.accel).prepare(&progress)?;
    progress.begin(format_args!("booting the lab under {}", lab.accel()));
    let mut rows = Rows::new(io::stderr());
    let begun = Instant::now();
    let command = arguments.command();
    let mut lines = LineWriter::new(|line: &str| rows.line(line));
    let status = lab.run(&command, Stdin::Empty, &mut lines, &mut io::stderr(), Some(LIMIT))?;
    if rows.points.is_empty() && rows.undoing.is_empty() {
        return Err(Error::Other("no operation was tried".into()));
    }
    print!("{}", rows.tables());
    eprintln!("xtask: all this took {} s", begun.elapsed().as_secs());
    Ok(ExitCode::from(status))
}

/// Gathers the rows that the test prints; everything else goes on to where progress is shown.
struct Rows<W> {
    to: W,
    points: Vec<String>,
    undoing: Vec<String>,
}

impl<W: Write> Rows<W> {
    fn new(to: W) -> Self {
        Self { to, points: Vec::new(), undoing: Vec::new() }
    }

    /// libtest begins the line in which a test's first row stands.
    fn line(&mut self, line: &str) -> io::Result<()> {
        if let Some((_, row)) = line.split_once("crash: ") {
            self.points.push(row.to_owned());
        } else if let Some((_, row)) = line.split_once("undo: ") {
            self.undoing.push(row.to_owned());
        } else {
            writeln!(self.to, "{line}")?;
        }
        Ok(())
    }

    /// Returns the tables as Markdown.
    fn tables(&self) -> String {
        const POINTS: &str = "operation | what | steps of ADD | of DEL | points tried | leaks";
        const UNDOING: &str = "operation | undone by | left out | noticed by";
        let tables = [(POINTS, &self.points), (UNDOING, &self.undoing)];
        let tables = tables.into_iter().filter(|(_, rows)| !rows.is_empty()).map(|(head, rows)| {
            let rule = "---|".repeat(head.split('|').count());
            format!("| {head} |\n|{rule}\n| {} |\n\n", rows.join(" |\n| "))
        });
        tables.collect()
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

    fn command(arguments: &str) -> String {
        let given = std::iter::once("crash").chain(arguments.split_whitespace());
        let command = Alone::try_parse_from(given).unwrap().arguments.command();
        command.join(" ".as_ref()).into_string().unwrap()
    }

    #[test]
    fn operation_selects_the_test_of_its_name() {
        let test = "/root/tests/podbond-crash --test-threads=1 --nocapture";
        assert_eq!(command(""), format!("env {test}"));
        assert_eq!(
            command("--operation bond-vlan --operation sequences --seed 7 --sequences 1 --full"),
            format!(
                "env PODBOND_TEST_FULL=1 PODBOND_TEST_SEED=7 PODBOND_TEST_SEQUENCES=1 {test} \
                 bond_vlan sequences"
            )
        );
        let source = include_str!("../../crates/podbond/tests/crash/main.rs");
        for operation in OPERATIONS {
            let test = format!("\nfn {}_", operation.replace('-', "_"));
            assert_eq!(source.matches(&test).count(), 1, "{operation}");
        }
    }

    #[test]
    fn rows_are_gathered_across_writes() {
        let text = "running 1 test\n\
                    test a ... crash: host-local | killed | 6 | 12 | 36 | 0\n\
                    undo: host-local | DEL | remove | what it leaves\n\
                    crash: chain | killed | 53 | 9 | 124 | 0\n\
                    ok\n";
        let mut rows = Rows::new(Vec::new());
        let mut lines = LineWriter::new(|line: &str| rows.line(line));
        for part in text.as_bytes().chunks(7) {
            lines.write_all(part).unwrap();
        }
        assert_eq!(rows.to, b"running 1 test\nok\n");
        assert_eq!(
            rows.tables(),
            "| operation | what | steps of ADD | of DEL | points tried | leaks |\n\
             |---|---|---|---|---|---|\n\
             | host-local | killed | 6 | 12 | 36 | 0 |\n\
             | chain | killed | 53 | 9 | 124 | 0 |\n\n\
             | operation | undone by | left out | noticed by |\n\
             |---|---|---|---|\n\
             | host-local | DEL | remove | what it leaves |\n\n"
        );
    }
}
