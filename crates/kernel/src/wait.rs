//! Polling with a time limit.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Result;

/// Calls `check` every `interval` until it gives a value or fails. Returns none when it has given
/// none within `timeout`; it is called once at least.
pub(crate) fn poll<T>(
    timeout: Duration,
    interval: Duration,
    mut check: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let end = Instant::now() + timeout;
    loop {
        let value = check()?;
        let remaining = end.saturating_duration_since(Instant::now());
        if value.is_some() || remaining.is_zero() {
            return Ok(value);
        }
        sleep(interval.min(remaining));
    }
}
