//! Runs other programs, and turns their failure into an error.

use std::{
    env,
    ffi::OsString,
    process::{Command, Stdio},
};

use crate::{error::Error, workspace::root};

/// Returns a `cargo` command in this workspace, without what the outer cargo left in the environment
/// and without flags of the caller's: those of `.cargo/config.toml` make executables static.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") {
            command.env_remove(name);
        }
    }
    for name in
        ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"]
    {
        command.env_remove(name);
    }
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs a program to its end. `what` is what it was started for, as in "WHAT failed".
pub(crate) fn run(command: &mut Command, what: &str) -> Result<(), Error> {
    let status =
        command.stdin(Stdio::null()).status().map_err(|source| cannot_start(command, source))?;
    if status.success() { Ok(()) } else { Err(Error::Program { what: what.to_owned(), status }) }
}

/// Runs a program to its end and returns its standard output; its messages are shown.
pub(crate) fn output(command: &mut Command, what: &str) -> Result<String, Error> {
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().map_err(|source| cannot_start(command, source))?;
    if !output.status.success() {
        return Err(Error::Program { what: what.to_owned(), status: output.status });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn cannot_start(command: &Command, source: std::io::Error) -> Error {
    Error::Start { program: command.get_program().to_string_lossy().into_owned(), source }
}
