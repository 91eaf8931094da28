//! What libtest writes in the lab, passed on line by line and counted.

use std::{
    io::{self, Write},
    mem,
    time::{Duration, Instant},
};

/// What one machine's tests came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: usize,
    /// Failed, or ignored: a test that cannot run has failed.
    pub(super) failed: usize,
    /// The names of those that failed.
    pub(super) names: Vec<String>,
}

/// Passes whole lines on, behind a label, and counts what libtest reports in them. A test's line
/// gets how long it took, by the time between lines.
pub(super) struct Report<W> {
    to: W,
    label: String,
    last: Instant,
    counts: Counts,
}

impl<W: Write> Report<W> {
    pub(super) fn new(to: W, label: String) -> Self {
        Self { to, label, last: Instant::now(), counts: Counts::default() }
    }

    pub(super) fn counts(self) -> Counts {
        self.counts
    }

    /// Takes one line.
    pub(super) fn line(&mut self, line: &str) -> io::Result<()> {
        let took = mem::replace(&mut self.last, Instant::now()).elapsed();
        if let Some((passed, failed)) = parse_result(line) {
            self.counts.passed += passed;
            self.counts.failed += failed;
        }
        if let Some(name) = failed_test(line) {
            self.counts.names.push(name.to_owned());
        }
        // One write for each line: two machines may share the stream.
        let line = format!("{}{line}{}\n", self.label, duration(line, took));
        self.to.write_all(line.as_bytes())
    }
}

/// Passed and failed of `test result: ok. 5 passed; 0 failed; …`, an ignored test being one that
/// could not run.
fn parse_result(line: &str) -> Option<(usize, usize)> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let count = |what: &str| {
        let part = counts.split("; ").find_map(|part| part.strip_suffix(what));
        part.and_then(|number| number.parse::<usize>().ok())
    };
    Some((count(" passed")?, count(" failed")? + count(" ignored")?))
}

fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

/// What stands behind a test's line.
fn duration(line: &str, took: Duration) -> String {
    let ends = line.ends_with(" ... ok") || line.ends_with(" ... FAILED");
    if line.starts_with("test ") && ends {
        format!(" ({:.1} s)", took.as_secs_f64())
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line_writer::LineWriter;

    #[test]
    fn results_are_counted_across_writes() {
        let text = "running 2 tests\ntest a ... ok\n\n\
                    test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
                    test b::c ... FAILED\n\
                    test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured\n";
        let mut to = Vec::new();
        let mut report = Report::new(&mut to, "1/2 ".into());
        let mut lines = LineWriter::new(|line: &str| report.line(line));
        for part in text.as_bytes().chunks(7) {
            lines.write_all(part).unwrap();
        }
        let wanted = Counts { passed: 3, failed: 3, names: vec!["b::c".into()] };
        assert_eq!(report.counts(), wanted);
        let shown = String::from_utf8(to).unwrap();
        assert!(shown.starts_with("1/2 running 2 tests\n1/2 test a ... ok (0.0 s)\n1/2 \n"));
        assert_eq!(shown.lines().count(), text.lines().count());
    }

    #[test]
    fn ignored_test_is_a_failure() {
        let line = "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(parse_result(line), Some((2, 1)));
        assert_eq!(parse_result("test result_is_ok ... ok"), None);
    }
}
