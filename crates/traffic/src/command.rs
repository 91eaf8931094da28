//! Commands of the lab.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::Error;

/// iproute2's `ip`; it must succeed. `arguments` are words between spaces.
pub(crate) fn ip(arguments: &str) -> Result<String, Error> {
    run(Command::new("ip").args(arguments.split_whitespace()), "")
}

/// Runs a command with this input and gives what it printed; it must succeed.
pub(crate) fn run(command: &mut Command, input: &str) -> Result<String, Error> {
    let output = output(command, input)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let said = text + &String::from_utf8_lossy(&output.stderr);
    Err(Error::Command {
        command: typed(command),
        status: output.status.to_string(),
        output: said.trim().to_owned(),
    })
}

/// Runs a command with this input and gives all that it said, however it ended.
pub(crate) fn output(command: &mut Command, input: &str) -> Result<Output, Error> {
    let line = typed(command);
    let failed = || Error::io(format!("run `{line}`"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed())?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read its input tells by its answer why.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output().map_err(failed())
}

/// The command as a person would type it.
pub(crate) fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
