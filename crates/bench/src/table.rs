//! What was measured for people: tables that are read in a terminal as well as in Markdown.

use crate::{Budget, Growth, Kind, Row, Spread};

const HEAD: [&str; 13] = [
    "wall time in ms",
    "subject",
    "median",
    "min",
    "max",
    "ADD",
    "DEL",
    "CPU ms",
    "peak kB",
    "calls",
    "netlink",
    "ratio",
    "paired",
];

/// The rows as a table.
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec![HEAD.map(str::to_owned).into()];
    lines.extend(rows.iter().map(cells));
    aligned(&lines, 2)
}

/// A growth as a table: a line for each size, and the factor between the first and the last.
pub fn growth_table(growth: &Growth) -> String {
    let mut lines = vec![vec![growth.of.clone()]];
    let sizes = growth.lines.first().map_or(&[][..], |line| &line.points);
    lines.extend(sizes.iter().map(|point| vec![point.size.to_string()]));
    lines.push(vec!["last / first".to_owned()]);
    for line in &growth.lines {
        let of = |name: &str| format!("{}: {name}", line.subject);
        lines[0].extend([of("ms"), of("min"), of("max"), of("calls")]);
        for (cells, point) in lines[1..].iter_mut().zip(&line.points) {
            let Spread { median, min, max } = point.wall_ms;
            cells.extend([median, min, max].map(|ms| decimal(Some(ms))));
            cells.push(number(point.syscalls));
        }
        let factor = decimal(line.factor());
        if let Some(last) = lines.last_mut() {
            last.extend([factor, String::new(), String::new(), String::new()]);
        }
    }
    aligned(&lines, 0)
}

/// What podbond may cost, and whether it does not cost more.
pub fn budget_table(budgets: &[Budget]) -> String {
    let mut lines = vec![["budget", "", "at most", "is"].map(str::to_owned).into()];
    lines.extend(budgets.iter().map(|budget| {
        let kept = if budget.is_kept() { "kept" } else { "exceeded" };
        let numbers = [budget.most, budget.is].map(|value| decimal(Some(value)));
        [budget.what.clone(), kept.to_owned()].into_iter().chain(numbers).collect()
    }));
    aligned(&lines, 2)
}

/// What system calls are made for, of each row of which they were counted.
pub fn calls_table(rows: &[Row]) -> String {
    let kinds = Kind::ALL.iter().map(|kind| kind.words().to_owned());
    let head = ["system calls for", "subject"].map(str::to_owned);
    let mut lines: Vec<Vec<String>> = vec![head.into_iter().chain(kinds).collect()];
    lines.extend(rows.iter().filter(|row| !row.calls.is_empty()).map(|row| {
        let counts = Kind::ALL.iter().map(|kind| number(row.calls.get(kind).copied().or(Some(0))));
        [row.name.clone(), row.subject.clone()].into_iter().chain(counts).collect()
    }));
    aligned(&lines, 2)
}

fn cells(row: &Row) -> Vec<String> {
    let Spread { median, min, max } = row.wall_ms;
    vec![
        row.name.clone(),
        row.subject.clone(),
        decimal(Some(median)),
        decimal(Some(min)),
        decimal(Some(max)),
        decimal(row.add_ms),
        decimal(row.del_ms),
        decimal(row.cpu_ms),
        number(row.rss_kb),
        number(row.syscalls),
        number(row.netlink),
        decimal(row.ratio),
        decimal(row.paired_ratio),
    ]
}

fn decimal(value: Option<f64>) -> String {
    let places = |value: f64| if value < 0.1 { 4 } else { 2 };
    value.map_or_else(String::new, |value| format!("{value:.0$}", places(value)))
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Columns as wide as their widest cell: so many of words, then numbers, set to the right. The first
/// line is the head.
pub fn aligned(lines: &[Vec<String>], words: usize) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0).max(2)).collect();
    let text = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).enumerate();
        let cells: Vec<String> =
            cells
                .map(|(column, (cell, width))| {
                    if column < words {
                        format!("{cell:width$}")
                    } else {
                        format!("{cell:>width$}")
                    }
                })
                .collect();
        format!("| {} |", cells.join(" | "))
    };
    let rules: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(column, width)| {
            let end = if column < words { "-" } else { ":" };
            "-".repeat(width + 1) + end
        })
        .collect();
    let mut all: Vec<String> = lines.iter().map(text).collect();
    all.insert(1.min(all.len()), format!("|{}|", rules.join("|")));
    all.join("\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Line, Point};

    #[test]
    fn what_is_not_known_is_left_blank() {
        let row = Row::timed("plan", "podbond", vec![Duration::from_micros(7500)]);
        let text = table(&[row]);
        let words: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(
            words[..11],
            ["|", "plan", "|", "podbond", "|", "7.50", "|", "7.50", "|", "7.50", "|"]
        );
        assert!(words[11..].iter().all(|word| *word == "|"));
        let lengths: Vec<usize> = text.lines().map(str::len).collect();
        assert_eq!(lengths, [lengths[0]; 3]);
    }

    #[test]
    fn a_growth_has_a_line_for_each_size_and_its_factor() {
        let point = |size, median| Point {
            size,
            wall_ms: Spread { median, min: 1.0, max: 9.0 },
            syscalls: Some(7),
        };
        let line =
            Line { subject: "floor".to_owned(), points: vec![point(10, 2.0), point(99, 3.0)] };
        let growth = Growth { name: "n".to_owned(), of: "links".to_owned(), lines: vec![line] };
        let text = growth_table(&growth);
        assert!(text.lines().nth(3).unwrap().contains("99 |      3.00 |"), "{text}");
        assert!(text.lines().nth(4).unwrap().contains("last / first |      1.50 |"), "{text}");
    }
}
