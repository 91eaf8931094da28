//! Packets of every protocol, as long as the MTU allows, through bonds over two PFs: none is lost and
//! none arrives twice.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV6, TcpListener, TcpStream,
    UdpSocket,
};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::thread::{scope, sleep};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_reuseaddr, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, SocketType, bind, connect, ipproto, listen, socket};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::cables::{Switch, carrying, reaches_the_switch, report, until};
use crate::modes::Example;
use crate::node::ip;

/// Packets or messages of each protocol in each direction. A socket holds them all.
const COUNT: u32 = 30;

/// The MTU of the examples' bonds.
const MTU: usize = 1500;

/// A busy machine in software loses a packet now and then; a bond that is at fault loses some each
/// time.
const TRIES: usize = 3;

/// The pause after each datagram: what is measured is loss, not throughput.
const PAUSE: Duration = Duration::from_millis(5);

/// How long after a group is joined its datagrams are sent.
const JOIN_PAUSE: Duration = Duration::from_millis(300);

/// How long a datagram that was sent may be on its way.
const DATAGRAM_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a connection may be silent: SCTP sends again after 3 s, then after 6.
const STREAM_TIMEOUT: Duration = Duration::from_secs(15);

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 56, 217, 1);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0x56, 0x217);
const BROADCAST: Ipv4Addr = Ipv4Addr::new(10, 56, 217, 255);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    /// The length of the IP header in bytes.
    fn header(self) -> usize {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }
}

/// One end: a link in a namespace, with its IPv4 and its link-local address.
#[derive(Debug)]
struct End {
    netns: String,
    link: &'static str,
    index: u32,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
}

impl End {
    /// Waits until both addresses can be used.
    fn ready(netns: &str, link: &'static str) -> Self {
        let command = format!("-n {netns} -j address show {link}");
        let look = || serde_json::from_str::<Value>(&ip(&command)).unwrap()[0].take();
        let found = until("both addresses", look, |found| {
            usable(found, "inet").is_some() && usable(found, "inet6").is_some()
        });
        Self {
            netns: netns.to_owned(),
            link,
            index: u32::try_from(found["ifindex"].as_u64().unwrap()).unwrap(),
            v4: usable(&found, "inet").unwrap().parse().unwrap(),
            v6: usable(&found, "inet6").unwrap().parse().unwrap(),
        }
    }

    fn socket_address(&self, family: Family, port: u16) -> SocketAddr {
        match family {
            Family::V4 => (self.v4, port).into(),
            Family::V6 => SocketAddrV6::new(self.v6, port, 0, self.index).into(),
        }
    }

    /// Opens something in the namespace, in a thread of its own.
    fn open<T: Send>(&self, open: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.netns);
        let enter_and_open = || {
            let netns = std::fs::File::open(path).unwrap();
            move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            open()
        };
        scope(|scope| scope.spawn(enter_and_open).join().unwrap())
    }
}

/// Returns the address of a family that is not tentative, of `ip -j address show`.
fn usable<'v>(link: &'v Value, family: &str) -> Option<&'v str> {
    let addresses = link["addr_info"].as_array()?;
    let found = addresses
        .iter()
        .find(|address| address["family"] == family && address["tentative"] != true)?;
    found["local"].as_str()
}

/// What arrived of [`COUNT`].
#[derive(Debug, Default, PartialEq, Eq)]
struct Arrived {
    lost: u32,
    copies: u32,
}

/// Sends ICMP echo requests.
fn echo(from: &End, to: &End, family: Family) -> Arrived {
    let size = MTU - family.header() - 8;
    let address = match family {
        Family::V4 => to.v4.to_string(),
        Family::V6 => format!("{}%{}", to.v6, from.link),
    };
    let ping = format!(
        "netns exec {} ping -n -q -M do -i 0.01 -W 2 -c {COUNT} -s {size} {address}",
        from.netns
    );
    let output = Command::new("ip").args(ping.split(' ')).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let count = |what: &str| -> Option<u32> {
        let part = said.split(['\n', ',']).find_map(|part| part.trim().strip_suffix(what))?;
        part.trim_start_matches('+').parse().ok()
    };
    let answered = count(" received").unwrap_or_else(|| panic!("not ping's: {said}"));
    Arrived { lost: COUNT - answered, copies: count(" duplicates").unwrap_or(0) }
}

/// Sends UDP datagrams to an address of the other end, or to a group or all.
fn datagrams(from: &End, to: &End, family: Family, address: IpAddr) -> Arrived {
    const PORT: u16 = 5000;
    let receiver = to.open(|| {
        let any: IpAddr = match family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, PORT)).unwrap();
        match address {
            IpAddr::V4(GROUP_V4) => socket.join_multicast_v4(&GROUP_V4, &to.v4).unwrap(),
            IpAddr::V6(GROUP_V6) => socket.join_multicast_v6(&GROUP_V6, to.index).unwrap(),
            _ => {}
        }
        socket.set_read_timeout(Some(DATAGRAM_TIMEOUT)).unwrap();
        socket
    });
    // A card's filter lets the group through a little later.
    sleep(JOIN_PAUSE);
    // The kernel sends to a group from the link whose address the socket is bound to.
    let sender = from.open(|| UdpSocket::bind(from.socket_address(family, 0)).unwrap());
    sender.set_broadcast(true).unwrap();
    let target: SocketAddr = match address {
        IpAddr::V4(address) => (address, PORT).into(),
        IpAddr::V6(address) => SocketAddrV6::new(address, PORT, 0, from.index).into(),
    };
    let mut packet = vec![0x5a; MTU - family.header() - 8];
    for number in 0..COUNT {
        packet[..4].copy_from_slice(&number.to_be_bytes());
        sender.send_to(&packet, target).unwrap();
        sleep(PAUSE);
    }
    let (mut numbers, mut copies) = (BTreeSet::new(), 0);
    loop {
        match receiver.recv(&mut packet) {
            Ok(length) => {
                assert_eq!(length, packet.len());
                copies += u32::from(!numbers.insert(packet[..4].to_vec()));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    Arrived { lost: COUNT - u32::try_from(numbers.len()).unwrap(), copies }
}

/// Connects and sends messages that fill a packet each, by TCP or by SCTP in its one-to-one style.
/// `header` is the length of what precedes the data, in bytes.
fn stream(from: &End, to: &End, family: Family, protocol: Protocol, header: usize) -> Arrived {
    const PORT: u16 = 6000;
    let open = |end: &End, port: u16| -> OwnedFd {
        end.open(|| {
            let domain = match family {
                Family::V4 => AddressFamily::INET,
                Family::V6 => AddressFamily::INET6,
            };
            let socket = socket(domain, SocketType::STREAM, Some(protocol)).unwrap();
            // They limit connect and accept too.
            for timeout in [Timeout::Send, Timeout::Recv] {
                set_socket_timeout(&socket, timeout, Some(STREAM_TIMEOUT)).unwrap();
            }
            set_socket_reuseaddr(&socket, true).unwrap();
            // To one address: an SCTP endpoint offers every one that it has.
            bind(&socket, &end.socket_address(family, port)).unwrap();
            socket
        })
    };
    let listener = open(to, PORT);
    listen(&listener, 1).unwrap();
    let sender = open(from, 0);
    // A multiple of four, to which SCTP fills its chunks.
    let size = (MTU - family.header() - header) / 4 * 4;
    let received = || -> io::Result<usize> {
        // The scope of a link-local address is the sender's.
        let target = match to.socket_address(family, PORT) {
            SocketAddr::V6(to) => SocketAddrV6::new(*to.ip(), PORT, 0, from.index).into(),
            to @ SocketAddr::V4(_) => to,
        };
        connect(&sender, &target)?;
        let mut sender = TcpStream::from(sender);
        let message = vec![0x5a; size];
        for _ in 0..COUNT {
            sender.write_all(&message)?;
        }
        sender.shutdown(Shutdown::Write)?;
        let (mut receiver, _) = TcpListener::from(listener).accept()?;
        receiver.set_read_timeout(Some(STREAM_TIMEOUT))?;
        let mut bytes = Vec::new();
        // What came before a timeout counts.
        let _ = receiver.read_to_end(&mut bytes);
        Ok(bytes.len())
    };
    let bytes = received().unwrap_or_else(|error| {
        report(&format!("{protocol:?}: {error}"));
        0
    });
    Arrived { lost: COUNT - u32::try_from(bytes / size).unwrap(), copies: 0 }
}

/// Sends everything in one direction; returns what was lost or came twice, with its protocol.
fn send_all(from: &End, to: &End) -> Vec<String> {
    let mut results = Vec::new();
    for family in [Family::V4, Family::V6] {
        let (one, group): (IpAddr, IpAddr) = match family {
            Family::V4 => (to.v4.into(), GROUP_V4.into()),
            Family::V6 => (to.v6.into(), GROUP_V6.into()),
        };
        results.extend([
            (family, "ICMP", echo(from, to, family)),
            (family, "UDP", datagrams(from, to, family, one)),
            (family, "multicast", datagrams(from, to, family, group)),
            // TCP's header with timestamps; SCTP's with that of one DATA chunk.
            (family, "TCP", stream(from, to, family, ipproto::TCP, 32)),
            (family, "SCTP", stream(from, to, family, ipproto::SCTP, 28)),
        ]);
    }
    let broadcast = datagrams(from, to, Family::V4, BROADCAST.into());
    results.push((Family::V4, "broadcast", broadcast));
    let faulty = results.into_iter().filter(|(.., arrived)| *arrived != Arrived::default());
    faulty
        .map(|(family, name, arrived)| {
            format!("{} to {}: {name} {family:?}: {arrived:?}", from.netns, to.netns)
        })
        .collect()
}

fn loses_nothing(mode: &str, shape: &str, switch: &'static str) {
    let module = Command::new("modprobe").arg("sctp").status().unwrap();
    assert!(module.success());
    let _switch = Switch::wired(shape);
    let example = Example::applied(mode);
    carrying(mode, &["net1", "net2"]);
    reaches_the_switch(mode);
    let ends = [End::ready(&format!("demo.{mode}"), "bond0"), End::ready("switch", switch)];
    let mut faults = Vec::new();
    for _ in 0..TRIES {
        faults = [send_all(&ends[0], &ends[1]), send_all(&ends[1], &ends[0])].concat();
        if faults.is_empty() {
            break;
        }
        report(&format!("{mode}: {faults:?}"));
    }
    assert_eq!(faults, [""; 0], "{mode}, in each of {TRIES} tries");
    example.end();
}

#[test]
fn active_backup_loses_no_packet_of_any_protocol() {
    loses_nothing("active-backup", "bridge", "br0");
}

#[test]
fn balance_xor_loses_no_packet_of_any_protocol() {
    loses_nothing("balance-xor", "lag", "lag0");
}
