//! Waiting until a bond is ready.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Error;
use crate::cell::Cell;
use crate::ping::Echo;
use crate::place::{BOND, Family, Place};
use crate::port_state::Ports;
use crate::switch;

/// How long all ports may take to be used. Under software emulation a VF may take 13 s to find
/// carrier.
const PORTS_PATIENCE: Duration = Duration::from_secs(30);

/// How long 802.3ad may take beyond that: a few of its fast periods of 1 s.
const LACP_PATIENCE: Duration = Duration::from_secs(8);

/// How long an address may take to be ready and to be known at the other end.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(5);

/// Waits until all ports are used at both ends and each knows the other, within limits: what is not
/// ready by then is what the cell shows. Gives the pod's ports.
pub(crate) fn settle(cell: Cell, pfs: usize) -> Result<Ports, Error> {
    let pod = || Place::Pod.enter(|| ports(BOND));
    poll(PORTS_PATIENCE, pod, |ports| ports.up == cell.ports)?;
    poll(LACP_PATIENCE, pod, |ports| ports.used == cell.ports)?;
    if cell.shape() != "bridge" {
        let switch = || Place::Switch.enter(|| ports(switch::link(cell)));
        poll(LACP_PATIENCE, switch, |ports| ports.used == pfs.min(cell.ports))?;
    }
    poll(ADDRESS_PATIENCE, || Place::Pod.enter(|| read("if_inet6")), |text| !is_tentative(text))?;
    for from in Place::BOTH {
        for family in Family::BOTH {
            let echo = Echo { from, family, mtu: 1280, count: 10 };
            poll(ADDRESS_PATIENCE, || echo.run(), |count| count.lost() == 0)?;
        }
    }
    pod()
}

/// Asks until the answer is good, or for so long; gives the last answer.
fn poll<T>(
    limit: Duration,
    mut ask: impl FnMut() -> Result<T, Error>,
    good: impl Fn(&T) -> bool,
) -> Result<T, Error> {
    let begun = Instant::now();
    loop {
        let answer = ask()?;
        if good(&answer) || begun.elapsed() > limit {
            return Ok(answer);
        }
        sleep(Duration::from_millis(200));
    }
}

/// The ports of a bond of the calling thread's namespace.
fn ports(bond: &str) -> Result<Ports, Error> {
    Ok(Ports::read(&read(&format!("bonding/{bond}"))?))
}

fn read(file: &str) -> Result<String, Error> {
    let path = format!("/proc/thread-self/net/{file}");
    fs::read_to_string(&path).map_err(Error::io(format!("read {path}")))
}

/// Whether the bond has an address that the kernel is still asking the link about: the fifth
/// column of `/proc/net/if_inet6` holds the flag `IFA_F_TENTATIVE`.
fn is_tentative(if_inet6: &str) -> bool {
    const TENTATIVE: u32 = 0x40;
    if_inet6.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let flags = words.get(4).and_then(|flags| u32::from_str_radix(flags, 16).ok());
        words.last() == Some(&BOND) && flags.is_some_and(|flags| flags & TENTATIVE != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_tentative_while_its_flag_is_set() {
        let line = |flags: &str, link: &str| {
            format!("fd000056000000000000000000000002 05 40 00 {flags} {link}\n")
        };
        assert!(is_tentative(&(line("80", "net1") + &line("c0", BOND))));
        assert!(!is_tentative(&(line("c0", "net1") + &line("80", BOND))));
    }
}
