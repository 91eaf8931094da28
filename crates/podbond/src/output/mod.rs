//! Prints the answers of commands: lines, JSON, tables, findings. Text from manifests and from other
//! programs is escaped, so that it can neither end a line nor control a terminal.

mod finding_lines;
mod table;
mod words;

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

use podbond_names::OneLine;
use serde::Serialize;

use crate::error::Error;

pub(crate) use finding_lines::finding_lines;
pub(crate) use table::Table;
pub(crate) use words::{count, link_state};

/// The first error of standard output.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// Prints a line of the answer, escaped.
pub(crate) fn say(line: impl Display) {
    write(format!("{}\n", OneLine(line)).as_bytes());
}

/// Prints the answer as JSON.
pub(crate) fn say_json(answer: &impl Serialize) {
    match serde_json::to_string_pretty(answer) {
        Ok(text) => write(format!("{text}\n").as_bytes()),
        Err(error) => fail(error.into()),
    }
}

/// Prints a part of the answer as it is. A reader that goes away, as `head` does, ends neither the
/// command nor what it is doing, which would leave half a pod.
pub(crate) fn write(text: &[u8]) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(text).and_then(|()| stdout.flush()) {
        fail(error);
    }
}

/// Prints a line on standard error, escaped. An error there is ignored.
pub(crate) fn note(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{}", OneLine(line));
}

/// Returns an error if the answer could not be printed although somebody reads it.
pub(crate) fn finish() -> Result<(), Error> {
    match FAILED.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Output { problem: error.to_string() })
        }
        _ => Ok(()),
    }
}

fn fail(error: io::Error) {
    // The first error has the cause.
    let _ = FAILED.set(error);
}
