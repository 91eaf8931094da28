//! A line of the table.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::cell::Cell;
use crate::count::Count;

/// What is sent, in the order of the table's columns.
pub(crate) const PROTOCOLS: [&str; 11] = [
    "tcp4", "udp4", "sctp4", "icmp4", "mcast4", "bcast4", "tcp6", "udp6", "sctp6", "icmp6",
    "mcast6",
];

/// What one cell came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub(crate) cell: Cell,
    /// How many ports the bond used; for 802.3ad those of the active aggregator.
    pub(crate) used: usize,
    /// What was counted, by protocol.
    pub(crate) counts: BTreeMap<&'static str, Count>,
}

/// A protocol's column: its name without the version of IP, and its width.
fn column(protocol: &str) -> (&str, usize) {
    let label = protocol.trim_end_matches(['4', '6']);
    (label, label.len().max(4))
}

/// The table's head: two lines.
pub fn head() -> String {
    let mut above = " ".repeat(30);
    let mut line = format!("{:13} {:>5} {:>4} {:>4}", "mode", "ports", "used", "mtu");
    for protocol in PROTOCOLS {
        let (label, width) = column(protocol);
        let family = match protocol {
            "tcp4" => "IPv4",
            "tcp6" => "IPv6",
            _ => "",
        };
        // Writing to a String cannot fail.
        let _ = write!(line, " {label:>width$}");
        let _ = write!(above, "{family:width$} ");
    }
    format!("{}\n{line} copies", above.trim_end())
}

impl Row {
    /// How much of a protocol was lost; none if it was not sent.
    pub fn lost(&self, protocol: &str) -> Option<u32> {
        self.counts.get(protocol).map(|count| count.lost())
    }

    /// How much of all protocols was lost.
    pub fn lost_in_all(&self) -> u32 {
        self.counts.values().map(|count| count.lost()).sum()
    }

    /// How much arrived that had arrived before.
    pub fn copies(&self) -> u32 {
        self.counts.values().map(|count| count.copies).sum()
    }

    /// How many ports the bond used.
    pub fn used(&self) -> usize {
        self.used
    }

    /// The line for people.
    pub fn line(&self) -> String {
        let Cell { mode, ports, mtu } = self.cell;
        let mut line = format!("{:13} {ports:>5} {:>4} {mtu:>4}", mode.name(), self.used);
        for protocol in PROTOCOLS {
            let (_, width) = column(protocol);
            let lost = self.lost(protocol).map_or_else(|| "-".to_owned(), |lost| lost.to_string());
            // Writing to a String cannot fail.
            let _ = write!(line, " {lost:>width$}");
        }
        format!("{line} {:>6}", self.copies())
    }

    /// The same for machines.
    pub fn document(&self) -> Value {
        let Cell { mode, ports, mtu } = self.cell;
        let counts: BTreeMap<&str, Value> = self
            .counts
            .iter()
            .map(|(name, count)| {
                (*name, json!({"sent": count.sent, "lost": count.lost(), "copies": count.copies}))
            })
            .collect();
        json!({
            "mode": mode.name(), "ports": ports, "used": self.used, "mtu": mtu, "protocols": counts,
        })
    }
}

#[cfg(test)]
mod tests {
    use podbond_kernel::BondMode;

    use super::*;

    #[test]
    fn columns_stand_below_their_heads_in_a_terminals_width() {
        let count = |arrived, copies| Count { sent: 100, arrived, copies };
        let counts = PROTOCOLS.map(|protocol| (protocol, count(100, 0)));
        let mut counts = BTreeMap::from(counts);
        counts.insert("udp4", count(0, 0));
        counts.insert("mcast6", count(97, 12));
        counts.remove("bcast4");
        let cell = Cell { mode: BondMode::ActiveBackup, ports: 16, mtu: 9000 };
        let row = Row { cell, used: 15, counts };
        let head = head();
        let lines: Vec<&str> = head.lines().collect();
        assert_eq!(row.line().len(), lines[1].len());
        assert!(lines.iter().all(|line| line.len() <= 100));
        assert_eq!(lines[0].find("IPv6").map(|at| &lines[1][at..at + 4]), Some(" tcp"));
        let words: Vec<String> = row.line().split_whitespace().map(str::to_owned).collect();
        let all = "active-backup 16 15 9000 0 100 0 0 0 - 0 0 0 0 3 12";
        assert_eq!(words.join(" "), all);
        assert_eq!(row.document()["protocols"]["mcast6"]["lost"], 3);
        assert_eq!((row.lost_in_all(), row.lost("bcast4")), (103, None));
    }
}
