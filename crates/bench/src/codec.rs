//! What it takes to find one VF among more and more in a PF's message. No kernel is asked.

use std::hint::black_box;
use std::time::{Duration, Instant};

use podbond_bench::{Growth, Line, Point, Spread};
use podbond_kernel::measuring::{pf_with_vfs, read_vf};

use crate::case::PODBOND;

const SIZES: [u16; 4] = [4, 16, 64, 256];

/// How often a message is read for one time of it: it takes microseconds.
const READS: u32 = 1000;

/// Reading the last VF of a message.
pub(crate) fn growth(runs: u32) -> Growth {
    let point = |size: u16| {
        let payload = pf_with_vfs(size);
        let read = || black_box(read_vf(black_box(&payload), size - 1));
        let time = |_| {
            let begun = Instant::now();
            for _ in 0..READS {
                read();
            }
            begun.elapsed() / READS
        };
        let times: Vec<Duration> = (0..=runs).map(time).skip(1).collect();
        Point { size: size.into(), wall_ms: Spread::of(times), syscalls: None }
    };
    let points = SIZES.into_iter().map(point).collect();
    Growth {
        name: "codec: one VF of a message".to_owned(),
        of: "VFs in the message".to_owned(),
        lines: vec![Line { subject: PODBOND.to_owned(), points }],
    }
}
