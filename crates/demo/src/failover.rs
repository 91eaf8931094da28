//! A card fails while the pod is talking: what happens, as it happens.

use std::fs;
use std::io::Read;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::node::{self, Pod, command, podbond};
use crate::pings::Pings;
use crate::{GATEWAY, POD, claim};
use crate::{log, look};

/// A longer silence is no fail-over.
const LONGEST_OUTAGE: Duration = Duration::from_secs(2);

/// How long a port may take to find carrier again: under software emulation a VF takes up to 13 s
/// after its PF went down and came up.
const CARRIER_PATIENCE: Duration = Duration::from_secs(40);

/// How long may pass until another port is seen to be active.
const TAKE_OVER_PATIENCE: Duration = Duration::from_secs(10);

/// Half of what one second before and one after the failure would bring.
const FEWEST_ANSWERS: usize = 40;

/// How long the flow goes on before and after the failure.
const CALM: Duration = Duration::from_secs(1);

/// Takes the PF under the active port down while pinging through the bond, and brings it back.
pub(crate) fn run(bond: &str) -> Result<(), Error> {
    let pod = Pod::look()?;
    let active = pod.active_port(bond).ok_or_else(|| missing("an active port"))?;
    let pf = pod.pf(&active).ok_or_else(|| missing("an active port over a PF"))?;
    println!("pinging {GATEWAY} through {bond} every 25 ms; {active} (over {pf}) is active");
    let flow = start_flow(bond)?;
    thread::sleep(CALM);
    if let Some(wait) = pod.pci(&active).map(|pci| look::wait(&pci)).transpose()?.flatten() {
        println!(
            "(QEMU's card does not tell its VFs when their PF goes down: igbvf looks every 2 s, \
             and the PF goes down just before it does)"
        );
        thread::sleep(wait);
    }
    let (begun, begun_at) = (Instant::now(), log::now()?);
    println!("{pf} is taken down");
    let mut down = command("ip", ["link", "set", &pf, "down"])
        .spawn()
        .map_err(|source| Error::start("ip link set down", source))?;
    let successor = wait_for("another active port", TAKE_OVER_PATIENCE, || {
        Ok(active_port(&flow, bond).filter(|port| *port != active))
    })?;
    println!("{successor} has taken over (seen after {} ms)", begun.elapsed().as_millis());
    down.wait().map_err(|source| Error::start("ip link set down", source))?;
    thread::sleep(CALM);
    println!("the kernel says, in ms after that:");
    for line in log::since(begun_at)? {
        println!("  {line}");
    }
    judge(&end_flow(flow)?)?;

    node::run(command("ip", ["link", "set", &pf, "up"]))?;
    println!("{pf} is brought back");
    let begun = Instant::now();
    wait_for("carrier on both ports", CARRIER_PATIENCE, || {
        let pod = Pod::look()?;
        Ok((pod.has_carrier("net1") && pod.has_carrier("net2")).then_some(()))
    })?;
    println!("  [ok] both ports have carrier again, after {} ms", begun.elapsed().as_millis());
    Ok(())
}

fn judge(pings: &Pings) -> Result<(), Error> {
    let (lost, sent, outage) = (pings.lost(), pings.sent(), pings.longest_silence());
    println!(
        "{lost} of {sent} packets were lost; the longest silence was {} ms",
        outage.as_millis()
    );
    let seen = format!("{sent} sent, {lost} lost, {} ms of silence", outage.as_millis());
    claim(pings.answered() >= FEWEST_ANSWERS, "the flow went on before and after", &seen)?;
    claim(outage <= LONGEST_OUTAGE, "the outage was no longer than 2 s", &seen)
}

fn start_flow(bond: &str) -> Result<Child, Error> {
    let args =
        ["exec", "-n", "demo", POD, "--", "ping", "-D", "-n", "-i", "0.025", "-w", "60", "-I"];
    let mut ping = podbond(args);
    ping.arg(bond).arg(GATEWAY).stdin(Stdio::null()).stdout(Stdio::piped());
    ping.spawn().map_err(|source| Error::start("ping", source))
}

/// The active port as the driver tells the flow's own namespace. `podbond status` would ask the
/// kernel under the very lock that the fail-over needs.
fn active_port(flow: &Child, bond: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{}/net/bonding/{bond}", flow.id())).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Currently Active Slave: "))?;
    Some(line.to_owned()).filter(|port| port != "None")
}

/// Ends the flow as a person does who presses ctrl-C, so that ping prints what it has left.
fn end_flow(mut flow: Child) -> Result<Pings, Error> {
    node::run(command("kill", ["-INT", &flow.id().to_string()]))?;
    let mut output = String::new();
    let failed = |source| Error::start("ping", source);
    if let Some(pipe) = flow.stdout.as_mut() {
        pipe.read_to_string(&mut output).map_err(failed)?;
    }
    flow.wait().map_err(failed)?;
    Ok(Pings::read(&output))
}

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
        thread::sleep(Duration::from_millis(20));
    }
}

fn missing(what: &str) -> Error {
    Error::NotSeen { what: format!("the bond has {what}"), seen: "none".to_owned() }
}
