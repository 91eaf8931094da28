//! Prints the answers of commands: lines, JSON, tables, findings. Text from manifests and from other
//! programs is escaped, so that it can neither end a line nor control a terminal.

mod finding_lines;
mod table;
mod words;

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;

use podbond_bond::Severity;
use podbond_cni::{MAX_LINE, json_text, print_error_line};
use podbond_names::OneLine;
use serde::Serialize;

use crate::error::Error;

pub(crate) use finding_lines::finding_lines;
pub(crate) use table::Table;
pub(crate) use words::{count, link_state};

/// The first error of standard output.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// Prints a line of the answer, escaped. The severity at the start of a finding has its colour where
/// standard output is a terminal.
pub(crate) fn say(line: impl Display) {
    let line = OneLine(line).cut(MAX_LINE).to_string();
    let line = if is_coloured() { coloured(&line) } else { line };
    write(format!("{line}\n").as_bytes());
}

/// Prints the answer as JSON.
pub(crate) fn say_json(answer: &impl Serialize) {
    match json_text(answer) {
        Ok(text) => write(text.as_bytes()),
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
    print_error_line(line);
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

fn is_coloured() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Returns a line with the severity at its start, if there is one, in colour.
fn coloured(line: &str) -> String {
    let (severity, _) = line.trim_start().split_once(": ").unwrap_or_default();
    let colours = [(Severity::Error, 31), (Severity::Warning, 33), (Severity::Note, 36)];
    match colours.into_iter().find(|(known, _)| known.as_str() == severity) {
        Some((_, colour)) => {
            line.replacen(severity, &format!("\u{1b}[{colour}m{severity}\u{1b}[0m"), 1)
        }
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severity_at_the_start_of_a_line_is_coloured() {
        assert_eq!(coloured("  error: x: error: y"), "  \u{1b}[31merror\u{1b}[0m: x: error: y");
        assert_eq!(coloured("pod a/b: warning: y"), "pod a/b: warning: y");
        assert_eq!(coloured(""), "");
    }
}
