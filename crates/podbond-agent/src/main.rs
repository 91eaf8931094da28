//! podbond-agent: on each node of a cluster, what the meta-plugin asks about pods, and what the API is told of
//! them.

mod error;
mod install;
mod primary;
mod report;
mod resolve;
mod run;
mod socket;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::run::RunArgs;

/// The agent of podbond on a node of a Kubernetes cluster
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
enum Command {
    /// Install the CNI plugins, answer them, and write the status of pods, until it is ended
    Run(RunArgs),
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let Command::Run(arguments) = Command::parse();
    // One thread: what an agent does is to wait.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run::run(arguments)),
        Err(source) => Err(error::Error::Runtime { source }),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "podbond-agent ends");
            ExitCode::FAILURE
        }
    }
}
