//! What podbond costs: run by `cargo xtask bench`, natively and in the lab. Rows go to standard
//! output as JSON.

mod bond;
mod case;
mod chain;
mod codec;
mod error;
mod grow;
mod ip;
mod lease;
mod memory;
mod peers;
mod plan;
mod plugin;
mod process;
mod sriov;
mod start;
mod trace;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use podbond_bench::{Document, Growth, Row};

use crate::case::{Case, Method};
use crate::error::Error;
use crate::peers::{Peer, Peers};

/// In the lab.
const STRACE: &str = "/usr/bin/strace";

/// Measure podbond
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What needs no lab: starting, and planning
    Native {
        /// The podbond to measure
        #[arg(long, value_name = "PATH")]
        podbond: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// How the cost of reading messages grows, which needs no lab
    Codec {
        /// Not looked at: no message is sent
        #[arg(long, value_name = "PATH")]
        podbond: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// What plugins do, on the node of the lab
    Lab {
        #[command(flatten)]
        common: Common,
    },
    /// How costs grow with what there is, on the node of the lab
    Growth {
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Args)]
struct Common {
    /// A static C program that does nothing
    #[arg(long, value_name = "PATH")]
    nothing: PathBuf,
    /// How often each thing is done
    #[arg(long, value_name = "N", default_value_t = 21, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// No run of a thing begins when it has been done for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    patience: u64,
    /// A program to measure beside podbond; may be repeated
    #[arg(long, value_name = "PLUGIN=PATH")]
    peer: Vec<Peer>,
}

impl Common {
    fn method<'a>(&self, itself: &'a Path) -> Method<'a> {
        let patience = Duration::from_secs(self.patience);
        let strace = Some(Path::new(STRACE));
        Method { runs: self.runs, patience, strace, itself: Some(itself) }
    }
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == memory::WORD) {
        return memory::start(words);
    }
    match measure(&Arguments::parse()) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<String, Error> {
    let rows = |rows| Document { rows, ..Document::default() };
    let document = match &arguments.what {
        What::Native { podbond, common } => rows(native(podbond, common)?),
        What::Lab { common } => rows(lab(common)?),
        What::Codec { common, .. } => {
            Document { growth: vec![codec::growth(common.runs)], ..Document::default() }
        }
        What::Growth { common } => Document { growth: growth(common)?, ..Document::default() },
    };
    Ok(serde_json::to_string_pretty(&document)?)
}

fn native(podbond: &Path, common: &Common) -> Result<Vec<Row>, Error> {
    let directory = tempfile::tempdir()?;
    let bond = directory.path().join("bond");
    symlink(podbond.canonicalize()?, &bond)?;
    let peers = Peers(common.peer.clone());
    let programs: Vec<_> =
        std::iter::once(("podbond".to_owned(), bond)).chain(peers.programs()).collect();
    let case = start::case("start, natively", &common.nothing, &programs, directory.path())?;
    let itself = std::env::current_exe()?;
    let method = Method { strace: None, ..common.method(&itself) };
    let mut rows = case.measure(method)?;
    rows.extend(plan::rows(podbond, common.runs)?);
    Ok(rows)
}

fn growth(common: &Common) -> Result<Vec<Growth>, Error> {
    let itself = std::env::current_exe()?;
    bond::prepare()?;
    sriov::prepare()?;
    grow::all(common.method(&itself))
}

fn lab(common: &Common) -> Result<Vec<Row>, Error> {
    let itself = std::env::current_exe()?;
    let method = common.method(&itself);
    let peers = Peers(common.peer.clone());
    let measure = |case: &dyn Fn(&Path) -> Result<Case, Error>| {
        let directory = tempfile::tempdir()?;
        let case = case(directory.path())?;
        eprintln!("measuring: {}", case.name);
        case.measure(method)
    };
    bond::prepare()?;
    sriov::prepare()?;
    chain::prepare()?;
    let [bond, sriov, lease, chain] =
        ["bond", "sriov", "host-local", "multus"].map(|name| peers.plugin(name));
    let programs: Vec<_> = std::iter::once(("podbond".to_owned(), "/opt/cni/bin/bond".into()))
        .chain(peers.programs())
        .collect();
    let parts = [
        measure(&|directory| start::case("start", &common.nothing, &programs, directory))?,
        measure(&|directory| bond::case(false, bond.as_ref(), directory))?,
        measure(&|directory| bond::case(true, bond.as_ref(), directory))?,
        measure(&|directory| sriov::case(sriov.as_ref(), directory))?,
        measure(&|directory| lease::case(lease.as_ref(), directory))?,
        measure(&|directory| chain::case(chain.as_ref(), directory))?,
    ];
    Ok(parts.into_iter().flatten().collect())
}
