use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use podbond_names::{LinkName, Mac};
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, sendto, socket_with};

use crate::side::Side;
use crate::{Error, Link, Result, netns};

/// How often the carrier is looked at.
const PAUSE: Duration = Duration::from_millis(10);

const BROADCAST: Mac = Mac::new([0xff; 6]);
/// Where frames for `ff02::1` go: RFC 2464, section 7.
const ALL_NODES_MAC: Mac = Mac::new([0x33, 0x33, 0, 0, 0, 1]);
/// RFC 4291, section 2.7.1.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ICMPV6: u8 = 58;

/// Announces addresses once the link has carrier, if it gets it in time.
pub(crate) fn announce(
    side: &mut Side,
    name: &LinkName,
    addresses: &[IpNet],
    patience: Duration,
) -> Result<()> {
    if addresses.is_empty() {
        return Ok(());
    }
    let Some(link) = await_carrier(side, name, patience)? else { return Ok(()) };
    // Links without an Ethernet address have no neighbours to tell.
    let Some(mac) = link.mac else { return Ok(()) };
    let socket = netns::within(side.namespace(), open)
        .and_then(|socket| socket.map_err(Into::into))
        .map_err(|source| Error::Socket { action: "open a packet socket", source })?;
    for address in addresses {
        let (frame, kind) = match address.addr() {
            IpAddr::V4(ip) => (gratuitous_arp(mac, ip), ETHERTYPE_ARP),
            IpAddr::V6(ip) => (neighbour_advertisement(mac, ip), ETHERTYPE_IPV6),
        };
        let to = LinkAddress::of(&link, kind);
        sendto(&socket, &frame, SendFlags::empty(), &to).map_err(|error| Error::Socket {
            action: "announce an address",
            source: error.into(),
        })?;
    }
    Ok(())
}

fn await_carrier(side: &mut Side, name: &LinkName, patience: Duration) -> Result<Option<Link>> {
    let end = Instant::now() + patience;
    loop {
        let link = side.must_have(name)?;
        if link.carrier {
            return Ok(Some(link));
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        sleep(PAUSE.min(left));
    }
}

/// A socket for whole frames that receives none.
fn open() -> rustix::io::Result<OwnedFd> {
    socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)
}

/// An ARP request for one's own address: RFC 5227, section 3. Switches and bridges learn the port,
/// neighbours correct what they remember.
fn gratuitous_arp(mac: Mac, ip: Ipv4Addr) -> Vec<u8> {
    const ETHERNET: u16 = 1;
    const IPV4: u16 = 0x0800;
    const REQUEST: u16 = 1;
    let mut frame = ethernet(BROADCAST, mac, ETHERTYPE_ARP);
    frame.extend(ETHERNET.to_be_bytes());
    frame.extend(IPV4.to_be_bytes());
    // The lengths of the two kinds of address.
    frame.extend([6, 4]);
    frame.extend(REQUEST.to_be_bytes());
    frame.extend(mac.bytes());
    frame.extend(ip.octets());
    frame.extend(Mac::ZERO.bytes());
    frame.extend(ip.octets());
    frame
}

/// An unsolicited neighbour advertisement: RFC 4861, section 7.2.6.
fn neighbour_advertisement(mac: Mac, ip: Ipv6Addr) -> Vec<u8> {
    const ADVERTISEMENT: u8 = 136;
    const OVERRIDE: u8 = 0x20;
    const TARGET_LINK_ADDRESS: u8 = 2;
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0];
    message.extend(ip.octets());
    // The option's length is in units of 8 bytes.
    message.extend([TARGET_LINK_ADDRESS, 1]);
    message.extend(mac.bytes());
    let checksum = checksum(ip, ALL_NODES, &message);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());

    let mut frame = ethernet(ALL_NODES_MAC, mac, ETHERTYPE_IPV6);
    // Version 6, no traffic class, no flow label.
    frame.extend([0x60, 0, 0, 0]);
    // 32 bytes of ICMPv6; the hop limit must be 255 (RFC 4861, section 7.1.2).
    frame.extend([0, 32, ICMPV6, 255]);
    frame.extend(ip.octets());
    frame.extend(ALL_NODES.octets());
    frame.extend(message);
    frame
}

fn ethernet(to: Mac, from: Mac, kind: u16) -> Vec<u8> {
    let mut frame = to.bytes().to_vec();
    frame.extend(from.bytes());
    frame.extend(kind.to_be_bytes());
    frame
}

/// The checksum of ICMP for IPv6, over the pseudo-header and the message: RFC 4443, section 2.3.
fn checksum(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    let mut words: Vec<u8> = Vec::new();
    words.extend(from.octets());
    words.extend(to.octets());
    // The upper-layer length, as 32 bits. The one message that we make has 32 bytes.
    words.extend([0, 0, 0, 32]);
    words.extend([0, 0, 0, ICMPV6]);
    words.extend(message);
    let sum = words.chunks(2).fold(0_u16, |sum, pair| {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        // One's complement: a carry comes in again at the other end.
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    });
    !sum
}

/// `struct sockaddr_ll` of packet(7), as far as sending needs it.
#[repr(C)]
struct LinkAddress {
    family: u16,
    protocol: u16,
    index: u32,
    hardware: u16,
    packet_type: u8,
    address_bytes: u8,
    address: [u8; 8],
}

impl LinkAddress {
    /// The frame itself says where it goes: only the link is named.
    fn of(link: &Link, ethertype: u16) -> Self {
        Self {
            family: AddressFamily::PACKET.as_raw(),
            protocol: ethertype.to_be(),
            index: link.index,
            hardware: 0,
            packet_type: 0,
            address_bytes: 0,
            address: [0; 8],
        }
    }
}

#[allow(unsafe_code, reason = "rustix has no type for the addresses of packet sockets")]
// SAFETY: the pointer is to a whole `LinkAddress` that `self` keeps alive during the call, and the
// length is its size. It has the layout of `sockaddr_ll` (20 bytes, no padding), and its family is
// AF_PACKET, so it is a valid address for the calls that take one.
unsafe impl SocketAddrArg for LinkAddress {
    unsafe fn with_sockaddr<R>(
        &self,
        call: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        const SIZE: SocketAddrLen = 20;
        const { assert!(size_of::<LinkAddress>() == SIZE as usize) };
        call(std::ptr::from_ref(self).cast(), SIZE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac::new([2, 0, 0, 0, 0, 0x0a]);

    #[test]
    #[rustfmt::skip]
    fn a_gratuitous_arp_is_a_broadcast_request_for_ones_own_address() {
        assert_eq!(gratuitous_arp(MAC, Ipv4Addr::new(10, 56, 217, 7)), [
            // Ethernet
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0x0a, 0x08, 0x06,
            // Ethernet and IPv4, 6 and 4 bytes, request
            0, 1, 0x08, 0, 6, 4, 0, 1,
            // sender
            2, 0, 0, 0, 0, 0x0a, 10, 56, 217, 7,
            // target
            0, 0, 0, 0, 0, 0, 10, 56, 217, 7,
        ]);
    }

    #[test]
    #[rustfmt::skip]
    fn a_neighbour_advertisement_overrides_what_neighbours_remember() {
        let ip: Ipv6Addr = "2001:db8::7".parse().unwrap();
        assert_eq!(neighbour_advertisement(MAC, ip), [
            // Ethernet
            0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0x0a, 0x86, 0xdd,
            // IPv6: 32 bytes of ICMPv6, hop limit 255
            0x60, 0, 0, 0, 0, 32, 58, 255,
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7,
            0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
            // advertisement with its checksum, override flag
            136, 0, 0xf9, 0x15, 0x20, 0, 0, 0,
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7,
            // option: target link-layer address
            2, 1, 2, 0, 0, 0, 0, 0x0a,
        ]);
    }

    #[test]
    fn the_receivers_sum_over_the_whole_is_zero() {
        let ip: Ipv6Addr = "fe80::1:2:3:4".parse().unwrap();
        let frame = neighbour_advertisement(MAC, ip);
        assert_eq!(checksum(ip, ALL_NODES, &frame[54..]), 0);
    }
}
