//! ICMP echo, by iputils' `ping`.

use std::process::Command;

use crate::Error;
use crate::command::{output, typed};
use crate::count::Count;
use crate::place::{Family, Place};

/// The length of the header of an echo request, in bytes.
const HEADER: usize = 8;

/// Echo requests, unfragmented, and what is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Echo {
    pub(crate) from: Place,
    pub(crate) family: Family,
    /// The length of the packets, headers included, in bytes.
    pub(crate) mtu: u32,
    /// How many.
    pub(crate) count: u32,
}

impl Echo {
    pub(crate) fn run(self) -> Result<Count, Error> {
        let size = self.mtu as usize - self.family.header() - HEADER;
        let to = self.from.other().address(self.family);
        let arguments = format!(
            "-{} -n -q -M do -i 0.01 -W 2 -c {} -s {size} {to}",
            self.family.number(),
            self.count
        );
        let mut command = Command::new("ping");
        command.args(arguments.split_whitespace());
        let output = self.from.enter(|| output(&mut command, ""))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        parse(&text).ok_or_else(|| Error::Unread {
            command: typed(&command),
            output: text + &String::from_utf8_lossy(&output.stderr),
        })
    }
}

/// Reads `50 packets transmitted, 49 received, +3 duplicates, 2% packet loss, time 600ms`.
fn parse(text: &str) -> Option<Count> {
    let line = text.lines().find(|line| line.contains(" packets transmitted"))?;
    let number = |what: &str| -> Option<u32> {
        let part = line.split(", ").find_map(|part| part.strip_suffix(what))?;
        part.trim_start_matches('+').parse().ok()
    };
    Some(Count {
        sent: number(" packets transmitted")?,
        arrived: number(" received")?,
        copies: number(" duplicates").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ping_says_is_counted() {
        let text = "PING 10.56.217.1 (10.56.217.1) 1472(1500) bytes of data.\n\n\
            --- 10.56.217.1 ping statistics ---\n\
            50 packets transmitted, 49 received, +3 duplicates, 2% packet loss, time 600ms\n";
        assert_eq!(parse(text), Some(Count { sent: 50, arrived: 49, copies: 3 }));
        let text = "2 packets transmitted, 0 received, +2 errors, 100% packet loss, time 1ms\n";
        assert_eq!(parse(text), Some(Count { sent: 2, arrived: 0, copies: 0 }));
        assert_eq!(parse("ping: connect: Network is unreachable"), None);
    }
}
