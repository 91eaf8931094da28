//! The modes that need nothing of each other lose nothing, whatever is sent.

use podbond_kernel::BondMode;
use podbond_traffic::{Bench, cells, head};

#[test]
fn no_protocol_loses_anything_over_two_ports() {
    let cells = cells(&[BondMode::ActiveBackup, BondMode::BalanceXor], &[2], &[1500]);
    let mut bench = Bench::prepare(&cells).unwrap();
    for cell in cells {
        let row = bench.measure(cell).unwrap();
        let shown = format!("\n{}\n{}", head(), row.line());
        assert_eq!((row.used(), row.lost_in_all(), row.copies()), (2, 0, 0), "{shown}");
    }
}
