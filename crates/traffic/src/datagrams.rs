//! UDP to one, to many and to all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;
use crate::count::{Arrivals, Count};
use crate::place::{Family, Place};

/// The length of a UDP header in bytes.
const HEADER: usize = 8;

/// The pause after each datagram: what is measured is loss, not how much a link carries.
const PACE: Duration = Duration::from_millis(10);

/// How long after the last datagram was sent one may still arrive.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long copies are waited for once everything has arrived.
const COPIES: Duration = Duration::from_millis(100);

/// A group in each family: one of an organisation's own, one of the link.
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 56, 217, 1);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0x56, 0x217);

/// Whom datagrams are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// The other end.
    One,
    /// A multicast group that the other end has joined.
    Group,
    /// The subnet's broadcast address. IPv6 has none.
    All,
}

/// Datagrams in one direction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) from: Place,
    pub(crate) family: Family,
    pub(crate) to: To,
    /// The length of the packets, headers included, in bytes.
    pub(crate) mtu: u32,
    /// How many.
    pub(crate) count: u32,
    /// The interface indices of bond and switch, which IPv6 needs to send to a group.
    pub(crate) indices: [u32; 2],
}

impl Flow {
    /// Sends them all and counts what arrives.
    pub(crate) fn run(self) -> Result<Count, Error> {
        let receiver = self.from.other().enter(|| self.receiver())?;
        let sender = self.from.enter(|| self.sender())?;
        let all_sent = AtomicBool::new(false);
        let sent = thread::scope(|scope| {
            let arrivals = scope.spawn(|| self.receive(&receiver, &all_sent));
            self.send(&sender);
            all_sent.store(true, Ordering::Relaxed);
            arrivals.join()
        });
        let arrivals = sent.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(arrivals.of(self.count))
    }

    /// Each flow has a port of its own, so that none takes another's datagrams for its own.
    fn port(self) -> u16 {
        let to = match self.to {
            To::One => 0,
            To::Group => 1,
            To::All => 2,
        };
        5000 + self.family.number() * 10 + to * 2 + self.from.number()
    }

    fn index(self, place: Place) -> u32 {
        self.indices[usize::from(place.number())]
    }

    fn receiver(self) -> Result<UdpSocket, Error> {
        let failed = || Error::io("open a UDP socket to receive with");
        let any: IpAddr = match self.family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, self.port())).map_err(failed())?;
        if self.to == To::Group {
            let here = self.from.other();
            match self.family {
                Family::V4 => socket.join_multicast_v4(&GROUP_V4, &here.v4()),
                Family::V6 => socket.join_multicast_v6(&GROUP_V6, self.index(here)),
            }
            .map_err(failed())?;
        }
        socket.set_read_timeout(Some(Duration::from_millis(20))).map_err(failed())?;
        Ok(socket)
    }

    fn sender(self) -> Result<UdpSocket, Error> {
        let failed = || Error::io("open a UDP socket to send with");
        // The kernel sends to a group from the interface whose address the socket is bound to.
        let socket = UdpSocket::bind((self.from.address(self.family), 0)).map_err(failed())?;
        socket.set_broadcast(true).map_err(failed())?;
        Ok(socket)
    }

    fn target(self) -> SocketAddr {
        let port = self.port();
        match (self.to, self.family) {
            (To::One, family) => (self.from.other().address(family), port).into(),
            (To::Group, Family::V4) => (GROUP_V4, port).into(),
            (To::Group | To::All, Family::V6) => {
                SocketAddrV6::new(GROUP_V6, port, 0, self.index(self.from)).into()
            }
            (To::All, Family::V4) => (Ipv4Addr::new(10, 56, 217, 255), port).into(),
        }
    }

    /// A datagram that the kernel refuses is as lost as one that the switch drops.
    fn send(self, socket: &UdpSocket) {
        let mut packet = vec![0x5a; self.mtu as usize - self.family.header() - HEADER];
        for number in 0..self.count {
            packet[..4].copy_from_slice(&number.to_be_bytes());
            let _ = socket.send_to(&packet, self.target());
            thread::sleep(PACE);
        }
    }

    fn receive(self, socket: &UdpSocket, all_sent: &AtomicBool) -> Result<Arrivals, Error> {
        let mut arrivals = Arrivals::default();
        let mut end: Option<Instant> = None;
        let mut buffer = vec![0; 10_000];
        while end.is_none_or(|end| Instant::now() < end) {
            // How long sending takes is the machine's affair.
            if end.is_none() && all_sent.load(Ordering::Relaxed) {
                end = Some(Instant::now() + PATIENCE);
            }
            match socket.recv(&mut buffer) {
                Ok(length @ 4..) if length + self.family.header() + HEADER == self.mtu as usize => {
                    let number = [buffer[0], buffer[1], buffer[2], buffer[3]];
                    arrivals.saw(u32::from_be_bytes(number));
                    if arrivals.different() == self.count {
                        end = Some(Instant::now() + COPIES);
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Error::io("receive UDP")(error)),
            }
        }
        Ok(arrivals)
    }
}
