//! Fail-over under traffic: the PF under the active port goes down while the pod pings the switch.
//!
//! It is judged by whether another port becomes active, and by the packets lost until then, against
//! the bond's miimon: from the time when the PF is down and the VF's driver has found its link down.
//! QEMU's card does not tell a VF that its PF is down: igbvf looks every 2 s. And while the kernel
//! takes the PF down it holds the lock (RTNL) that a fail-over needs. No bond can be faster. Packets
//! are counted, not milliseconds: on a busy machine fewer are sent as well.

use std::fs::{self, File};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::commands::{PodStatus, command, in_pod, run};
use crate::error::Error;
use crate::pings::Pings;
use crate::{GATEWAY, claim};

/// ms from one ping to the next.
const INTERVAL: u32 = 25;

/// How many miimon a fail-over may take. It needs one to see that the port is down and one to change
/// over. igbvf meanwhile waits for its PF's answers with locks held that the bond needs, up to 1 s for
/// each message: on a busy machine that took 24 miimon.
const MOST_MIIMON: u32 = 50;

/// How many pings are answered before the failure, and after the fail-over.
const ANSWERS: usize = 40;

/// How long to wait for these answers.
const ANSWERS_TIMEOUT: Duration = Duration::from_mins(1);

/// How long to wait for another active port.
const FAILOVER_TIMEOUT: Duration = Duration::from_mins(1);

/// How long to wait for carrier on all ports: under software emulation a VF takes up to 13 s to find
/// it after its PF went down and came up.
const CARRIER_TIMEOUT: Duration = Duration::from_mins(2);

/// Where the flow's output is kept.
const FLOW: &str = "/tmp/failover-pings";

/// What drivers log of a fail-over.
const LOGGED: [&str; 4] =
    ["Link is Down", "definitely down", "new active one", "PF still resetting"];

/// Takes the PF under the active port down while pinging through the bond, and brings it back.
pub(crate) fn show_failover(bond: &str) -> Result<(), Error> {
    let status = PodStatus::read()?;
    let active = status.text(bond, "/bond/activePort")?;
    let pf = status.text(active, "/function/pf")?;
    let pci = status.text(active, "/function/pci")?;
    println!(
        "pinging {GATEWAY} through {bond} every {INTERVAL} ms; {active} (over {pf}) is active"
    );
    let flow = start_flow(bond)?;
    wait_for_answers(0.0)?;

    let begun = wall_clock();
    println!("{pf} is taken down");
    run(command("ip", ["link", "set", pf, "down"]))?;
    let pf_down = wall_clock();
    let driver = wait_for("another active port", FAILOVER_TIMEOUT, || {
        let driver = bond_driver_state(&flow, bond)?;
        let port = line_value(&driver, "Currently Active Slave: ").unwrap_or("None");
        Ok((port != active && port != "None").then_some(driver))
    })?;
    let taken_over = wall_clock();
    let port = line_value(&driver, "Currently Active Slave: ").unwrap_or_default();
    println!("  [ok] {port} has become the active port");
    wait_for_answers(taken_over)?;
    println!("  [ok] the flow goes on over it");

    let link_down = print_log(begun, pci)?.max(pf_down);
    let miimon = line_value(&driver, "MII Polling Interval (ms): ");
    let miimon = miimon.and_then(|ms| ms.parse().ok()).unwrap_or_default();
    judge(&end_flow(flow)?, link_down, miimon)?;

    run(command("ip", ["link", "set", pf, "up"]))?;
    println!("{pf} is brought back");
    wait_for("carrier on both ports", CARRIER_TIMEOUT, || {
        let status = PodStatus::read()?;
        let has_carrier = |port: &str| status.field(port, "/carrier") == true;
        Ok((has_carrier("net1") && has_carrier("net2")).then_some(()))
    })?;
    println!("  [ok] both ports have carrier again");
    Ok(())
}

/// Checks the losses of a flow; `link_down` is in s of the wall clock, `miimon` in ms.
fn judge(pings: &Pings, link_down: f64, miimon: u32) -> Result<(), Error> {
    let (lost, lost_after) = (pings.lost_since(0.0), pings.lost_since(link_down));
    let most = miimon * MOST_MIIMON / INTERVAL;
    println!(
        "{lost} of {} packets were lost, {} of them before the PF was down and the VF's driver saw it; \
         the longest silence was {:.0} ms",
        pings.sent(),
        lost - lost_after,
        pings.longest_silence() * 1000.0
    );
    let seen = format!("{lost_after} lost after the link was down, miimon {miimon} ms");
    let within =
        format!("then the bond lost no more than {most} packets ({MOST_MIIMON} times miimon)");
    claim(lost_after <= most as usize, &within, &seen)
}

/// Waits until so many pings of the flow were answered since a time.
fn wait_for_answers(since: f64) -> Result<(), Error> {
    wait_for("an answer to 40 pings", ANSWERS_TIMEOUT, || {
        let answered = read_flow()?.answered_since(since);
        Ok((answered >= ANSWERS).then_some(()))
    })
}

/// Prints what drivers logged of a fail-over since a time; returns when that of the VF found its link
/// down, or the same time where it logged nothing.
fn print_log(begun: f64, pci: &str) -> Result<f64, Error> {
    let uptime = fs::read_to_string("/proc/uptime").map_err(Error::io("/proc/uptime"))?;
    let since_boot = uptime.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    let boot = wall_clock() - since_boot.unwrap_or_default();
    let log = run(command("dmesg", ["--raw"]))?;
    let mut link_down = None;
    println!("the kernel logged, in ms after that:");
    for (time, text) in log_lines(&log).map(|(time, text)| (boot + time, text)) {
        if time >= begun && LOGGED.iter().any(|words| text.contains(words)) {
            println!("  {:5.0}  {text}", (time - begun) * 1000.0);
            if text.contains(pci) && text.contains("Link is Down") {
                link_down.get_or_insert(time);
            }
        }
    }
    Ok(link_down.unwrap_or(begun))
}

/// Starts pings through the bond that print the time of each answer and of each that has none yet.
///
/// Its socket holds what is lost: ping would wait for room in it as long as the dead VF keeps the
/// packets in its ring, also when another port is active.
fn start_flow(bond: &str) -> Result<Child, Error> {
    let interval = format!("0.{INTERVAL:03}");
    let output = File::create(FLOW).map_err(Error::io(FLOW))?;
    in_pod(["ping", "-D", "-O", "-n", "-S", "200000", "-i", &interval, "-w", "300", "-I", bond])
        .arg(GATEWAY)
        .stdin(Stdio::null())
        .stdout(output)
        .spawn()
        .map_err(Error::io("ping"))
}

/// Ends the flow as ctrl-C does, so that ping prints what it has left.
fn end_flow(mut flow: Child) -> Result<Pings, Error> {
    run(command("kill", ["-INT", &flow.id().to_string()]))?;
    flow.wait().map_err(Error::io("ping"))?;
    read_flow()
}

/// Returns what the flow has printed. ping flushes each line.
fn read_flow() -> Result<Pings, Error> {
    Ok(Pings::parse(&fs::read_to_string(FLOW).map_err(Error::io(FLOW))?))
}

/// Reads what the bonding driver shows in the flow's own namespace. `podbond status` would ask the
/// kernel under the lock that the fail-over needs.
fn bond_driver_state(flow: &Child, bond: &str) -> Result<String, Error> {
    let path = format!("/proc/{}/net/bonding/{bond}", flow.id());
    fs::read_to_string(&path).map_err(Error::io(&path))
}

fn line_value<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim)
}

/// Returns time in s since boot and text of each line of `dmesg --raw`: `<6>[   14.473339] text`.
fn log_lines(log: &str) -> impl Iterator<Item = (f64, &str)> {
    log.lines().filter_map(|line| {
        let (time, text) = line.split_once('[')?.1.split_once(']')?;
        Some((time.trim().parse().ok()?, text.trim()))
    })
}

/// Returns the wall clock in s, as `ping -D` prints it.
fn wall_clock() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Looks every 50 ms until there is something to return.
fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look()? {
            return Ok(seen);
        }
        if begun.elapsed() > limit {
            return Err(Error::TimedOut { what: what.to_owned(), limit });
        }
        sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_have_time_and_text() {
        let log = "<6>[   14.473339] igbvf 0000:01:10.0: Link is Up [really]\nnot of the log\n";
        let lines: Vec<_> = log_lines(log).collect();
        assert_eq!(lines, [(14.473_339, "igbvf 0000:01:10.0: Link is Up [really]")]);
    }

    /// A ping each 25 ms from 100 s on, of which those with these numbers have no answer.
    fn flow(unanswered: std::ops::Range<u32>) -> Pings {
        let line = |number: u32| {
            let time = 100.0 + f64::from(number) * 0.025;
            if unanswered.contains(&number) {
                format!("[{time}] no answer yet for icmp_seq={number}\n")
            } else {
                format!("[{time}] 64 bytes from {GATEWAY}: icmp_seq={number} ttl=64\n")
            }
        };
        Pings::parse(&(0..5000).map(line).collect::<String>())
    }

    #[test]
    fn losses_before_the_link_is_down_do_not_count() {
        // 100 s until the driver looks at 200 s, then 4 packets.
        assert!(judge(&flow(40..4004), 200.0, 100).is_ok());
    }

    #[test]
    fn losses_of_more_than_fifty_miimon_are_no_failover() {
        assert!(judge(&flow(120..320), 103.0, 100).is_ok());
        assert!(judge(&flow(120..321), 103.0, 100).is_err());
        assert!(judge(&flow(120..130), 103.0, 0).is_err());
    }
}
