//! Progress reports of the lab on standard error.

use std::{
    cell::Cell,
    fmt,
    time::{Duration, Instant},
};

/// Between two reports of the same long task: often enough to see that it lives.
const PACE: Duration = Duration::from_secs(2);

/// Says on standard error what the lab does and how far it is.
#[derive(Debug)]
pub struct Progress {
    last: Cell<Option<Instant>>,
}

impl Progress {
    /// A progress report on standard error.
    pub fn on_stderr() -> Self {
        Self { last: Cell::new(None) }
    }

    /// Says what begins now.
    pub fn begin(&self, what: impl fmt::Display) {
        eprintln!("lab: {what}");
        self.last.set(Some(Instant::now()));
    }

    /// Says how far the task is that began last; most calls are silent, for it may be called often.
    pub fn advance(&self, how_far: impl fmt::Display) {
        if self.last.get().is_none_or(|last| last.elapsed() >= PACE) {
            self.begin(how_far);
        }
    }
}
