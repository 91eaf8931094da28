//! For fuzzing: the table `[log]`, and lines of operations with values from outside.

use std::time::{Duration, SystemTime};

use podbond_cni::{Code, Failure, Operation, Subject};
use podbond_state::settings::Settings;

use crate::config::log_file;
use crate::line::{of_operation, of_warning};

/// What a pipe takes at once (`PIPE_BUF`), in bytes.
const MAX_LINE: usize = 4096;

/// Reads the table `[log]`.
pub fn config(settings: &Settings) {
    if let Err(error) = log_file(settings) {
        let _ = error.to_string();
    }
}

/// Formats the lines of an operation and a warning whose values are the parts of a text between NULs.
///
/// # Panics
/// If a line has a control character or is longer than `PIPE_BUF`.
pub fn line(text: &str) {
    let mut parts = text.split('\0').map(str::to_owned);
    let mut subject = Subject {
        plugin: parts.next().unwrap_or_default(),
        command: parts.next().unwrap_or_default(),
        ..Subject::default()
    };
    for field in [
        &mut subject.pod,
        &mut subject.container,
        &mut subject.network,
        &mut subject.interface,
        &mut subject.netns,
        &mut subject.device,
        &mut subject.program,
    ] {
        *field = parts.next();
    }
    let said = parts.next().unwrap_or_default();
    let failure = Failure::new(Code::IO, &said).with_details(parts.next().unwrap_or_default());
    let outcome = Err(&failure);
    let operation = Operation { subject: &subject, duration: Duration::ZERO, outcome };
    let now = SystemTime::UNIX_EPOCH;
    for line in [of_operation(now, &operation), of_warning(now, &subject, &said)] {
        assert!(line.len() <= MAX_LINE, "{} bytes", line.len());
        assert!(line.ends_with('\n'));
        assert!(!line.trim_end_matches('\n').contains(char::is_control), "{line:?}");
        assert_eq!(line.matches('\n').count(), 1);
    }
}
