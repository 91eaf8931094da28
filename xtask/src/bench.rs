//! `cargo xtask bench`: what podbond costs, beside the kernel's own price and beside others.

mod instructions;
mod report;

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    str::FromStr,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use podbond_bench::Document;
use podbond_lab::{Accel, Kernel, Progress, Stdin};

use crate::{
    build,
    error::{Error, FileContext},
    lab,
    workspace::{root, target},
};

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench
        a table
  cargo xtask bench --quick -o json > before.json
        one document, to compare, in less than two minutes
  cargo xtask bench --only growth --write
        how costs grow, into PERFORMANCE.md and docs/
  cargo xtask bench --only instructions
        whether reading, planning and decoding take as many instructions as they did
  cargo xtask bench --only instructions --write
        keep the counts as they are now
  cargo xtask bench --peer bond=bin/bond --peer sriov=bin/sriov
        beside other programs that do the same";

/// The program that measures, and where it is in the lab.
const PROGRAM: (&str, &str) = ("podbond-bench", "/usr/local/bin/podbond-bench");

/// Where the static C program is in the lab.
const NOTHING: &str = "/usr/local/bin/nothing";

/// Where peers are in the lab: under their plugins' names, as they look for each other.
const PEERS: &str = "/opt/peers";

/// The cards of the lab: growth is measured with up to 21 VFs.
const PFS: u8 = 3;

/// How often each thing is done, and in a hurry.
const RUNS: [u32; 2] = [21, 5];

/// How long one thing is done at most, in seconds.
const PATIENCE: [u32; 2] = [600, 6];

/// No measurement takes longer, even on a machine that does much else.
const LIMIT: Duration = Duration::from_hours(1);

/// Measure what podbond costs, beside the least that the kernel asks for the same and beside others
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only the rows, with fewer runs: in all less than two minutes
    #[arg(long, conflicts_with_all = ["only", "write"])]
    quick: bool,
    /// Only this; rows and growth, unless said otherwise
    #[arg(long, value_name = "PART", value_enum)]
    only: Option<Part>,
    /// Write the tables into PERFORMANCE.md and the plots beside its other pictures; keep the
    /// instruction counts
    #[arg(long)]
    write: bool,
    /// How often each thing is done: 21, or 5 with --quick
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// A static executable to measure beside podbond: bond, sriov, host-local or multus; may be
    /// repeated. Debian's host-local is measured unless another is named
    #[arg(long, value_name = "PLUGIN=PATH")]
    peer: Vec<Peer>,
    /// How to print what was measured
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// The Debian suite whose kernel runs: bookworm (6.1), trixie (6.12) or trixie-backports
    #[arg(long, value_name = "SUITE", default_value_t = Kernel::default())]
    kernel: Kernel,
    /// Run under kvm or tcg instead of trying which works
    #[arg(long, value_name = "KIND", env = "PODBOND_LAB_ACCEL")]
    accel: Option<Accel>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Output {
    /// For people
    #[default]
    Table,
    /// For machines
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Each operation, beside its floor and the peers
    Rows,
    /// How costs grow with what there is
    Growth,
    /// Instruction counts of what reads, plans and decodes, beside those that the repository keeps
    Instructions,
}

/// A program of others that does what a plugin of podbond's does.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Peer {
    plugin: String,
    path: PathBuf,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const PLUGINS: [&str; 4] = ["bond", "sriov", "host-local", "multus"];
        match text.split_once('=') {
            Some((plugin, path)) if PLUGINS.contains(&plugin) && !path.is_empty() => {
                Ok(Self { plugin: plugin.to_owned(), path: path.into() })
            }
            _ => Err(format!("give one of {}, `=`, and a path", PLUGINS.join(", "))),
        }
    }
}

/// The executables that are measured, and the one that measures.
struct Programs {
    podbond: PathBuf,
    measuring: PathBuf,
    nothing: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    if arguments.only == Some(Part::Instructions) {
        let table = instructions::run(arguments.write)?;
        if arguments.write {
            report::write_part("instructions", &table)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let programs = Programs {
        podbond: build::for_bench("podbond")?,
        measuring: build::for_bench(PROGRAM.0)?,
        nothing: nothing()?,
    };
    let begun = Instant::now();
    let mut document = Document::default();
    if arguments.wants(Part::Rows) {
        document.rows = native(arguments, &programs, "native")?.rows;
        document.rows.extend(in_lab(arguments, &programs, "lab")?.rows);
    }
    if arguments.wants(Part::Growth) {
        document.growth = native(arguments, &programs, "codec")?.growth;
        document.growth.extend(in_lab(arguments, &programs, "growth")?.growth);
    }
    let known = report::keep(&document)?;
    if arguments.write {
        report::write(&known)?;
    }
    eprintln!("xtask: all this took {} s", begun.elapsed().as_secs());
    match arguments.output {
        Output::Table => println!("{}", report::text(&document)),
        Output::Json => println!("{}", serde_json::to_string_pretty(&document)?),
    }
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    fn wants(&self, part: Part) -> bool {
        match self.only {
            Some(only) => only == part,
            None => part == Part::Rows || !self.quick,
        }
    }

    /// What the program is told that measures, with the peers where they are.
    fn words(
        &self,
        peer: impl Fn(&Peer) -> Result<PathBuf, Error>,
    ) -> Result<Vec<OsString>, Error> {
        let runs = self.runs.unwrap_or(RUNS[usize::from(self.quick)]);
        let patience = PATIENCE[usize::from(self.quick)];
        let numbers = [("--runs", runs), ("--patience", patience)];
        let mut words: Vec<OsString> = numbers
            .into_iter()
            .flat_map(|(option, number)| [option.into(), number.to_string().into()])
            .collect();
        for one in &self.peer {
            let mut word = OsString::from(format!("{}=", one.plugin));
            word.push(peer(one)?);
            words.extend(["--peer".into(), word]);
        }
        Ok(words)
    }
}

/// What needs no lab.
fn native(arguments: &Arguments, programs: &Programs, what: &str) -> Result<Document, Error> {
    eprintln!("xtask: measuring outside the lab");
    let mut command = Command::new(&programs.measuring);
    command.arg(what).arg("--nothing").arg(&programs.nothing);
    command.arg("--podbond").arg(&programs.podbond);
    command.args(arguments.words(|peer| peer.path.canonicalize().file("find", &peer.path))?);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|source| Error::Start { program: PROGRAM.0.into(), source })?;
    if !output.status.success() {
        return Err(Error::Program { what: "measuring".into(), status: output.status });
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What plugins do on a node: the rows, or how costs grow.
fn in_lab(arguments: &Arguments, programs: &Programs, what: &str) -> Result<Document, Error> {
    let place = |peer: &Peer| Path::new(PEERS).join(&peer.plugin);
    let mut builder = lab::bare(programs.podbond.clone()).pfs(PFS).vfs(1).kernel(arguments.kernel);
    builder = builder.accel(arguments.accel).add(&programs.measuring, PROGRAM.1);
    builder = builder.add(&programs.nothing, NOTHING);
    builder = arguments.peer.iter().fold(builder, |lab, peer| lab.add(&peer.path, place(peer)));
    let progress = Progress::on_stderr();
    let lab = builder.prepare(&progress)?;
    progress.begin(format_args!("booting the lab under {}", lab.accel()));
    let mut command: Vec<OsString> =
        [PROGRAM.1, what, "--nothing", NOTHING].map(OsString::from).into();
    command.extend(arguments.words(|peer| Ok(place(peer)))?);
    let (mut output, mut errors) = (Vec::new(), io::stderr());
    let status = lab.run(&command, Stdin::Empty, &mut output, &mut errors, Some(LIMIT))?;
    if status != 0 {
        return Err(Error::Measuring { status });
    }
    Ok(serde_json::from_slice(&output)?)
}

/// Compiles the static C program that does nothing.
fn nothing() -> Result<PathBuf, Error> {
    let directory = target().join("bench");
    fs::create_dir_all(&directory).file("make", &directory)?;
    let program = directory.join("nothing");
    let mut command = Command::new("cc");
    command.args(["-O2", "-static", "-no-pie", "-o"]).arg(&program);
    let status = command.arg(root().join("crates/bench/nothing.c")).status();
    let status = status.map_err(|source| Error::Start { program: "cc".into(), source })?;
    if status.success() {
        Ok(program)
    } else {
        Err(Error::Program { what: "compiling crates/bench/nothing.c".into(), status })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_one_of_the_plugins_and_a_path() {
        let peer: Peer = "host-local=bin/a=b".parse().unwrap();
        assert_eq!(
            (peer.plugin.as_str(), peer.path.as_path()),
            ("host-local", Path::new("bin/a=b"))
        );
        for wrong in ["bond", "bond=", "bridge=/bin/bridge"] {
            assert!(wrong.parse::<Peer>().is_err(), "{wrong}");
        }
    }
}
