//! A queue by time: calls that are as many a second as their receiver takes. Pure.

use std::time::{Duration, Instant};

/// When each of a row of calls may begin: some at once, then one in each interval.
#[derive(Debug)]
pub(crate) struct Pace {
    burst: u32,
    interval: Duration,
    /// When all calls until now were over, had each taken one interval.
    full_until: Option<Instant>,
}

impl Pace {
    /// Returns the pace of `burst` calls at once and one more in each interval.
    pub(crate) fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval, full_until: None }
    }

    /// Returns when the next call may begin, and counts it.
    pub(crate) fn next(&mut self, now: Instant) -> Instant {
        let full_until = self.full_until.unwrap_or(now).max(now);
        let ahead = self.interval * self.burst.saturating_sub(1);
        let at = full_until.checked_sub(ahead).unwrap_or(now).max(now);
        self.full_until = Some(full_until + self.interval);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_after_the_burst_wait_their_turn() {
        let mut pace = Pace::new(3, Duration::from_millis(20));
        let now = Instant::now();
        let starts: Vec<u128> = (0..6).map(|_| (pace.next(now) - now).as_millis()).collect();
        assert_eq!(starts, [0, 0, 0, 20, 40, 60]);
    }

    #[test]
    fn burst_is_free_again_after_a_rest() {
        let mut pace = Pace::new(2, Duration::from_millis(10));
        let now = Instant::now();
        for _ in 0..4 {
            pace.next(now);
        }
        let later = now + Duration::from_millis(40);
        let starts: Vec<u128> = (0..3).map(|_| (pace.next(later) - later).as_millis()).collect();
        assert_eq!(starts, [0, 0, 10]);
    }
}
