//! Losses and silence of a flow of pings, from the output of `ping -D -O`.

use std::collections::BTreeMap;

/// Pings by sequence number, with the time of a line about them in s of the wall clock.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Pings {
    answered: BTreeMap<u32, f64>,
    /// Those without an answer when the next was sent.
    late: BTreeMap<u32, f64>,
}

impl Pings {
    /// Parses lines like `[1700000000.123456] 64 bytes from 10.0.0.1: icmp_seq=7 ttl=64 time=0.3 ms`
    /// and `[1700000000.123456] no answer yet for icmp_seq=8`; skips others.
    pub(crate) fn parse(output: &str) -> Self {
        let mut pings = Self::default();
        for (time, text, number) in output.lines().filter_map(parse_line) {
            if text.contains("bytes from") {
                pings.answered.insert(number, time);
            } else if text.contains("no answer yet") {
                pings.late.insert(number, time);
            }
        }
        pings
    }

    /// Returns how many were sent from the first to the last answer.
    pub(crate) fn sent(&self) -> usize {
        match (self.answered.first_key_value(), self.answered.last_key_value()) {
            (Some((first, _)), Some((last, _))) => (last - first) as usize + 1,
            _ => 0,
        }
    }

    /// Returns how many had no answer, before the last answer and since a time.
    pub(crate) fn lost_since(&self, time: f64) -> usize {
        let last = self.answered.keys().next_back().copied().unwrap_or_default();
        let late = self.late.range(..last).filter(|(_, seen)| **seen >= time);
        late.filter(|(number, _)| !self.answered.contains_key(number)).count()
    }

    /// Returns how many answers came since a time.
    pub(crate) fn answered_since(&self, time: f64) -> usize {
        self.answered.values().filter(|came| **came >= time).count()
    }

    /// Returns the longest time without an answer in s.
    pub(crate) fn longest_silence(&self) -> f64 {
        let times = self.answered.values();
        times.clone().skip(1).zip(times).map(|(later, earlier)| later - earlier).fold(0.0, f64::max)
    }
}

fn parse_line(line: &str) -> Option<(f64, &str, u32)> {
    let (time, text) = line.strip_prefix('[')?.split_once(']')?;
    let (_, number) = text.split_once("icmp_seq=")?;
    Some((time.parse().ok()?, text, number.split_whitespace().next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_counted_up_to_the_last_answer() {
        let pings = Pings::parse(
            "PING 10.56.217.1 (10.56.217.1) 56(84) bytes of data.\n\
             [100.000] 64 bytes from 10.56.217.1: icmp_seq=1 ttl=64 time=0.9 ms\n\
             [100.050] no answer yet for icmp_seq=2\n\
             [100.060] 64 bytes from 10.56.217.1: icmp_seq=2 ttl=64 time=30 ms\n\
             [100.100] no answer yet for icmp_seq=3\n\
             [100.125] no answer yet for icmp_seq=4\n\
             [100.310] 64 bytes from 10.56.217.1: icmp_seq=5 ttl=64 time=0.9 ms\n\
             [100.350] no answer yet for icmp_seq=6\n",
        );
        assert_eq!((pings.sent(), pings.lost_since(0.0), pings.lost_since(100.11)), (5, 2, 1));
        assert_eq!(pings.answered_since(100.05), 2);
        assert!((pings.longest_silence() - 0.25).abs() < 1e-6);
    }

    #[test]
    fn output_without_answers_is_no_flow() {
        let pings = Pings::parse("connect: Network is unreachable\n");
        assert_eq!((pings.sent(), pings.lost_since(0.0), pings.answered_since(0.0)), (0, 0, 0));
    }
}
