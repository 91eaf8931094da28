//! When the VF's driver looks at its link.
//!
//! igbvf has an interrupt by which its PF can tell it that the link is gone. On QEMU's card it never
//! comes (in the lab `/proc/interrupts` counts none), so that the driver learns of it only from its
//! own timer, every 2 s: a PF that goes down at any moment is noticed up to 2 s late. So that the
//! demo shows what the bond does, the PF goes down just before the timer, and the demo says so.

use std::fs;
use std::time::Duration;

use crate::error::Error;
use crate::log;

/// How often igbvf looks (its `igbvf_watchdog_task`), in s.
const PERIOD: f64 = 2.0;

/// A PF needs some time to go down before its VFs can see it, in s.
const LEAD: f64 = 0.22;

/// How long to wait until the driver of the VF at `pci` is about to look at its link. None when the
/// kernel's log does not tell, as with another driver.
pub(crate) fn wait(pci: &str) -> Result<Option<Duration>, Error> {
    let log = log::read()?;
    let timers = fs::read_to_string("/proc/timer_list")
        .map_err(|source| Error::start("read /proc/timer_list", source))?;
    Ok(last_up(&log, pci).zip(Clock::read(&timers)).map(|(up, clock)| {
        let look = clock.first_look_after(up);
        Duration::from_secs_f64((look - LEAD - clock.now).rem_euclid(PERIOD))
    }))
}

/// When the driver last said that the link came up, in s since boot: it says so when it looks.
fn last_up(log: &str, pci: &str) -> Option<f64> {
    let wanted = format!("igbvf {pci}: Link is Up");
    log::lines(log).rev().find(|line| line.text.contains(&wanted)).map(|line| line.time)
}

/// The kernel's clocks at one moment.
#[derive(Debug, PartialEq)]
struct Clock {
    /// Time since boot in s.
    now: f64,
    /// How far jiffies are past a full second, in s.
    past_second: f64,
}

/// `CONFIG_HZ` of Debian's kernels.
const JIFFIES_PER_SECOND: u64 = 250;

impl Clock {
    fn read(timer_list: &str) -> Option<Self> {
        let number = |start: &str| -> Option<u64> {
            let rest = timer_list.lines().find_map(|line| line.trim().strip_prefix(start))?;
            rest.split_whitespace().next()?.parse().ok()
        };
        let jiffies = u32::try_from(number("jiffies:")? % JIFFIES_PER_SECOND).ok()?;
        let now = Duration::from_nanos(number("now at")?).as_secs_f64();
        Some(Self { now, past_second: f64::from(jiffies) / 250.0 })
    }

    /// The look after the one at `time`: igbvf rounds its timer to full seconds of jiffies, down
    /// from less than a quarter past, else up (the kernel's `round_jiffies`).
    fn first_look_after(&self, time: f64) -> f64 {
        let due = time + PERIOD;
        let past = (due - self.now + self.past_second).rem_euclid(1.0);
        if past < 0.25 { due - past } else { due - past + 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMERS: &str = "Timer List Version: v0.10\nnow at 20500000000 nsecs\n\ncpu: 0\n\
        jiffies: 4294942421\n\ncpu: 1\njiffies: 4294942421\n";

    #[test]
    fn the_clocks_are_read_together() {
        // 4294942421 is 171 jiffies past a multiple of 250.
        let clock = Clock::read(TIMERS).unwrap();
        assert_eq!(clock, Clock { now: 20.5, past_second: 171.0 / 250.0 });
        assert_eq!(Clock::read("nothing"), None);
    }

    #[test]
    fn looks_fall_on_full_seconds_of_jiffies() {
        let clock = Clock { now: 20.5, past_second: 0.3 };
        // Full seconds are at …, 20.2, 21.2, …
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(clock.first_look_after(14.25), 16.2));
        assert!(close(clock.first_look_after(14.9), 17.2));
    }

    #[test]
    fn the_last_word_of_this_vf_counts() {
        let log = "<6>[   14.473339] igbvf 0000:01:10.0: Link is Up 1000 Mbps\n\
            <6>[   36.214121] igbvf 0000:01:10.0: Link is Down\n\
            <6>[   48.286286] igbvf 0000:01:10.0: Link is Up 1000 Mbps\n\
            <6>[   50.000000] igbvf 0000:02:10.0: Link is Up 1000 Mbps\n";
        assert_eq!(last_up(log, "0000:01:10.0"), Some(48.286_286));
        assert_eq!(last_up(log, "0000:03:10.0"), None);
    }
}
