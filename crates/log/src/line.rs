//! The logfmt line of an operation or a warning: keys, limits on values, and quoting.

use std::fmt::{Display, Write};
use std::time::SystemTime;

use podbond_cni::{Failure, Operation, Subject};
use podbond_names::OneLine;

/// How long values may be, in bytes as written. Together they keep a line below 4096 bytes: what a
/// pipe takes at once (`PIPE_BUF`), so that the lines of two processes do not mix.
mod limit {
    /// A command, a link, a PCI address.
    pub(super) const WORD: usize = 64;
    /// A name or a path.
    pub(super) const NAME: usize = 250;
    /// A pod's name has 253 bytes, its namespace 63.
    pub(super) const POD: usize = 320;
    pub(super) const MSG: usize = 1300;
    pub(super) const DETAILS: usize = 600;
}

/// Stands for the rest of a value that is longer than its limit.
const CUT: char = '\u{2026}';

/// Returns the line of an operation that ended at `now`, with a line feed.
pub(crate) fn of_operation(now: SystemTime, operation: &Operation<'_>) -> String {
    let level = if operation.outcome.is_ok() { "info" } else { "error" };
    let mut line = begin(now, level, operation.subject);
    let ms = operation.duration.as_micros();
    let _ = write!(line, " duration_ms={}.{:03}", ms / 1000, ms % 1000);
    match operation.outcome {
        Ok(()) => line.push_str(" outcome=ok"),
        Err(Failure { code, msg, details }) => {
            let _ = write!(line, " outcome=error code={}", code.number());
            pair(&mut line, "msg", msg, limit::MSG);
            if !details.is_empty() {
                pair(&mut line, "details", details, limit::DETAILS);
            }
        }
    }
    line.push('\n');
    line
}

/// Returns the line of a warning, with a line feed.
pub(crate) fn of_warning(now: SystemTime, subject: &Subject, warning: &dyn Display) -> String {
    let mut line = begin(now, "warning", subject);
    pair(&mut line, "msg", &warning.to_string(), limit::MSG);
    line.push('\n');
    line
}

/// Returns what the lines of operations and warnings have in common: time, level and subject.
fn begin(now: SystemTime, level: &str, subject: &Subject) -> String {
    let mut line = String::with_capacity(512);
    // Time before 1970 cannot be formatted: such a clock is wrong.
    let now = humantime::format_rfc3339_millis(now.max(SystemTime::UNIX_EPOCH));
    let _ = write!(line, "time={now} level={level}");
    pair(&mut line, "plugin", &subject.plugin, limit::NAME);
    for (key, value, max) in [
        ("program", &subject.program, limit::NAME),
        ("command", &Some(subject.command.clone()), limit::WORD),
        ("pod", &subject.pod, limit::POD),
        ("container", &subject.container, limit::NAME),
        ("network", &subject.network, limit::NAME),
        ("interface", &subject.interface, limit::WORD),
        ("netns", &subject.netns, limit::NAME),
        ("device", &subject.device, limit::WORD),
    ] {
        if let Some(value) = value {
            pair(&mut line, key, value, max);
        }
    }
    line
}

/// Adds a key and its value, of which at most `max` bytes are written. A value that is not plain
/// ASCII is quoted and escaped as in JSON: no value ends its line, passes for another key or is
/// obeyed by a terminal.
fn pair(line: &mut String, key: &str, value: &str, max: usize) {
    let quote = if is_plain(value) { "" } else { "\"" };
    let _ = write!(line, " {key}={quote}");
    let start = line.len();
    for c in value.chars() {
        let before = line.len();
        let backslash = if matches!(c, '"' | '\\') { "\\" } else { "" };
        let _ = write!(line, "{backslash}{}", OneLine(c));
        if line.len() - start > max {
            line.truncate(before);
            line.push(CUT);
            break;
        }
    }
    line.push_str(quote);
}

/// Returns true for a value that stands without quotes.
fn is_plain(value: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\');
    !value.is_empty() && value.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use podbond_cni::Code;
    use proptest::prelude::*;

    use super::*;

    fn subject() -> Subject {
        Subject {
            plugin: "bond".to_owned(),
            command: "ADD".to_owned(),
            pod: Some("demo/bondpod1".to_owned()),
            container: Some("c1".to_owned()),
            network: Some("bond-net1".to_owned()),
            interface: Some("net3".to_owned()),
            netns: Some("/run/netns/c1".to_owned()),
            ..Subject::default()
        }
    }

    fn line(subject: &Subject, outcome: Result<(), &Failure>) -> String {
        let operation = Operation { subject, duration: Duration::from_micros(12_345), outcome };
        of_operation(UNIX_EPOCH + Duration::from_millis(1_795_298_146_123), &operation)
    }

    #[test]
    fn line_has_the_outcome() {
        let about = "plugin=bond command=ADD pod=demo/bondpod1 container=c1 network=bond-net1 \
                     interface=net3 netns=/run/netns/c1 duration_ms=12.345";
        let time = "time=2026-11-21T21:55:46.123Z";
        let ok = line(&subject(), Ok(()));
        assert_eq!(ok, format!("{time} level=info {about} outcome=ok\n"));

        let failure = Failure::new(Code::CONFLICT, "links: there is no net1: list it before");
        let failed = line(&subject(), Err(&failure));
        let expected = format!(
            "{time} level=error {about} outcome=error code=101 \
             msg=\"links: there is no net1: list it before\"\n"
        );
        assert_eq!(failed, expected);
        let failure = Failure::new(Code::KERNEL, "no").with_details("RTNETLINK: \"busy\"");
        let failed = line(&subject(), Err(&failure));
        assert!(
            failed.ends_with(" code=100 msg=no details=\"RTNETLINK: \\\"busy\\\"\"\n"),
            "{failed}"
        );
    }

    #[test]
    fn key_without_value_is_left_out() {
        let subject = Subject {
            plugin: "whereabouts".to_owned(),
            program: Some("/opt/cni/bin/whereabouts".to_owned()),
            command: String::new(),
            device: Some("0000:03:10.0".to_owned()),
            ..Subject::default()
        };
        let line = line(&subject, Ok(()));
        let about = "plugin=whereabouts program=/opt/cni/bin/whereabouts command=\"\" \
                     device=0000:03:10.0 duration_ms=12.345 outcome=ok\n";
        assert!(line.ends_with(about), "{line}");
    }

    #[test]
    fn warning_has_no_outcome() {
        let line = of_warning(UNIX_EPOCH, &subject(), &"ports share a PF");
        assert!(line.contains(" level=warning plugin=bond "), "{line}");
        assert!(line.ends_with(" msg=\"ports share a PF\"\n"), "{line}");
    }

    #[test]
    fn clock_before_1970_is_not_fatal() {
        let line = of_warning(UNIX_EPOCH - Duration::from_secs(1), &subject(), &"x");
        assert!(line.starts_with("time=1970-01-01T00:00:00.000Z level=warning "), "{line}");
    }

    #[test]
    fn value_is_quoted_and_escaped() {
        for (value, expected) in [
            ("a/b:c-1.0_x", "a/b:c-1.0_x"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("a=b", "\"a=b\""),
            ("x\nlevel=info", "\"x\\nlevel=info\""),
            ("a\r\t\"\\", "\"a\\r\\t\\\"\\\\\""),
            ("\u{1b}[31m", "\"\\u001b[31m\""),
            ("\u{9b}\u{7f}\0", "\"\\u009b\\u007f\\u0000\""),
            ("\u{2028}\u{202e}", "\"\\u2028\\u202e\""),
            ("\u{e9}", "\"\u{e9}\""),
        ] {
            let mut line = String::new();
            pair(&mut line, "k", value, 100);
            assert_eq!(line, format!(" k={expected}"));
            if let Some(quoted) = expected.strip_prefix('"') {
                let read: String = serde_json::from_str(&format!("\"{quoted}")).unwrap();
                assert_eq!(read, value);
            }
        }
    }

    proptest! {
        /// Promise: shown-text-escaped
        #[test]
        fn any_text_stays_in_its_line(text in any::<String>()) {
            let some = || Some(text.clone());
            let subject = Subject {
                plugin: text.clone(),
                program: some(),
                command: text.clone(),
                pod: some(),
                container: some(),
                network: some(),
                interface: some(),
                netns: some(),
                device: some(),
            };
            let failure = Failure::new(Code::IO, &text).with_details(&*text);
            for line in [line(&subject, Err(&failure)), of_warning(UNIX_EPOCH, &subject, &text)] {
                let line = line.strip_suffix('\n').unwrap();
                prop_assert_eq!(OneLine(line).to_string(), line);
            }
        }
    }

    #[test]
    fn line_is_at_most_4096_bytes() {
        for hostile in ["\n", "\u{1b}", "\u{20ac}", "a", "\""] {
            let long = hostile.repeat(9000);
            let text = || Some(long.clone());
            let subject = Subject {
                plugin: long.clone(),
                program: text(),
                command: long.clone(),
                pod: text(),
                container: text(),
                network: text(),
                interface: text(),
                netns: text(),
                device: text(),
            };
            let failure = Failure::new(Code::from_number(u32::MAX), &long).with_details(&*long);
            let line = line(&subject, Err(&failure));
            assert!(line.len() <= podbond_cni::MAX_LINE + 1, "{hostile:?}: {}", line.len());
            assert_eq!(line.matches('\n').count(), 1);
            assert!(line.contains(CUT), "{line}");
        }
    }
}
