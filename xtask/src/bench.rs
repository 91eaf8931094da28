//! `cargo xtask bench`: times and memory of podbond's operations beside the kernel's own cost and
//! other plugins, growth, and instruction counts; and what it costs in a cluster.

mod cluster;
mod instructions;
mod report;

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use clap::{Args, ValueEnum};
use podbond_bench::{Document, Peer};
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
        tables: each operation beside its floor, and growth
  cargo xtask bench --quick -o json > before.json
        the operations with few runs, as one document to compare
  cargo xtask bench --only growth --write
        how costs grow, into PERFORMANCE.md
  cargo xtask bench --only instructions
        whether parsing, planning and decoding take as many instructions as they did
  cargo xtask bench --only instructions --write
        keep the counts as they are now
  cargo xtask bench --peer bond=bin/bond --peer sriov=bin/sriov
        beside other programs that do the same
  cargo xtask bench --cluster --peer bond=bin/bond --peer sriov=bin/sriov --peer multus=bin/multus
        pods of a cluster beside a thin Multus; and what the agent costs
  cargo xtask bench --only agent
        what the agent costs: memory, requests, time, without a virtual machine";

/// The program that measures, and where it is in the lab.
const PROGRAM: (&str, &str) = ("podbond-bench", "/usr/local/bin/podbond-bench");

/// Where the static C program is in the lab.
const NOTHING: &str = "/usr/local/bin/nothing";

/// podbond as the plugin whose start is measured in the lab.
const PODBOND: &str = "/opt/cni/bin/bond";

/// The PFs of the lab: growth is measured with up to 21 VFs.
const PFS: u8 = 3;

/// How often each operation is done.
const RUNS: u32 = 21;

/// How often with `--quick`.
const QUICK_RUNS: u32 = 5;

/// No measurement takes longer, even on a machine that does much else.
const LIMIT: Duration = Duration::from_hours(1);

/// Measure podbond beside the shortest sequence of kernel operations, and beside other plugins
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only the operations, with fewer runs
    #[arg(long, conflicts_with_all = ["only", "write"])]
    quick: bool,
    /// In a Kubernetes cluster: the parts agent and pods
    #[arg(long, conflicts_with = "quick")]
    cluster: bool,
    /// Only this part
    #[arg(long, value_name = "PART", value_enum)]
    only: Option<Part>,
    /// Write the tables into PERFORMANCE.md, and the instruction counts into the file that is
    /// compared with
    #[arg(long)]
    write: bool,
    /// How often each operation is done: 21, or 5 with --quick and of the pods of a cluster
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// A static executable to measure beside podbond: bond, sriov, host-local or multus; may be
    /// repeated. Debian's host-local is measured unless another is named. In a cluster a thin Multus is
    /// multus with bond and sriov, a thick one multus-daemon and multus-shim with these
    #[arg(long, value_name = "PLUGIN=PATH")]
    peer: Vec<Peer>,
    /// For how long an idle agent is watched, once in a small and once in a large cluster
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(10..))]
    idle: u64,
    /// How to print the results
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// The Debian suite whose kernel runs: bullseye (5.10), bookworm (6.1), trixie (6.12) or
    /// trixie-backports
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
    /// How costs grow with leases, pods at once, VFs and links
    Growth,
    /// Instruction counts of parsing, planning and decoding, beside those that the repository keeps
    Instructions,
    /// What the agent costs against an API server without nodes
    Agent,
    /// Pods of a cluster, beside Multus
    Pods,
}

/// The executables that are measured, and the one that measures.
struct Programs {
    podbond: PathBuf,
    measuring: PathBuf,
    nothing: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    if arguments.cluster || matches!(arguments.only, Some(Part::Agent | Part::Pods)) {
        return cluster::run(arguments);
    }
    if arguments.only == Some(Part::Instructions) {
        let table = instructions::run(arguments.write)?;
        if arguments.write {
            report::write_part("instructions", &table)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let programs = Programs {
        podbond: build::for_dist("podbond")?,
        measuring: build::for_dist(PROGRAM.0)?,
        nothing: nothing()?,
    };
    let mut document = Document::default();
    if arguments.wants(Part::Rows) {
        let size = fs::metadata(&programs.podbond).file("read", &programs.podbond)?.len();
        document.executable_kb = Some(size.div_ceil(1024));
        document.rows = measure_natively(arguments, &programs)?.rows;
        document.rows.extend(measure_in_lab(arguments, &programs, "lab")?.rows);
    }
    if arguments.wants(Part::Growth) {
        document.growth = measure_in_lab(arguments, &programs, "growth")?.growth;
    }
    if arguments.write {
        report::write(&document)?;
    }
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
            None if matches!(part, Part::Agent | Part::Pods) => self.cluster,
            None => part == Part::Rows || !self.quick,
        }
    }

    /// Returns the arguments of the program that measures, with executables where it finds them.
    fn words(&self, what: &str, nothing: &Path, podbond: &Path, peers: &[Peer]) -> Vec<OsString> {
        let runs = self.runs.unwrap_or(if self.quick { QUICK_RUNS } else { RUNS }).to_string();
        let mut words = vec![what.into(), "--runs".into(), runs.into()];
        words.extend(["--nothing".into(), nothing.into(), "--podbond".into(), podbond.into()]);
        words.extend(peers.iter().flat_map(Peer::words));
        words
    }
}

/// Measures what needs no lab: a start.
fn measure_natively(arguments: &Arguments, programs: &Programs) -> Result<Document, Error> {
    eprintln!("xtask: measuring outside the lab");
    let mut peers = Vec::new();
    for Peer { plugin, path } in &arguments.peer {
        let path = path.canonicalize().file("find", path)?;
        peers.push(Peer { plugin: plugin.clone(), path });
    }
    let mut command = Command::new(&programs.measuring);
    command.args(arguments.words("native", &programs.nothing, &programs.podbond, &peers));
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|source| Error::Start { program: PROGRAM.0.into(), source })?;
    if !output.status.success() {
        return Err(Error::Program { what: "measuring".into(), status: output.status });
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Measures what plugins do on the lab's node: the rows, or how costs grow.
fn measure_in_lab(
    arguments: &Arguments,
    programs: &Programs,
    what: &str,
) -> Result<Document, Error> {
    let mut builder = lab::bare(programs.podbond.clone()).pfs(PFS).vfs(1).kernel(arguments.kernel);
    builder = builder.accel(arguments.accel).add(&programs.measuring, PROGRAM.1);
    builder = builder.add(&programs.nothing, NOTHING);
    let (builder, peers) = lab::add_peers(builder, &arguments.peer);
    let progress = Progress::on_stderr();
    let lab = builder.prepare(&progress)?;
    progress.begin(format_args!("booting the lab under {}", lab.accel()));
    let mut command: Vec<OsString> = vec![PROGRAM.1.into()];
    command.extend(arguments.words(what, Path::new(NOTHING), Path::new(PODBOND), &peers));
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
