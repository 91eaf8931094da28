//! What the commands print. A reader that goes away, as `head` does, ends neither the command nor
//! what it is doing: half a pod would be left.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

use crate::error::Error;

/// The first error of standard output.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// Prints a line of the command's answer.
pub(crate) fn say(line: impl Display) {
    write(format!("{line}\n").as_bytes());
}

/// Prints a part of the answer as it is.
pub(crate) fn write(text: &[u8]) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(text).and_then(|()| stdout.flush()) {
        // The first error says why.
        let _ = FAILED.set(error);
    }
}

/// Tells the person who waits something beside the answer.
pub(crate) fn note(line: impl Display) {
    // Who does not read it shall not be kept from what was asked for.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Whether all of the answer was printed, or nobody wants the rest of it.
pub(crate) fn finish() -> Result<(), Error> {
    match FAILED.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Output { problem: error.to_string() })
        }
        _ => Ok(()),
    }
}
