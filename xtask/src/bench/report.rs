//! Tables of `cargo xtask bench`, for a terminal and for PERFORMANCE.md, and what podbond may cost.

use std::fs;

use podbond_bench::{Document, Figure, PODBOND, Point, Row};

use crate::{
    error::{Error, FileContext},
    workspace::root,
};

/// The page whose tables this command writes.
const PAGE: &str = "PERFORMANCE.md";

/// The largest ratio to the floor that podbond may have.
const RATIO_LIMITS: [(&str, f64); 4] = [
    ("start, natively", 2.0),
    ("bond ADD+DEL", 1.15),
    ("bond ADD+DEL with IPAM", 1.25),
    ("chain ADD+DEL", 1.3),
];

/// The most that an ADD of podbond may cost over what it costs at the smallest size.
const GROWTH_LIMITS: [(&str, f64); 2] =
    [("bond ADD among links", 1.1), ("sriov ADD among links", 1.1)];

/// What podbond's figures in a cluster may be, by the beginning of what was measured.
const FIGURE_LIMITS: [(&str, Limit); 15] = [
    ("size of podbond-agent", Limit::AtMost(14.0)),
    ("size of podbond", Limit::AtMost(8.0)),
    ("agent's resident memory: 10 NADs", Limit::AtMost(12.0)),
    ("agent's resident memory: 5,000 NADs", Limit::AtMost(30.0)),
    ("start to ready", Limit::AtMost(2.0)),
    ("CPU when idle", Limit::AtMost(1.0)),
    ("requests but watches, idle", Limit::AtMost(0.0)),
    ("what it adds over a bare client's PATCH", Limit::AtMost(2.0)),
    ("GETs and LISTs for each ADD", Limit::AtMost(0.0)),
    ("PATCHes of a pod's status for each ADD", Limit::AtMost(1.0)),
    ("events for each ADD", Limit::AtMost(1.0)),
    ("other requests for each ADD", Limit::AtMost(0.0)),
    ("ADD of a pod without networks", Limit::AtMost(60.0)),
    ("ADD of a pod with a bond: Multus thin", Limit::TimesOfPodbond(5.0)),
    ("ADD of a pod with a bond: Multus thick", Limit::TimesOfPodbond(3.0)),
];

/// What a figure may be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Limit {
    AtMost(f64),
    /// Of a peer: at least so many times podbond's.
    TimesOfPodbond(f64),
}

/// The largest resident set that a process of podbond may have, in kB.
const PEAK_KB_LIMIT: u64 = 4096;

/// Returns everything that was measured as text.
pub(super) fn text(document: &Document) -> String {
    let rows = (!document.rows.is_empty()).then(|| rows_section(document));
    let growth = (!document.growth.is_empty()).then(|| growth_table(&document.growth));
    rows.into_iter().chain(growth).collect::<Vec<_>>().join("\n\n")
}

/// Writes what was measured into the page; a part that was not measured stays.
pub(super) fn write(document: &Document) -> Result<(), Error> {
    if !document.rows.is_empty() {
        write_part("rows", &rows_section(document))?;
    }
    if !document.growth.is_empty() {
        write_part("growth", &growth_table(&document.growth))?;
    }
    Ok(())
}

/// Writes a table into the page, between its marks.
pub(super) fn write_part(name: &str, table: &str) -> Result<(), Error> {
    let page = root().join(PAGE);
    let text = fs::read_to_string(&page).file("read", &page)?;
    fs::write(&page, between(&text, name, table)?).file("write", &page)
}

/// Returns the table of the operations, then size and memory of the executable.
fn rows_section(document: &Document) -> String {
    let head = ["operation", "subject", "ratio", "at most", "ms", "ADD ms", "DEL ms", "peak kB"];
    let table = table(&head, 2, document.rows.iter().map(row_cells));
    let ours = document.rows.iter().filter(|row| row.subject == "podbond");
    let peak = ours.map(|row| row.peak_kb).max().unwrap_or_default();
    let mut lines = vec![table, String::new()];
    if let Some(size) = document.executable_kb {
        lines.push(format!("Size of the executable: {size} kB.  "));
    }
    lines.push(format!("Peak memory of any process: {peak} kB; at most {PEAK_KB_LIMIT} kB."));
    lines.join("\n")
}

fn row_cells(row: &Row) -> Vec<String> {
    let limit = limit(&RATIO_LIMITS, &row.operation, &row.subject);
    vec![
        row.operation.clone(),
        row.subject.clone(),
        decimal(Some(row.ratio)),
        decimal(limit),
        decimal(Some(row.ms)),
        decimal(row.add_ms),
        decimal(row.del_ms),
        row.peak_kb.to_string(),
    ]
}

/// Returns a table with a line for each size and subject.
fn growth_table(points: &[Point]) -> String {
    let head = ["operation", "subject", "size", "ms", "over the smallest", "at most"];
    table(&head, 2, points.iter().map(|point| growth_cells(point, points)))
}

fn growth_cells(point: &Point, all: &[Point]) -> Vec<String> {
    let first =
        all.iter().find(|one| (&one.operation, &one.subject) == (&point.operation, &point.subject));
    vec![
        point.operation.clone(),
        point.subject.clone(),
        point.size.to_string(),
        decimal(Some(point.ms)),
        decimal(first.map(|first| point.ms / first.ms)),
        decimal(limit(&GROWTH_LIMITS, &point.operation, &point.subject)),
    ]
}

/// Returns a table of figures in a cluster. A peer's is also told as a multiple of podbond's.
pub(super) fn figures_table(figures: &[Figure]) -> String {
    let head = ["measured", "subject", "value", "unit", "of podbond's", "limit"];
    table(&head, 2, figures.iter().map(|figure| figure_cells(figure, figures)))
}

fn figure_cells(figure: &Figure, all: &[Figure]) -> Vec<String> {
    let ours = all.iter().find(|one| one.what == figure.what && one.subject == PODBOND);
    let ours = ours.and_then(|one| one.value).filter(|_| figure.subject != PODBOND);
    let ratio = figure.value.zip(ours).map(|(value, ours)| value / ours);
    let limit = figure_limit(figure).map(|limit| match limit {
        Limit::AtMost(most) => format!("at most {most}"),
        Limit::TimesOfPodbond(times) => format!("at least {times} times"),
    });
    vec![
        figure.what.clone(),
        figure.subject.clone(),
        figure.value.map_or_else(|| "not measured".to_owned(), |value| format!("{value:.2}")),
        figure.unit.clone(),
        decimal(ratio),
        limit.unwrap_or_default(),
    ]
}

fn figure_limit(figure: &Figure) -> Option<Limit> {
    let Figure { what, subject, .. } = figure;
    let name = if subject == PODBOND {
        what.clone()
    } else {
        format!("{}: {subject}", what.split(',').next().unwrap_or_default())
    };
    let (_, limit) = FIGURE_LIMITS.iter().find(|(begin, _)| name.starts_with(begin))?;
    Some(*limit)
}

/// Returns podbond's limit for an operation; nobody else has one.
fn limit(limits: &[(&str, f64)], operation: &str, subject: &str) -> Option<f64> {
    let (_, most) = limits.iter().find(|(name, _)| *name == operation)?;
    (subject == "podbond").then_some(*most)
}

fn decimal(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.2}"))
}

/// Returns a Markdown table that can be read in a terminal too: `words` columns of words, then
/// numbers, which are set to the right.
pub(super) fn table(
    head: &[&str],
    words: usize,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let mut lines: Vec<Vec<String>> = vec![head.iter().map(ToString::to_string).collect()];
    lines.extend(rows);
    let mut widths = vec![0; head.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text: Vec<String> = lines.iter().map(|line| table_line(line, &widths, words)).collect();
    let rule = widths
        .iter()
        .enumerate()
        .map(|(column, width)| "-".repeat(width + 1) + if column < words { "-" } else { ":" });
    text.insert(1, format!("|{}|", rule.collect::<Vec<_>>().join("|")));
    text.join("\n")
}

fn table_line(line: &[String], widths: &[usize], words: usize) -> String {
    let cells = line.iter().zip(widths).enumerate().map(|(column, (cell, &width))| {
        if column < words { format!("{cell:width$}") } else { format!("{cell:>width$}") }
    });
    format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
}

/// Returns the text with what is between two marks of this name replaced.
fn between(text: &str, name: &str, new: &str) -> Result<String, Error> {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let parts = text.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        Some((before, after))
    });
    let (before, after) =
        parts.ok_or_else(|| Error::Marks { page: PAGE, name: name.to_owned() })?;
    Ok(format!("{before}{begin}\n{new}\n\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(subject: &str, size: u32, ms: f64) -> Point {
        Point { operation: "bond ADD among links".into(), size, subject: subject.into(), ms }
    }

    #[test]
    fn only_text_between_the_marks_is_replaced() {
        let text = "a\n<!-- rows: begin -->\nold\n<!-- rows: end -->\nb\n";
        let once = between(text, "rows", "new").unwrap();
        assert_eq!(once, "a\n<!-- rows: begin -->\n\nnew\n\n<!-- rows: end -->\nb\n");
        assert_eq!(between(&once, "rows", "new").unwrap(), once);
        assert!(between(text, "growth", "new").is_err());
    }

    #[test]
    fn page_has_all_marks() {
        let text = fs::read_to_string(root().join(PAGE)).unwrap();
        for name in ["rows", "instructions", "growth", "cluster"] {
            assert!(between(&text, name, "").is_ok(), "{name}");
        }
    }

    #[test]
    fn growth_is_compared_with_the_smallest_size_of_the_subject() {
        let points =
            [point("floor", 10, 1.0), point("podbond", 10, 2.0), point("podbond", 99, 3.0)];
        let text = growth_table(&points);
        let last: Vec<&str> = text.lines().last().unwrap().split('|').map(str::trim).collect();
        assert_eq!(last[2..7], ["podbond", "99", "3.00", "1.50", "1.10"]);
        let lengths: Vec<usize> = text.lines().map(str::len).collect();
        assert_eq!(lengths, [lengths[0]; 5]);
    }

    #[test]
    fn figures_have_their_limits_and_peers_their_ratios() {
        let what = "ADD of a pod with a bond, less the primary network";
        let figures = [
            Figure::of_podbond(what, 100.0, "ms"),
            Figure::of("Multus thin", what, Some(600.0), "ms"),
            Figure::of("Multus thick", what, None, "ms"),
            Figure::of_podbond("size of podbond", 5.0, "MB"),
            Figure::of("a bare client's PATCH", "what the API adds to an ADD", Some(4.0), "ms"),
        ];
        let text = figures_table(&figures);
        let cells = |line: usize| -> Vec<String> {
            let line = text.lines().nth(line + 2).unwrap();
            line.split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        assert_eq!(cells(0)[3..7], ["100.00", "ms", "", ""]);
        assert_eq!(cells(1)[3..7], ["600.00", "ms", "6.00", "at least 5 times"]);
        assert_eq!(cells(2)[3..7], ["not measured", "ms", "", "at least 3 times"]);
        assert_eq!(cells(3)[3..7], ["5.00", "MB", "", "at most 8"]);
        assert_eq!(cells(4)[3..7], ["4.00", "ms", "", ""]);
    }

    #[test]
    fn unknown_values_are_blank() {
        let row = Row {
            operation: "start".into(),
            subject: "floor".into(),
            ratio: 1.0,
            ms: 7.5,
            add_ms: None,
            del_ms: None,
            peak_kb: 9,
        };
        let document = Document { rows: vec![row], ..Document::default() };
        let text = text(&document);
        let line = text.lines().nth(2).unwrap();
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        assert_eq!(cells[1..9], ["start", "floor", "1.00", "", "7.50", "", "", "9"]);
    }
}
