//! Waits for what others do.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::error::Error;

/// How long anything may take.
const LIMIT: Duration = Duration::from_mins(2);

/// Between two looks.
const PACE: Duration = Duration::from_millis(500);

/// Looks again and again until there is something to return.
pub(crate) fn until<T>(
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    let began = Instant::now();
    loop {
        if let Some(seen) = look()? {
            return Ok(seen);
        }
        if began.elapsed() > LIMIT {
            let seconds = LIMIT.as_secs();
            return Err(Error::Late { what: what.into(), seconds, said: String::new() });
        }
        thread::sleep(PACE);
    }
}
