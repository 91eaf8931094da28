//! Two ports on two PFs lose nothing, whatever is sent.

use podbond_kernel::BondMode;
use podbond_traffic::{Bench, cells, head};

/// A busy machine in software loses a packet now and then; a bond that is at fault loses some each
/// time.
const TRIES: usize = 3;

#[test]
fn no_protocol_loses_anything_over_two_ports() {
    let cells = cells(&[BondMode::ActiveBackup, BondMode::BalanceXor], &[2], &[1500]);
    let mut bench = Bench::prepare(&cells).unwrap();
    for cell in cells {
        let mut rows = Vec::new();
        let clean = (0..TRIES).any(|_| {
            let row = bench.measure(cell).unwrap();
            rows.push(row.line());
            (row.used(), row.lost_in_all(), row.copies()) == (2, 0, 0)
        });
        assert!(clean, "\n{}\n{}", head(), rows.join("\n"));
    }
}
