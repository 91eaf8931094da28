//! The commands that a person would type.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::POD;
use crate::error::Error;

/// A podbond command.
pub(crate) fn podbond<const N: usize>(args: [&str; N]) -> Command {
    command("podbond", args)
}

/// Any command.
pub(crate) fn command<const N: usize>(program: &str, args: [&str; N]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// Runs a command and gives what it printed.
pub(crate) fn run(mut command: impl std::borrow::BorrowMut<Command>) -> Result<String, Error> {
    let command = command.borrow_mut();
    let line = typed(command);
    let output =
        command.stdin(Stdio::null()).output().map_err(|source| Error::start(&line, source))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        let output_text = text + &String::from_utf8_lossy(&output.stderr);
        Err(Error::Command {
            command: line,
            status: output.status.to_string(),
            output: output_text,
        })
    }
}

/// Runs a command as [`run`] does, and shows it and what it prints.
pub(crate) fn show(mut command: impl std::borrow::BorrowMut<Command>) -> Result<(), Error> {
    let command = command.borrow_mut();
    println!("\n$ {}", typed(command));
    command.stderr(Stdio::inherit());
    print!("{}", run(command)?);
    Ok(())
}

fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The pod as `podbond status -o json` shows it.
pub(crate) struct Pod(Value);

impl Pod {
    pub(crate) fn look() -> Result<Self, Error> {
        let text = run(podbond(["status", "-n", "demo", POD, "-o", "json"]))?;
        let status: Value =
            serde_json::from_str(&text).map_err(|_| Error::unread("podbond status", &text))?;
        Ok(Self(status["pods"][0].clone()))
    }

    /// The port that carries the traffic of a bond.
    pub(crate) fn active_port(&self, bond: &str) -> Option<String> {
        let port = &self.interface(bond)?["bond"]["activePort"];
        port.as_str().map(str::to_owned)
    }

    /// The PF under a port.
    pub(crate) fn pf(&self, port: &str) -> Option<String> {
        self.interface(port)?["function"]["pf"].as_str().map(str::to_owned)
    }

    /// The PCI address of the VF behind a port.
    pub(crate) fn pci(&self, port: &str) -> Option<String> {
        self.interface(port)?["function"]["pci"].as_str().map(str::to_owned)
    }

    pub(crate) fn has_carrier(&self, port: &str) -> bool {
        self.interface(port).is_some_and(|port| port["carrier"] == true)
    }

    fn interface(&self, name: &str) -> Option<&Value> {
        self.0["interfaces"].as_array()?.iter().find(|interface| interface["name"] == name)
    }
}
