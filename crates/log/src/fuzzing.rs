//! What an administrator may have written of the log, and lines of what anybody may have named.

use std::time::{Duration, SystemTime};

use podbond_cni::{Code, Failure, Operation, Subject};
use podbond_settings::Settings;

use crate::config::Config;
use crate::line::{of_operation, of_warning};

/// What a pipe takes at once (`PIPE_BUF`), in bytes.
const MOST: usize = 4096;

/// Reads what the administrator's file says of the log.
pub fn config(settings: &Settings) {
    if let Err(error) = Config::of(settings) {
        let _ = error.to_string();
    }
}

/// Writes the lines of an operation of which each part is a part of the text, up to a NUL.
///
/// # Panics
/// When it is more than one line, or one that may mix with those of others.
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
    let failure = Failure::new(Code::Io, &said).with_details(parts.next().unwrap_or_default());
    let outcome = Err(&failure);
    let operation = Operation { subject: &subject, duration: Duration::ZERO, outcome };
    let now = SystemTime::UNIX_EPOCH;
    for line in [of_operation(now, &operation), of_warning(now, &subject, &said)] {
        assert!(line.len() <= MOST, "{} bytes", line.len());
        assert!(line.ends_with('\n'));
        assert!(!line.trim_end_matches('\n').contains(char::is_control), "{line:?}");
        assert_eq!(line.matches('\n').count(), 1);
    }
}
