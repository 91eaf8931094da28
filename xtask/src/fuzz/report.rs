//! What libFuzzer says, and what is said of it.

use std::fmt::Write;

/// How a target fared.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Which.
    pub(super) target: String,
    pub(super) ended_well: bool,
    pub(super) report: Report,
}

impl Outcome {
    /// Whether it was given inputs and bore them all: one that was never run has found nothing either.
    pub(super) fn is_fine(&self) -> bool {
        self.ended_well && self.report.executions > 0
    }
}

/// What libFuzzer says at its end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    executions: u64,
    per_second: u64,
    /// Of how many inputs each takes a way through the code that no other takes.
    corpus: u64,
    /// The file with the input that it stopped at.
    pub(super) input: Option<String>,
    /// Its last lines, without those that tell of progress.
    pub(super) end: String,
}

impl Report {
    pub(super) fn parse(text: &str) -> Self {
        let after = |words: &str| {
            text.lines().find_map(|line| line.split_once(words)).map(|(_, value)| value.trim())
        };
        let number = |words| after(words).and_then(|number| number.parse().ok());
        let progress = Progress::parse(text);
        let said: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        Self {
            // Who is killed gives no numbers.
            executions: number("stat::number_of_executed_units:")
                .or(progress.as_ref().map(|progress| progress.executions))
                .unwrap_or_default(),
            per_second: number("stat::average_exec_per_sec:").unwrap_or_default(),
            corpus: progress.map(|progress| progress.corpus).unwrap_or_default(),
            input: after("Test unit written to ").map(str::to_owned),
            end: said[said.len().saturating_sub(20)..].join("\n"),
        }
    }
}

/// How far a target is, by the last line that says so:
/// `#4096 pulse  cov: 70 ft: 90 corp: 12/340b lim: 60 exec/s: 2048 rss: 40Mb`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) executions: u64,
    pub(super) corpus: u64,
}

impl Progress {
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.lines().rev().find_map(|line| {
            let executions = line.strip_prefix('#')?.split_whitespace().next()?.parse().ok()?;
            let (_, rest) = line.split_once(" corp: ")?;
            let corpus = rest.split('/').next()?.parse().ok()?;
            Some(Self { executions, corpus })
        })
    }
}

/// A line for each target.
pub(super) fn table(outcomes: &[Outcome]) -> String {
    let mut table = format!(
        "{:<12} {:>12} {:>14} {:>8} {:>8}\n",
        "target", "executions", "executions/s", "corpus", "crashes"
    );
    for outcome in outcomes {
        let Outcome { target, report: Report { executions, per_second, corpus, .. }, .. } = outcome;
        let crashes = u8::from(!outcome.is_fine());
        // Writing to a text cannot fail.
        let _ = writeln!(
            table,
            "{target:<12} {executions:>12} {per_second:>14} {corpus:>8} {crashes:>8}"
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "INFO: Seed: 1\n#2\tINITED cov: 7 ft: 8 corp: 1/1b exec/s: 0 rss: 33Mb\n\
        #4096\tpulse  cov: 70 ft: 90 corp: 12/340b lim: 60 exec/s: 2048 rss: 40Mb\n\
        thread panicked\nartifact_prefix='/a/'; Test unit written to /a/crash-1\n\
        stat::number_of_executed_units: 4711\nstat::average_exec_per_sec:     2355\n";

    #[test]
    fn the_figures_and_the_input_that_was_found_are_read_from_what_libfuzzer_says() {
        let report = Report::parse(SAID);
        let Report { executions, per_second, corpus, .. } = report;
        assert_eq!((executions, per_second, corpus), (4711, 2355, 12));
        assert_eq!(report.input.as_deref(), Some("/a/crash-1"));
        assert!(report.end.contains("panicked") && !report.end.contains("INITED"));
        let killed = SAID.split("thread").next().unwrap_or_default();
        assert_eq!(Report::parse(killed).executions, 4096);
        assert_eq!(Report::parse(""), Report::default());
    }

    #[test]
    fn a_target_fails_that_ended_badly_or_was_given_nothing() {
        let outcome = |ended_well, text| {
            let target = "records".to_owned();
            Outcome { target, ended_well, report: Report::parse(text) }
        };
        let outcomes = [outcome(true, SAID), outcome(false, SAID), outcome(true, "")];
        assert_eq!(outcomes.each_ref().map(Outcome::is_fine), [true, false, false]);
        let table = table(&outcomes);
        let crashes = table.lines().skip(1).filter_map(|line| line.split_whitespace().last());
        assert_eq!(crashes.collect::<Vec<_>>(), ["0", "1", "1"]);
        assert!(table.lines().nth(1).is_some_and(|line| line.contains(" 2355 ")), "{table}");
    }
}
