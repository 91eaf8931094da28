//! `cargo xtask bench`: what podbond costs.

use std::process::{Command, ExitCode};

use clap::{Args, ValueEnum};

use crate::{build, error::Error};

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench
        a table
  cargo xtask bench -o json > before.json
        one document, to compare";

/// Measure what podbond costs, and print it as a table
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// How often each thing is done
    #[arg(long, value_name = "N", default_value_t = 21)]
    runs: u32,
    /// How to print what was measured
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Output {
    /// For people
    #[default]
    Table,
    /// For machines
    Json,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let podbond = build::for_bench("podbond")?;
    let program = build::for_bench("podbond-bench")?;
    let mut command = Command::new(&program);
    command.arg("--podbond").arg(podbond).args(["--runs", &arguments.runs.to_string()]);
    command.args(match arguments.output {
        Output::Table => ["--output", "table"],
        Output::Json => ["--output", "json"],
    });
    let status = command
        .status()
        .map_err(|source| Error::Start { program: program.display().to_string(), source })?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
