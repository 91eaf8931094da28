//! What `cargo xtask bench` measures, and how it is printed: one row for each thing and each who
//! does it. Times are what a clock on the wall shows; the first run of each is not counted.

mod nads;
mod plan;
mod row;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::row::{Document, table};

/// Measure podbond
#[derive(Debug, Parser)]
struct Arguments {
    /// The podbond to measure
    #[arg(long, value_name = "PATH")]
    podbond: PathBuf,
    /// How often each thing is done
    #[arg(long, value_name = "N", default_value_t = 21, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How to print the rows
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// For machines
    Json,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// What is to be measured was refused: its time would say nothing.
    #[error("{what} was refused: {why}")]
    Refused { what: String, why: String },
    /// A program that could not be started.
    #[error("cannot start {}: {source}", program.display())]
    Start { program: PathBuf, source: io::Error },
    /// The files to measure with could not be made.
    #[error("cannot write the manifests: {0}")]
    Files(#[from] io::Error),
    /// The rows could not be written down.
    #[error("cannot write the rows: {0}")]
    Rows(#[from] serde_json::Error),
}

fn main() -> ExitCode {
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
    let rows = plan::rows(&arguments.podbond, arguments.runs)?;
    Ok(match arguments.output {
        Output::Table => table(&rows),
        Output::Json => serde_json::to_string_pretty(&Document { rows })?,
    })
}
