//! One cell after the other.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::panic::resume_unwind;
use std::process::Command;
use std::thread;

use rustix::net::netdevice::name_to_index;

use crate::cell::Cell;
use crate::command::run;
use crate::count::Count;
use crate::datagrams::{Flow, To};
use crate::ping::Echo;
use crate::place::{BOND, Family, Place};
use crate::pod::{Pod, make_vfs, pfs};
use crate::row::Row;
use crate::settle::settle;
use crate::streams::{Kind, Stream};
use crate::{Error, SENT, switch};

/// A pod with VFs, ready for cells.
pub struct Bench {
    pfs: usize,
    pod: Pod,
}

/// A column of the table, and something of it that is sent.
type Named = (&'static str, Traffic);

/// What is sent in one direction.
#[derive(Clone, Copy)]
enum Traffic {
    Stream(Stream),
    Flow(Flow),
    Echo(Echo),
}

impl Bench {
    /// Makes VFs and the pod, large enough for these cells.
    pub fn prepare(cells: &[Cell]) -> Result<Self, Error> {
        run(Command::new("modprobe").arg("sctp"), "")?;
        let pfs = pfs()?;
        let ports = cells.iter().map(|cell| cell.ports).max().unwrap_or(0);
        let mtu = cells.iter().map(|cell| cell.mtu).max().unwrap_or(0);
        let vfs = make_vfs(&pfs, ports, mtu)?;
        Ok(Self { pfs: pfs.len(), pod: Pod::with_vfs(&vfs, mtu)? })
    }

    /// Makes the cell's bond, sends everything through it, and takes it away.
    pub fn measure(&mut self, cell: Cell) -> Result<Row, Error> {
        switch::wire(cell, self.pfs)?;
        let made = self.pod.bond(cell);
        let sent = made.and_then(|()| Ok((settle(cell, self.pfs)?, send_all(cell)?)));
        // Also after an error, so that the next cell finds the pod as this one did.
        self.pod.unbond()?;
        let (ports, counts) = sent?;
        Ok(Row { cell, used: ports.used, counts })
    }
}

/// Sends packets of every kind both ways at once, then opens connections of every kind: these fill
/// every queue, and what was lost there would tell nothing of the bond. First IPv4, then IPv6.
fn send_all(cell: Cell) -> Result<BTreeMap<&'static str, Count>, Error> {
    let indices =
        [Place::Pod.enter(|| index(BOND))?, Place::Switch.enter(|| index(switch::link(cell)))?];
    let mut counts: BTreeMap<&'static str, Count> = BTreeMap::new();
    for family in Family::BOTH {
        let both_ways = |kinds: fn(Cell, Family, Place, [u32; 2]) -> Vec<Named>| -> Vec<Named> {
            Place::BOTH.into_iter().flat_map(|from| kinds(cell, family, from, indices)).collect()
        };
        for traffic in [both_ways(packets), both_ways(connections)] {
            for (name, count) in at_once(&traffic)? {
                let all = counts.entry(name).or_default();
                *all = *all + count;
            }
        }
    }
    Ok(counts)
}

fn at_once(traffic: &[Named]) -> Result<Vec<(&'static str, Count)>, Error> {
    thread::scope(|scope| {
        let start = |&(name, traffic): &Named| (name, scope.spawn(move || traffic.run()));
        let threads: Vec<_> = traffic.iter().map(start).collect();
        let joined = threads.into_iter().map(|(name, thread)| {
            Ok((name, thread.join().unwrap_or_else(|panic| resume_unwind(panic))?))
        });
        joined.collect()
    })
}

fn packets(cell: Cell, family: Family, from: Place, indices: [u32; 2]) -> Vec<Named> {
    let (mtu, count) = (cell.mtu, SENT / 2);
    let flow = |to| Traffic::Flow(Flow { from, family, to, mtu, count, indices });
    let echo = Traffic::Echo(Echo { from, family, mtu, count });
    match family {
        Family::V4 => vec![
            ("udp4", flow(To::One)),
            ("icmp4", echo),
            ("mcast4", flow(To::Group)),
            ("bcast4", flow(To::All)),
        ],
        Family::V6 => vec![("udp6", flow(To::One)), ("icmp6", echo), ("mcast6", flow(To::Group))],
    }
}

fn connections(cell: Cell, family: Family, from: Place, _: [u32; 2]) -> Vec<Named> {
    let (mtu, count) = (cell.mtu, SENT / 2);
    let stream = |kind| Traffic::Stream(Stream { kind, from, family, mtu, count });
    let names = match family {
        Family::V4 => ["tcp4", "sctp4"],
        Family::V6 => ["tcp6", "sctp6"],
    };
    names.into_iter().zip([Kind::Tcp, Kind::Sctp].map(stream)).collect()
}

impl Traffic {
    fn run(self) -> Result<Count, Error> {
        match self {
            Self::Stream(stream) => stream.run(),
            Self::Flow(flow) => flow.run(),
            Self::Echo(echo) => echo.run(),
        }
    }
}

/// The interface index of a link of the calling thread's namespace.
fn index(link: &str) -> Result<u32, Error> {
    let failed = || Error::io(format!("ask for the index of {link}"));
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(failed())?;
    name_to_index(&socket, link).map_err(|errno| failed()(errno.into()))
}
