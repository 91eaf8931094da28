//! The kernel's log, for what the drivers say.

use std::fs;

use crate::error::Error;
use crate::node::{command, run};

/// What drivers say of a fail-over.
const TOLD: [&str; 4] = ["Link is Down", "definitely down", "new active one", "PF still resetting"];

/// A line of the log.
#[derive(Debug, PartialEq)]
pub(crate) struct Line<'l> {
    /// When it was written, in s since boot.
    pub(crate) time: f64,
    pub(crate) text: &'l str,
}

/// The whole log.
pub(crate) fn read() -> Result<String, Error> {
    run(command("dmesg", ["--raw"]))
}

/// The lines of a log, as `dmesg --raw` prints them: `<6>[   14.473339] text`.
pub(crate) fn lines(log: &str) -> impl DoubleEndedIterator<Item = Line<'_>> {
    log.lines().filter_map(|line| {
        let (time, text) = line.split_once('[')?.1.split_once(']')?;
        Some(Line { time: time.trim().parse().ok()?, text: text.trim() })
    })
}

/// The time of the log at this moment, in s since boot.
pub(crate) fn now() -> Result<f64, Error> {
    let text = fs::read_to_string("/proc/uptime")
        .map_err(|source| Error::start("read /proc/uptime", source))?;
    let first = text.split_whitespace().next().and_then(|word| word.parse().ok());
    first.ok_or_else(|| Error::unread("/proc/uptime", &text))
}

/// What the drivers said of a fail-over that began at `begun`, each with its time in ms after that.
pub(crate) fn since(begun: f64) -> Result<Vec<String>, Error> {
    let log = read()?;
    let told = lines(&log)
        .filter(|line| line.time >= begun && TOLD.iter().any(|words| line.text.contains(words)));
    Ok(told.map(|line| format!("{:5.0}  {}", (line.time - begun) * 1000.0, line.text)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_a_time_and_a_text() {
        let log = "<6>[   14.473339] igbvf 0000:01:10.0: Link is Up [really]\n\
            not of the log\n<6>[   36.214121] net3: (slave net1): link status definitely down\n";
        let lines: Vec<Line<'_>> = lines(log).collect();
        let expected = [
            Line { time: 14.473_339, text: "igbvf 0000:01:10.0: Link is Up [really]" },
            Line { time: 36.214_121, text: "net3: (slave net1): link status definitely down" },
        ];
        assert_eq!(lines, expected);
    }
}
