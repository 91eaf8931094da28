use std::time::{SystemTime, UNIX_EPOCH};

/// A moment as RFC 3339 writes it, UTC, in ms: `2026-11-21T21:55:46.123Z`.
pub(crate) fn rfc3339(moment: SystemTime) -> String {
    // A clock before 1970 is wrong, and its time worth nothing.
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, ms) = (since.as_secs(), since.subsec_millis());
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The date that is so many days after the first of January 1970.
fn date(days: u64) -> (u64, u64, u64) {
    /// The days of 400, 100 and 4 years, each counted from a first of March: the day that leap years
    /// have more is then the last one of each.
    const SPANS: [(u64, u64, u64); 3] = [(146_097, 400, u64::MAX), (36_524, 100, 3), (1461, 4, 24)];
    // From 0000-03-01 to 1970-01-01.
    let mut days = days + 719_468;
    let mut year = 0;
    for (span, years, most) in SPANS {
        let count = (days / span).min(most);
        days -= count * span;
        year += count * years;
    }
    let single = (days / 365).min(3);
    days -= single * 365;
    year += single;
    // From March on the months have 31, 30, 31, 30, 31 days again and again: 153 in five.
    let month = (5 * days + 2) / 153;
    let day = days - (153 * month + 2) / 5 + 1;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments_are_written_as_date_shows_them() {
        // Each from `date -u -d @SECONDS +%FT%TZ`.
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (68_169_599, "1972-02-28T23:59:59.007Z"),
            (68_169_600, "1972-02-29T00:00:00.007Z"),
            (68_256_000, "1972-03-01T00:00:00.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_735_689_599, "2024-12-31T23:59:59.007Z"),
            (1_795_298_146, "2026-11-21T21:55:46.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            let moment = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(7);
            assert_eq!(rfc3339(moment), expected);
        }
    }
}
