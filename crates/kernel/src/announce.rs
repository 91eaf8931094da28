use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV6};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use podbond_names::{LinkName, Mac};
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, bind, ipproto, sendto, socket_with, sockopt,
};

use crate::netlink::{NLM_F_CREATE, forget_neighbour, look_for_neighbour};
use crate::side::Side;
use crate::{Error, Link, Result, netns};

/// How often the carrier is looked at.
const PAUSE: Duration = Duration::from_millis(10);

/// RFC 4291, section 2.7.1.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

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
    for address in addresses {
        match address.addr() {
            IpAddr::V4(ip) => request_own(side, &link, ip)?,
            IpAddr::V6(ip) => netns::within(side.namespace(), || advertise(&link, mac, ip))
                .and_then(|sent| sent.map_err(Into::into))
                .map_err(|source| Error::Socket { action: "announce an address", source })?,
        }
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

/// Has the kernel ask the network who has our own address, by a broadcast that says that we do: the
/// ARP announcement of RFC 5227, section 3. Switches and bridges learn the port, neighbours correct
/// what they remember.
///
/// It needs no packet socket, whose close(2) waits for an RCU grace period: longer than all else of
/// an ADD takes. Of several addresses of one subnet the kernel gives the first as the sender's.
fn request_own(side: &mut Side, link: &Link, ip: Ipv4Addr) -> Result<()> {
    let action = format_args!("announce {ip}");
    let sought = look_for_neighbour(link.index, ip);
    side.change(&action, &link.name, &sought, NLM_F_CREATE)?;
    // The first request went out with it. Nobody answers: there is nothing to wait for.
    side.change(&action, &link.name, &forget_neighbour(link.index, ip), 0)
}

/// Sends an unsolicited neighbour advertisement: RFC 4861, section 7.2.6. The kernel writes the
/// headers and the checksum.
fn advertise(link: &Link, mac: Mac, ip: Ipv6Addr) -> rustix::io::Result<()> {
    let socket = socket_with(
        AddressFamily::INET6,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(ipproto::ICMPV6),
    )?;
    let through = |ip| SocketAddrV6::new(ip, 0, 0, link.index);
    // RFC 4861, section 7.1.2: a node MUST silently discard any received Neighbor Advertisement
    // messages that do not satisfy: "The IP Hop Limit field has a value of 255".
    sockopt::set_ipv6_multicast_hops(&socket, 255)?;
    bind(&socket, &through(ip))?;
    sendto(&socket, &advertisement(mac, ip), SendFlags::empty(), &through(ALL_NODES)).map(drop)
}

/// RFC 4861, section 4.4.
fn advertisement(mac: Mac, ip: Ipv6Addr) -> Vec<u8> {
    const ADVERTISEMENT: u8 = 136;
    const OVERRIDE: u8 = 0x20;
    const TARGET_LINK_ADDRESS: u8 = 2;
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0];
    message.extend(ip.octets());
    // The option's length is in units of 8 bytes.
    message.extend([TARGET_LINK_ADDRESS, 1]);
    message.extend(mac.bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn a_neighbour_advertisement_overrides_what_neighbours_remember() {
        let ip: Ipv6Addr = "2001:db8::7".parse().unwrap();
        assert_eq!(advertisement(Mac::new([2, 0, 0, 0, 0, 0x0a]), ip), [
            // advertisement, its checksum left to the kernel, override flag
            136, 0, 0, 0, 0x20, 0, 0, 0,
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7,
            // option: target link-layer address
            2, 1, 2, 0, 0, 0, 0, 0x0a,
        ]);
    }
}
