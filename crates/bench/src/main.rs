//! Measures podbond's operations, on this machine or on the node of the lab, and prints the results
//! as JSON. `cargo xtask bench` runs it.

mod growth;
mod operation;
mod operations;

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use podbond_bench::{Document, Error, Peer, process};

/// Measure podbond
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure
    #[arg(value_enum)]
    what: What,
    /// A static C program that does nothing
    #[arg(long, value_name = "PATH")]
    nothing: PathBuf,
    /// The podbond whose start is measured
    #[arg(long, value_name = "PATH")]
    podbond: PathBuf,
    /// How often each operation is done
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// A program to measure beside podbond, by its absolute path; may be repeated
    #[arg(long, value_name = "PLUGIN=PATH")]
    peer: Vec<Peer>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// A start, which needs no lab
    Native,
    /// Each operation, on the node of the lab
    Lab,
    /// Costs at several sizes of what surrounds an operation, on the node of the lab
    Growth,
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == process::PEAK_MEMORY) {
        return process::print_peak_memory(words);
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
    let Arguments { nothing, peer: peers, runs, .. } = arguments;
    let directory = tempfile::tempdir()?;
    let path = directory.path();
    // Under a plugin's name, by which it answers a runtime.
    let podbond = path.join("bond");
    symlink(arguments.podbond.canonicalize()?, &podbond)?;
    let mut document = Document::default();
    match arguments.what {
        What::Native => {
            let start = operations::start("start, natively", nothing, &podbond, peers, path)?;
            document.rows = start.measure(*runs)?;
        }
        What::Lab => {
            operations::prepare()?;
            // Each is measured before the next is made, which writes its files anew.
            let rows = &mut document.rows;
            let start = operations::start("start", nothing, &podbond, peers, path)?;
            rows.extend(start.measure(*runs)?);
            rows.extend(operations::bond(false, peers, path)?.measure(*runs)?);
            rows.extend(operations::bond(true, peers, path)?.measure(*runs)?);
            rows.extend(operations::sriov(peers, path)?.measure(*runs)?);
            rows.extend(operations::host_local(peers, path)?.measure(*runs)?);
            rows.extend(operations::chain(peers, path)?.measure(*runs)?);
        }
        What::Growth => {
            operations::prepare()?;
            document.growth = growth::all(*runs)?;
        }
    }
    Ok(serde_json::to_string_pretty(&document)?)
}
