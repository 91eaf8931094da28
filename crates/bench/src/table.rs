//! Rows for people.

use crate::{Row, Spread};

const HEAD: [&str; 13] = [
    "wall time in ms",
    "subject",
    "median",
    "min",
    "max",
    "ADD",
    "DEL",
    "CPU ms",
    "RSS kB",
    "calls",
    "netlink",
    "ratio",
    "paired",
];

/// The rows as a table, columns as wide as their widest cell. Numbers are set to the right.
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec![HEAD.map(str::to_owned).into()];
    lines.extend(rows.iter().map(cells));
    aligned(&lines)
}

fn cells(row: &Row) -> Vec<String> {
    let Spread { median, min, max } = row.wall_ms;
    let ms = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.2}"));
    let count = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    vec![
        row.name.clone(),
        row.subject.clone(),
        ms(Some(median)),
        ms(Some(min)),
        ms(Some(max)),
        ms(row.add_ms),
        ms(row.del_ms),
        ms(row.cpu_ms),
        count(row.rss_kb),
        count(row.syscalls),
        count(row.netlink),
        ms(row.ratio),
        ms(row.paired_ratio),
    ]
}

/// Two columns of words, then numbers.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let text = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).enumerate();
        let cells: Vec<String> = cells
            .map(|(column, (cell, width))| match column {
                0 | 1 => format!("{cell:width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    lines.iter().map(text).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_not_known_is_left_blank() {
        let row = Row::timed("plan", "podbond", vec![Duration::from_micros(7500)]);
        let text = table(&[row]);
        let words: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(words, ["plan", "podbond", "7.50", "7.50", "7.50"]);
    }
}
