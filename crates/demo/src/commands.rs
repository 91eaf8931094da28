//! Runs the commands that a person would type, and reads `podbond status`.

use std::borrow::BorrowMut;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::POD;
use crate::error::Error;

/// Returns a podbond command.
pub(crate) fn podbond<const N: usize>(arguments: [&str; N]) -> Command {
    command("podbond", arguments)
}

/// Returns a command that podbond runs in the pod.
pub(crate) fn in_pod<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = podbond(["exec", "-n", "demo", POD, "--"]);
    command.args(arguments);
    command
}

/// Returns any command.
pub(crate) fn command<const N: usize>(program: &str, arguments: [&str; N]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Runs a command and returns what it printed.
pub(crate) fn run(mut command: impl BorrowMut<Command>) -> Result<String, Error> {
    let command = command.borrow_mut();
    let typed = typed(command);
    let output = command.stdin(Stdio::null()).output().map_err(Error::io(&typed))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let output_text = printed + &String::from_utf8_lossy(&output.stderr);
    Err(Error::Command { command: typed, status: output.status.to_string(), output: output_text })
}

/// Runs a command that prints JSON.
pub(crate) fn run_json(mut command: impl BorrowMut<Command>) -> Result<Value, Error> {
    let command = command.borrow_mut();
    let output = run(&mut *command)?;
    serde_json::from_str(&output).map_err(|_| Error::Parse { command: typed(command), output })
}

/// Runs a command, and shows it and what it prints.
pub(crate) fn show(mut command: impl BorrowMut<Command>) -> Result<(), Error> {
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

/// The interfaces of the pod, as `podbond status -o json` shows them.
pub(crate) struct PodStatus(Value);

impl PodStatus {
    /// Asks for them.
    pub(crate) fn read() -> Result<Self, Error> {
        let mut status = run_json(podbond(["status", "-n", "demo", POD, "-o", "json"]))?;
        Ok(Self(status["pods"][0]["interfaces"].take()))
    }

    /// Returns a field of an interface by its JSON pointer; null where there is none.
    pub(crate) fn field(&self, interface: &str, pointer: &str) -> &Value {
        let interfaces = self.0.as_array().into_iter().flatten();
        let mut named = interfaces.filter(|found| found["name"] == interface);
        named.next().and_then(|found| found.pointer(pointer)).unwrap_or(&Value::Null)
    }

    /// Returns a field that must be there and a string.
    pub(crate) fn text(&self, interface: &str, pointer: &str) -> Result<&str, Error> {
        self.field(interface, pointer).as_str().ok_or_else(|| Error::NotTrue {
            claim: format!("{interface} has {pointer} in podbond status"),
            seen: self.0.to_string(),
        })
    }
}
