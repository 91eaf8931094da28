//! What the lab's cards show late.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a PF may show no address of a VF. igb forgets the address that a VF's driver chose as the
/// driver resets the VF, until the driver has set it again. Where that is not heard, igbvf resets the
/// VF once more when 10 s have passed, if the VF is up and its PF has carrier, and it looks every 2 s.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The address that a PF shows of a VF until one is set.
pub(crate) const NO_ADDRESS: &str = "00:00:00:00:00:00";

/// Looks again until every VF has an address, or for as long as a reset may take. What was seen last
/// is what is there: a VF that has lost its address for good is a difference like any other.
pub(crate) fn settled<S>(look: impl Fn() -> S, has_vf_in_reset: impl Fn(&S) -> bool) -> S {
    let start = Instant::now();
    let mut seen = look();
    if !has_vf_in_reset(&seen) {
        return seen;
    }
    while has_vf_in_reset(&seen) && start.elapsed() < TIMEOUT {
        sleep(Duration::from_millis(100));
        seen = look();
    }
    let ended = if has_vf_in_reset(&seen) { "still has none" } else { "has one again" };
    eprintln!("a VF without address {ended} after {:?}: {}", start.elapsed(), said_by_kernel());
    seen
}

/// The last that the kernel has logged.
pub(crate) fn said_by_kernel() -> String {
    let log = Command::new("dmesg").output().unwrap();
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
