//! What was measured, as the JSON document that `cargo xtask bench -o json` prints.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Everything that was measured in one run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Document {
    /// Size of the measured executable in kB; none where only growth was measured.
    #[serde(default)]
    pub executable_kb: Option<u64>,
    /// Operations, in the order in which they were measured.
    pub rows: Vec<Row>,
    /// Costs of an ADD at several sizes of what surrounds it; empty where that was not measured.
    #[serde(default)]
    pub growth: Vec<Point>,
}

/// One operation, done by one subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The operation, such as `bond ADD+DEL`.
    pub operation: String,
    /// Who did it: `floor`, `podbond`, or a peer's plugin.
    pub subject: String,
    /// Wall time over the floor's, the median of the ratios within each round.
    pub ratio: f64,
    /// Wall time in ms from the start of the first process to the end of the last: the median.
    pub ms: f64,
    /// The part of it that ADD took; none where there is nothing to undo.
    pub add_ms: Option<f64>,
    /// The part of it that DEL took.
    pub del_ms: Option<f64>,
    /// The largest resident set of any of the processes, in kB.
    pub peak_kb: u64,
}

/// The cost of an ADD at one size of what surrounds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The operation, and of what there is more and more.
    pub operation: String,
    /// How many of them.
    pub size: u32,
    /// `floor` or `podbond`.
    pub subject: String,
    /// Wall time in ms: the median.
    pub ms: f64,
}

/// Returns the median of durations in ms, 0 of none.
pub fn median_ms(times: impl IntoIterator<Item = Duration>) -> f64 {
    median(times.into_iter().map(|time| time.as_secs_f64() * 1000.0))
}

/// Returns the median, the upper one of an even number of values, 0 of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_one() {
        let times = [3, 100, 1, 2, 5].map(Duration::from_millis);
        assert!((median_ms(times) - 3.0).abs() < 1e-9);
        assert!(median([]).abs() < 1e-9);
    }
}
