//! podbond: pod-level bonding of SR-IOV virtual functions for Kubernetes, in one executable.
//!
//! Called by the name of a plugin it is that plugin, and the meta-plugin when a runtime calls it by its
//! own name; called in any other way it is the command for people. The name is looked up before
//! anything else is done.

// They panic where nobody reads: the module `output` prints.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod cli;
mod commands;
mod error;
mod manifests;
mod meta;
mod node;
mod output;
mod plugins;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use podbond_cni::{Delegates, Lookup, META_PLUGINS, serve};
use podbond_log::{Caller, Log};

use crate::plugins::Plugins;

/// The logs of operations: those that a runtime asks for, and those of a person's commands.
static RUNTIMES: Log = Log::new(podbond_state::settings::PATH, Caller::Runtime);
static PERSONS: Log = Log::new(podbond_state::settings::PATH, Caller::Person);

fn main() -> ExitCode {
    let called_as = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&called_as).file_name().and_then(OsStr::to_str).unwrap_or_default();
    let plugins = Plugins::default();
    let table = plugins.table();
    let of_runtime = Delegates::new(&table, Lookup::PathOnly).with_journal(&RUNTIMES);
    match table.iter().find(|plugin| plugin.name() == name) {
        Some(plugin) => serve(*plugin, &of_runtime),
        None if META_PLUGINS.contains(&name) && std::env::var_os("CNI_COMMAND").is_some() => {
            serve(&meta::Meta::default(), &of_runtime)
        }
        None => cli::run(&Delegates::new(&table, Lookup::PathThenBuiltin).with_journal(&PERSONS)),
    }
}
