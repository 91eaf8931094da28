//! Instruction counts as data: read from gungraun's JSON, written as text, compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::Value;

use crate::error::Error;

/// The tolerated difference in %: the repository's path moves counts by up to 0.4 % (it is an
/// argument, and so changes what malloc finds free).
const TOLERATED: u64 = 1;

/// The beginning of the line that names compiler and C library.
const TOOLS: &str = "# counted with ";

/// Instructions by name; never 0.
pub(super) type Counts = BTreeMap<String, u64>;

/// Counts, and the compiler and C library with which they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) tools: String,
    pub(super) counts: Counts,
}

impl Kept {
    /// Parses the text of [`Kept::text`].
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mut kept = Self::default();
        for (number, line) in text.lines().enumerate() {
            if let Some(tools) = line.strip_prefix(TOOLS) {
                tools.clone_into(&mut kept.tools);
            } else if !line.starts_with('#') {
                let (name, count) =
                    parse_line(line).ok_or(Error::KeptCount { line: number + 1 })?;
                kept.counts.insert(name, count);
            }
        }
        Ok(kept)
    }

    /// Returns the text that the repository keeps.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "# Instructions of the pure parts: `cargo xtask bench --only instructions --write`\n\
             {TOOLS}{}\n",
            self.tools
        );
        for (name, count) in &self.counts {
            let _ = writeln!(text, "{name} {count}");
        }
        text
    }
}

fn parse_line(line: &str) -> Option<(String, u64)> {
    let (name, count) = line.split_once(' ')?;
    let count = count.parse().ok().filter(|&count| count > 0)?;
    Some((name.to_owned(), count))
}

/// Reads the counts of gungraun's summaries, a JSON object in each line.
pub(super) fn read(text: &str) -> Result<Counts, Error> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let counts = lines.map(|line| read_summary(&serde_json::from_str(line)?));
    let counts: Counts = counts.collect::<Result<_, _>>()?;
    if counts.is_empty() { Err(Error::NoCount { name: "anything".to_owned() }) } else { Ok(counts) }
}

/// Returns the name and the count of all instructions (`Ir`) of a summary.
fn read_summary(summary: &Value) -> Result<(String, u64), Error> {
    let word = |key: &str| summary.get(key).and_then(Value::as_str).unwrap_or("?");
    let name = format!("{}/{}", word("function_name"), word("id"));
    let count = summary.pointer("/profiles/0/data/total/metrics/Ir/values/new");
    match count.and_then(Value::as_u64) {
        Some(count) if count > 0 => Ok((name, count)),
        _ => Err(Error::NoCount { name }),
    }
}

/// A count beside the one that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    name: String,
    kept: Option<u64>,
    counted: Option<u64>,
}

impl Change {
    /// Returns one for each name that was counted or is kept.
    pub(super) fn all(kept: &Counts, counted: &Counts) -> Vec<Self> {
        let names: BTreeSet<&String> = kept.keys().chain(counted.keys()).collect();
        let change = |name: &String| Self {
            name: name.clone(),
            kept: kept.get(name).copied(),
            counted: counted.get(name).copied(),
        };
        names.into_iter().map(change).collect()
    }

    /// Returns whether the two differ by no more than is tolerated.
    pub(super) fn is_tolerated(&self) -> bool {
        let (Some(kept), Some(counted)) = (self.kept, self.counted) else { return false };
        counted.abs_diff(kept).saturating_mul(100) <= kept.saturating_mul(TOLERATED)
    }

    /// Returns the cells of a table: name, kept count, new count, difference.
    pub(super) fn cells(&self) -> Vec<String> {
        let percent = self.kept.zip(self.counted).map(|(kept, counted)| percent(kept, counted));
        vec![
            self.name.clone(),
            count_or_none(self.kept),
            count_or_none(self.counted),
            percent.unwrap_or_default(),
        ]
    }
}

fn count_or_none(count: Option<u64>) -> String {
    count.map_or_else(|| "none".to_owned(), |count| count.to_string())
}

/// Returns a difference as `+1.25 %`; `kept` is not 0.
fn percent(kept: u64, counted: u64) -> String {
    let sign = if counted < kept { '-' } else { '+' };
    let hundredths = u128::from(counted.abs_diff(kept)) * 10_000 / u128::from(kept);
    format!("{sign}{}.{:02} %", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn counts(pairs: &[(&str, u64)]) -> Counts {
        pairs.iter().map(|&(name, count)| (name.to_owned(), count)).collect()
    }

    fn summary(count: &Value) -> Value {
        let metrics = json!({"Ir": {"values": {"new": count}}, "L1hits": {"values": {"new": 9}}});
        json!({
            "function_name": "plan_bond", "id": "two_ports",
            "profiles": [{"data": {"total": {"metrics": metrics}}}],
        })
    }

    #[test]
    fn written_counts_are_read_again() {
        let kept = Kept {
            tools: "rustc 1.95.0, glibc 2.36".into(),
            counts: counts(&[("parse/two", 7), ("plan/two", 9)]),
        };
        assert_eq!(Kept::parse(&kept.text()).unwrap(), kept);
    }

    #[test]
    fn malformed_line_is_named() {
        for wrong in ["plan/two", "plan/two many", "plan/two 0", ""] {
            let error = Kept::parse(&format!("# kept\n{wrong}\n")).unwrap_err().to_string();
            assert!(error.contains("line 2 "), "{error}");
        }
    }

    #[test]
    fn difference_of_one_percent_is_tolerated() {
        let is_tolerated = |counted| {
            let all = Change::all(&counts(&[("plan", 1000)]), &counts(&[("plan", counted)]));
            all.iter().all(Change::is_tolerated)
        };
        assert!(is_tolerated(1000) && is_tolerated(1010) && is_tolerated(990));
        assert!(!is_tolerated(1011) && !is_tolerated(989));
    }

    #[test]
    fn new_and_missing_counts_are_changes() {
        let all =
            Change::all(&counts(&[("gone", 5), ("same", 5)]), &counts(&[("new", 5), ("same", 5)]));
        let changed: Vec<_> =
            all.iter().filter(|change| !change.is_tolerated()).map(Change::cells).collect();
        assert_eq!(changed, [["gone", "5", "none", ""], ["new", "none", "5", ""]]);
    }

    #[test]
    fn difference_is_shown_in_percent() {
        assert_eq!(percent(8000, 8100), "+1.25 %");
        assert_eq!(percent(3, 2), "-33.33 %");
        assert_eq!(percent(10_000, 10_000), "+0.00 %");
    }

    #[test]
    fn summary_counts_all_instructions() {
        let text = format!("{}\n\n", summary(&json!(7)));
        assert_eq!(read(&text).unwrap(), counts(&[("plan_bond/two_ports", 7)]));
    }

    #[test]
    fn zero_or_missing_count_is_an_error() {
        for none in [json!(0), json!(null), json!("7")] {
            let error = read(&summary(&none).to_string()).unwrap_err().to_string();
            assert!(error.contains("plan_bond/two_ports"), "{error}");
        }
        assert!(read("").is_err(), "nothing counted at all");
        assert!(matches!(read("Ir: 7"), Err(Error::Cargo(_))));
    }
}
