//! What a flow of pings says of an outage.

use std::time::Duration;

/// The replies to a flow of pings, as `ping -D` prints them.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Pings {
    /// Sequence number and time of arrival in seconds.
    replies: Vec<(u32, f64)>,
}

impl Pings {
    /// Reads lines like `[1700000000.123456] 64 bytes from 10.0.0.1: icmp_seq=7 ttl=64 time=0.3 ms`;
    /// others are passed over.
    pub(crate) fn read(output: &str) -> Self {
        Self { replies: output.lines().filter_map(reply).collect() }
    }

    /// How many were answered.
    pub(crate) fn answered(&self) -> usize {
        self.replies.len()
    }

    /// How many were sent between the first and the last answer.
    pub(crate) fn sent(&self) -> usize {
        match (self.replies.first(), self.replies.last()) {
            (Some((first, _)), Some((last, _))) => (last - first) as usize + 1,
            _ => 0,
        }
    }

    /// How many of them were not answered.
    pub(crate) fn lost(&self) -> usize {
        self.sent() - self.answered().min(self.sent())
    }

    /// The longest time without an answer.
    pub(crate) fn longest_silence(&self) -> Duration {
        let gaps = self.replies.windows(2).map(|pair| pair[1].1 - pair[0].1);
        // A clock that was set back would make a gap negative: no silence then.
        Duration::try_from_secs_f64(gaps.fold(0.0, f64::max)).unwrap_or_default()
    }
}

fn reply(line: &str) -> Option<(u32, f64)> {
    let (time, rest) = line.strip_prefix('[')?.split_once(']')?;
    let (_, after) = rest.split_once("bytes from")?;
    let (_, sequence) = after.split_once("icmp_seq=")?;
    let sequence = sequence.split_whitespace().next()?;
    Some((sequence.parse().ok()?, time.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: &str = "\
PING 10.56.217.1 (10.56.217.1) 56(84) bytes of data.
[100.000] 64 bytes from 10.56.217.1: icmp_seq=1 ttl=64 time=0.9 ms
[100.025] 64 bytes from 10.56.217.1: icmp_seq=2 ttl=64 time=0.9 ms
[100.100] no answer yet for icmp_seq=3
[100.300] 64 bytes from 10.56.217.1: icmp_seq=13 ttl=64 time=0.9 ms

--- 10.56.217.1 ping statistics ---
";

    #[test]
    fn losses_and_the_longest_silence_are_counted_between_answers() {
        let pings = Pings::read(FLOW);
        assert_eq!((pings.sent(), pings.answered(), pings.lost()), (13, 3, 10));
        assert_eq!(pings.longest_silence().as_millis(), 275);
    }

    #[test]
    fn no_answer_at_all_is_no_flow() {
        let pings = Pings::read("connect: Network is unreachable\n");
        assert_eq!((pings.sent(), pings.answered(), pings.lost()), (0, 0, 0));
        assert_eq!(pings.longest_silence(), Duration::ZERO);
    }
}
