//! What podbond may cost.

use crate::{Document, Row};

/// The most wall time that podbond may take, as a multiple of the floor's.
const RATIOS: [(&str, f64); 4] = [
    ("start, natively", 2.0),
    ("bond ADD+DEL", 1.15),
    ("bond ADD+DEL with IPAM", 1.25),
    ("chain ADD+DEL", 1.3),
];

/// The most memory of a plugin's call, in kB.
const PEAK_KB: f64 = 4096.0;

/// The most by which an ADD may cost more at the largest size than at the smallest. host-local's is
/// reported alone: it reads every lease of the network.
const GROWTH: [(&str, f64); 2] = [("bond ADD among links", 1.1), ("sriov ADD among links", 1.1)];

/// A figure of podbond's, and what it may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// What it is a figure of.
    pub what: String,
    /// The most that it may be.
    pub most: f64,
    /// What it is.
    pub is: f64,
}

impl Budget {
    /// Whether it is kept.
    pub fn is_kept(&self) -> bool {
        self.is <= self.most
    }

    /// Those of which something was measured.
    pub fn all(document: &Document) -> Vec<Self> {
        let row = |name: &str| document.rows.iter().find(|row| row.name == name && is_ours(row));
        let ratio = |&(name, most): &(&str, f64)| {
            let is = row(name)?.ratio?;
            Some(Self { what: format!("{name}: ratio"), most, is })
        };
        let peak = document.rows.iter().filter(|row| is_ours(row)).filter_map(|row| row.rss_kb);
        let peak = peak.max().and_then(|kb| u32::try_from(kb).ok()).map(|kb| Self {
            what: "peak memory of any call, kB".to_owned(),
            most: PEAK_KB,
            is: f64::from(kb),
        });
        let growth = |&(name, most): &(&str, f64)| {
            let growth = document.growth.iter().find(|growth| growth.name == name)?;
            let is = growth.lines.iter().find(|line| line.subject == "podbond")?.factor()?;
            Some(Self { what: format!("{name}: last / first"), most, is })
        };
        let ratios = RATIOS.iter().filter_map(ratio);
        ratios.chain(peak).chain(GROWTH.iter().filter_map(growth)).collect()
    }
}

fn is_ours(row: &Row) -> bool {
    row.subject == "podbond"
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_budget_is_kept_up_to_its_end() {
        let row = Row::timed("bond ADD+DEL", "podbond", vec![Duration::from_millis(3)]);
        let rows = vec![Row { ratio: Some(1.15), rss_kb: Some(5000), ..row }];
        let document = Document { rows, growth: Vec::new() };
        let kept: Vec<bool> = Budget::all(&document).iter().map(Budget::is_kept).collect();
        assert_eq!(kept, [true, false]);
    }
}
