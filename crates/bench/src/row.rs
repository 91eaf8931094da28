//! A measured thing as data, and as a line of a table.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Error;

/// What `-o json` prints.
#[derive(Debug, Serialize)]
pub(crate) struct Document {
    pub(crate) rows: Vec<Row>,
}

/// One thing, done by one subject, so many times.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// What was done.
    pub(crate) name: &'static str,
    /// Who did it.
    pub(crate) subject: &'static str,
    pub(crate) wall_ms: Spread,
    /// How often it was done.
    pub(crate) runs: u32,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Row {
    /// Does it once to warm up, then `runs` times with the clock running.
    pub(crate) fn measure(
        name: &'static str,
        runs: u32,
        mut work: impl FnMut() -> Result<(), Error>,
    ) -> Result<Self, Error> {
        work()?;
        let mut times = Vec::new();
        for _ in 0..runs {
            let begun = Instant::now();
            work()?;
            times.push(begun.elapsed());
        }
        Ok(Self { name, subject: "podbond", wall_ms: Spread::of(times), runs })
    }
}

impl Spread {
    /// Of at least one time.
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
        let median = ms(times.get(times.len() / 2));
        Self { median, min: ms(times.first()), max: ms(times.last()) }
    }
}

/// The rows as a table for people.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut lines = vec![format!(
        "{:46}  {:8}  {:>9}  {:>8}  {:>8}",
        "wall time in ms", "subject", "median", "least", "most"
    )];
    lines.extend(rows.iter().map(|row| {
        let Spread { median, min, max } = row.wall_ms;
        let Row { name, subject, .. } = row;
        format!("{name:46}  {subject:8}  {median:>9.2}  {min:>8.2}  {max:>8.2}")
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_tells_the_median_and_both_ends() {
        let times = [3, 100, 1, 2, 5].map(Duration::from_millis).to_vec();
        assert_eq!(Spread::of(times), Spread { median: 3.0, min: 1.0, max: 100.0 });
    }

    #[test]
    fn the_first_run_is_not_counted() {
        let mut count = 0;
        let row = Row::measure("count", 3, || {
            count += 1;
            Ok(())
        });
        assert_eq!((row.unwrap().runs, count), (3, 4));
    }

    #[test]
    fn rows_are_printed_in_both_forms() {
        let wall_ms = Spread { median: 7.0, min: 6.5, max: 9.25 };
        let row = Row { name: "plan", subject: "podbond", wall_ms, runs: 3 };
        let lines = table(&[row]);
        let words: Vec<&str> = lines.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(words, ["plan", "podbond", "7.00", "6.50", "9.25"]);
        let row = Row { name: "plan", subject: "podbond", wall_ms, runs: 3 };
        assert_eq!(
            serde_json::to_value(Document { rows: vec![row] }).unwrap(),
            json!({"rows": [{
                "name": "plan", "subject": "podbond", "runs": 3,
                "wall_ms": {"median": 7.0, "min": 6.5, "max": 9.25},
            }]})
        );
    }
}
