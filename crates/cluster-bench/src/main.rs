//! Measures podbond in a Kubernetes cluster, beside Multus and beside a bare client of the API, and prints the
//! figures as JSON. `cargo xtask bench --cluster` runs it, with the environment of a command in the lab's cluster.

mod agent;
mod audit;
mod error;
mod metrics;
mod multus;
mod native;
mod node;
mod objects;
mod plugin;
mod wait;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use podbond_bench::Figure;
/// Measure podbond in a cluster
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The agent on this machine, against an API server without nodes; in a mount namespace of its own
    Native(Native),
    /// Pods on a node of the cluster
    Node(Node),
}

#[derive(Debug, clap::Args)]
struct Native {
    /// podbond's executable
    #[arg(long, value_name = "PATH")]
    podbond: PathBuf,
    /// The agent's executable
    #[arg(long, value_name = "PATH")]
    agent: PathBuf,
    /// The folder with podbond's manifests
    #[arg(long, value_name = "DIR")]
    deploy: PathBuf,
    /// How often a pod is attached
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// For how long an idle agent is watched
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    idle: Duration,
}

#[derive(Debug, clap::Args)]
struct Node {
    /// The folder with podbond's manifests
    #[arg(long, value_name = "DIR")]
    deploy: PathBuf,
    /// The folder with the manifests of the documented bond
    #[arg(long, value_name = "DIR")]
    examples: PathBuf,
    /// How many pods each of the programs attaches
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// A thin Multus is on the node
    #[arg(long)]
    thin: bool,
    /// A thick Multus is on the node
    #[arg(long)]
    thick: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).map_err(|_| "give a number of seconds".to_owned())
}

fn main() -> ExitCode {
    let measured: Result<Vec<Figure>, error::Error> = match Arguments::parse().what {
        What::Native(arguments) => native::measure(&arguments),
        What::Node(arguments) => node::measure(&arguments),
    };
    match measured.and_then(|figures| Ok(serde_json::to_string_pretty(&figures)?)) {
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
