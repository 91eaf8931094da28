//! How a cost grows with what there is, as data.

use serde::{Deserialize, Serialize};

use crate::Spread;

/// The cost of one operation at several sizes of what surrounds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// What was done; it names the files of its plot.
    pub name: String,
    /// What there was more and more of.
    pub of: String,
    /// Who did it.
    pub lines: Vec<Line>,
}

/// One subject's costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// `podbond`, or `floor`.
    pub subject: String,
    /// In the order of their size.
    pub points: Vec<Point>,
}

/// The cost at one size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// How many there were.
    pub size: u32,
    /// Of the operation.
    pub wall_ms: Spread,
    /// System calls of one operation, where they were counted.
    pub syscalls: Option<u64>,
}

impl Growth {
    /// A name for files.
    pub fn file_name(&self) -> String {
        let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        format!("growth-{}", self.name.chars().map(word).collect::<String>())
    }
}

impl Line {
    /// The cost at the largest size over that at the smallest.
    pub fn factor(&self) -> Option<f64> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        Some(last.wall_ms.median / first.wall_ms.median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_by_how_much_it_grows() {
        let point = |size, median| {
            let wall_ms = Spread { median, min: median, max: median };
            Point { size, wall_ms, syscalls: None }
        };
        let line = |points| Line { subject: "podbond".to_owned(), points };
        assert_eq!(
            line(vec![point(10, 2.0), point(100, 9.0), point(5000, 3.0)]).factor(),
            Some(1.5)
        );
        assert_eq!(line(Vec::new()).factor(), None);
    }
}
