//! The rows of docs/migration.md: differences that are meant.

use crate::result::Difference;

/// The page with the table.
const PAGE: &str = include_str!("../../../docs/migration.md");

/// The section that the table is in.
const SECTION: &str = "## Where podbond differs";

/// Returns the names of the table's rows: what the first cell has between backquotes.
pub fn rows() -> Vec<&'static str> {
    let lines = PAGE.lines().skip_while(|line| *line != SECTION).skip(1);
    let section = lines.take_while(|line| !line.starts_with("## "));
    section.filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}

/// Returns the rows that none of the differences is in.
pub fn unmet(differences: &[Difference]) -> Vec<&'static str> {
    let is_met = |row: &str| differences.iter().any(|one| one.row.as_deref() == Some(row));
    rows().into_iter().filter(|row| !is_met(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_without_difference_is_unmet() {
        assert_eq!(unmet(&[]), rows());
        let row = rows().first().map(ToString::to_string);
        let [case, what, peer, podbond] = [(); 4].map(|()| String::new());
        assert_eq!(unmet(&[Difference { case, what, peer, podbond, row }]), rows()[1..]);
    }
}
