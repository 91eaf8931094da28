//! Tables for people, in plain text that fits a terminal.

use podbond_names::OneLine;

/// How long a cell may be, in bytes: the longest names of a pod and its namespace, and words.
const MAX_CELL: usize = 400;

/// A table: columns as wide as their widest cell, two spaces between them.
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// Returns a table with these column heads.
    pub(crate) fn new(head: [&str; N]) -> Self {
        Self { rows: vec![head.map(str::to_owned)] }
    }

    /// Adds a row, escaped: a column is as wide as what is shown.
    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| OneLine(cell).cut(MAX_CELL).to_string()));
    }

    /// Returns the lines, without white space at their ends.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        self.rows.iter().map(|row| line(row, &widths)).collect()
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(["POD", "BOND"]);
        table.row(["demo/bondpod1".to_owned(), "net3".to_owned()]);
        table.row(["a".to_owned(), String::new()]);
        assert_eq!(table.lines(), ["POD            BOND", "demo/bondpod1  net3", "a"]);
    }
}
