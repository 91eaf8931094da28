//! Prints the table, line by line; progress goes to standard error.

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use podbond_kernel::BondMode;
use podbond_traffic::{Bench, Error, cells, head};
use serde_json::{Value, json};

/// Send every protocol through bonds of every mode, and count what is lost
#[derive(Debug, Parser)]
struct Arguments {
    /// The modes
    #[arg(long, required = true, value_name = "MODE", value_parser = mode)]
    mode: Vec<BondMode>,
    /// The numbers of ports
    #[arg(long, required = true, value_name = "N")]
    ports: Vec<usize>,
    /// The MTUs
    #[arg(long, required = true, value_name = "BYTES")]
    mtu: Vec<u32>,
    /// How to print what was counted
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// For machines
    Json,
}

fn mode(name: &str) -> Result<BondMode, String> {
    BondMode::from_name(name).ok_or_else(|| "no mode of the bonding driver".to_owned())
}

fn main() -> ExitCode {
    measure(&Arguments::parse()).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

fn measure(arguments: &Arguments) -> Result<ExitCode, Error> {
    let cells = cells(&arguments.mode, &arguments.ports, &arguments.mtu);
    let begun = Instant::now();
    let mut bench = Bench::prepare(&cells)?;
    let mut documents: Vec<Value> = Vec::new();
    let mut failed = 0;
    if arguments.output == Output::Table {
        println!("{}", head());
    }
    for (position, &cell) in cells.iter().enumerate() {
        eprintln!(
            "traffic: {} s: {} of {}: {} over {} ports, mtu {}",
            begun.elapsed().as_secs(),
            position + 1,
            cells.len(),
            cell.mode,
            cell.ports,
            cell.mtu
        );
        match (bench.measure(cell), arguments.output) {
            (Ok(row), Output::Table) => println!("{}", row.line()),
            (Ok(row), Output::Json) => documents.push(row.document()),
            // The other lines are worth having all the same.
            (Err(error), _) => {
                eprintln!(
                    "error: {} over {} ports, mtu {}: {error}",
                    cell.mode, cell.ports, cell.mtu
                );
                failed += 1;
            }
        }
    }
    if arguments.output == Output::Json {
        println!("{:#}", json!({"rows": documents}));
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
