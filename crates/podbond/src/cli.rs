//! Runs the command that the command line asks for, and turns its outcome into an exit status.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use podbond_cni::Delegates;
use podbond_names::OneLine;

use crate::arguments::{Cli, Command};
use crate::commands;
use crate::node::Node;
use crate::output::{self, note};

/// Parses the command line, runs the command and returns the exit status.
pub(crate) fn run(delegates: &Delegates<'_>) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            if error.use_stderr() {
                usage_error(error).lines().for_each(note);
                return ExitCode::from(WRONG_USE);
            }
            // Help and version. Nothing more can be done when they cannot be printed.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
    };
    let node = Node::new(delegates);
    let outcome = match cli.command {
        Command::Apply(args) => commands::apply(&node, &args),
        Command::Delete(args) => commands::delete(&node, &args),
        Command::Status(args) => commands::status(&node, &args),
        Command::Exec(args) => Err(commands::exec(&node, &args)),
        Command::Plan(args) => commands::plan(&node, &args),
        Command::Doctor { output } => commands::doctor(&node, output),
        Command::Check(args) => commands::check(&node, &args),
        Command::Gc(args) => commands::gc(&node, &args),
        Command::Install(args) => commands::install(&args.dir, &args.only),
        Command::Uninstall(args) => commands::uninstall(&args.dir, &args.only),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "podbond", &mut script);
            output::write(&script);
            Ok(())
        }
    };
    match outcome.and_then(|()| output::finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.lines().iter().for_each(|line| note(format_args!("podbond: {line}")));
            ExitCode::from(error.exit_status())
        }
    }
}

/// The exit status of a command line that is not understood.
const WRONG_USE: u8 = 2;

/// Returns what is wrong with the command line. The message quotes arguments as they are, so that it is
/// made of escaped ones: all its line feeds are its own.
fn usage_error(error: clap::Error) -> String {
    let arguments = std::env::args_os().map(|it| OneLine(it.to_string_lossy()).to_string());
    let escaped = Cli::try_parse_from(arguments).err().unwrap_or(error);
    escaped.render().to_string()
}
