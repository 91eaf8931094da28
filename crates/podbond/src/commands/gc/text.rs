//! The table of orphans.

use super::orphans::{Done, Row};
use crate::output::Table;

/// Returns a table, or that there is nothing to do.
pub(super) fn lines(rows: &[Row]) -> Vec<String> {
    if rows.is_empty() {
        return vec!["nothing to do".to_owned()];
    }
    let mut table = Table::new(["OBJECT", "WHAT", "DONE"]);
    for row in rows {
        let done = match row.done {
            Done::Removed => "removed",
            Done::ToDo => "to do",
            Done::Failed => "failed",
            Done::Left => "left",
        };
        table.row([row.object.clone(), row.what.clone(), done.to_owned()]);
    }
    table.lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_pod_fits_a_terminal() {
        let row = |object: &str, what: &str, done| Row {
            object: object.to_owned(),
            what: what.to_owned(),
            done,
            error: None,
        };
        let rows = [
            row(
                "net3 of pod demo/bondpod1",
                "attachment to demo/bond-net1, whose namespace is gone",
                Done::Removed,
            ),
            row(
                "VF 0000:01:10.0",
                "held by pod demo/bondpod1 (net1), whose namespace is gone",
                Done::ToDo,
            ),
        ];
        let lines = lines(&rows);
        assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["OBJECT", "WHAT", "DONE"]);
        assert!(lines[2].ends_with("  to do"), "{lines:?}");
        assert!(lines.iter().all(|line| line.len() <= 100), "{lines:?}");
        assert_eq!(super::lines(&[]), ["nothing to do"]);
    }
}
