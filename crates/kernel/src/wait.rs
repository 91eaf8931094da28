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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_returned_as_soon_as_there_is_one() {
        let mut calls = 0;
        let value = poll(Duration::from_mins(1), Duration::from_millis(1), || {
            calls += 1;
            Ok((calls == 3).then_some(calls))
        });
        assert_eq!(value.unwrap(), Some(3));
    }

    #[test]
    fn timeout_gives_none_after_one_call() {
        let mut calls = 0;
        let value = poll(Duration::ZERO, Duration::from_mins(1), || {
            calls += 1;
            Ok(None::<()>)
        });
        assert_eq!((value.unwrap(), calls), (None, 1));
    }
}
