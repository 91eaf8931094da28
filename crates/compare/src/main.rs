//! Takes one list of cases through podbond's plugins and those that they replace, on the node of the
//! lab, and prints what differs as JSON. `cargo xtask compare` runs it.

mod cases;
mod differences;
mod facts;
mod node;
mod run;

use std::process::ExitCode;

use clap::Parser;
use podbond_bench::{Error, Peer, Plugin};
use podbond_compare::Document;

use crate::node::Node;

/// Compare podbond with the programs that it replaces
#[derive(Debug, Parser)]
struct Arguments {
    /// A program to compare with, by its absolute path; may be repeated
    #[arg(long, value_name = "PLUGIN=PATH")]
    peer: Vec<Peer>,
    /// Only cases whose name holds one of these
    #[arg(last = true, value_name = "NAMEFILTER")]
    filter: Vec<String>,
}

fn main() -> ExitCode {
    match compare(&Arguments::parse()) {
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

fn compare(arguments: &Arguments) -> Result<String, Error> {
    let mut cases = cases::all()?;
    cases.retain(|case| {
        let name = case.title();
        arguments.filter.is_empty() || arguments.filter.iter().any(|word| name.contains(word))
    });
    let node = Node::prepare()?;
    let mut document = Document::default();
    for (number, case) in cases.iter().enumerate() {
        let plugins = Plugin::with_peer(case.plugin, &arguments.peer);
        let [podbond, peer] = plugins.as_slice() else { continue };
        eprintln!("comparing {} of {}: {}", number + 1, cases.len(), case.title());
        document.differences.extend(run::compare(case, podbond, peer, &node)?);
        document.cases.push(case.title());
    }
    Ok(serde_json::to_string(&document)?)
}
