//! Announcement of addresses to the neighbours: gratuitous ARP and unsolicited neighbour
//! advertisements (RFC 5227, RFC 4861).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use ipnet::IpNet;
use podbond_names::Mac;
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, bind, ipproto, sendto, socket_with, sockopt,
};

use super::Kernel;
use crate::netlink::{NLM_F_CREATE, forget_neighbour, look_for_neighbour};
use crate::netns_handle::NetnsHandle;
use crate::wait::poll;
use crate::{AddressState, Error, Link, LinkRef, Result, netns};

/// How often the carrier is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// RFC 4291, section 2.7.1.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

impl Kernel {
    /// Announces addresses to the neighbours: a gratuitous ARP for each IPv4 address, an
    /// unsolicited neighbour advertisement for each IPv6 one that is not tentative. Waits for the link's
    /// carrier, at most `timeout`, and sends nothing when it has none then.
    pub fn announce(&mut self, at: &LinkRef, addresses: &[IpNet], timeout: Duration) -> Result<()> {
        if addresses.is_empty() {
            return Ok(());
        }
        let handle = self.handle(at.netns)?;
        let link = poll(timeout, POLL_INTERVAL, || {
            Ok(Some(handle.must_have(&at.name)?).filter(|link| link.carrier))
        })?;
        let Some(link) = link else { return Ok(()) };
        // Neighbours of links without an Ethernet address remember none.
        let Some(mac) = link.mac else { return Ok(()) };
        let usable = if addresses.iter().any(|address| address.addr().is_ipv6()) {
            let states = handle.addresses(&at.name)?;
            let usable = states.into_iter().filter(|(_, state)| *state == AddressState::Usable);
            usable.map(|(address, _)| address).collect()
        } else {
            Vec::new()
        };
        for address in addresses {
            match address.addr() {
                IpAddr::V4(ip) => announce_v4(handle, &link, ip)?,
                // A card that hears itself, as a VF of igb, would take it for another host's answer.
                IpAddr::V6(_) if !usable.contains(address) => {}
                IpAddr::V6(ip) => netns::within(handle.namespace(), || advertise(&link, mac, ip))
                    .and_then(|sent| sent.map_err(Into::into))
                    .map_err(|source| Error::Socket { action: "announce an address", source })?,
            }
        }
        Ok(())
    }
}

/// Makes the kernel broadcast an ARP request for our own address: the ARP announcement of RFC 5227,
/// section 3. Switches and bridges learn the port, neighbours correct what they remember.
///
/// It needs no packet socket, whose close(2) waits for an RCU grace period: longer than all else of
/// an ADD takes. Of several addresses of one subnet the kernel gives the first as the sender's.
fn announce_v4(handle: &mut NetnsHandle, link: &Link, ip: Ipv4Addr) -> Result<()> {
    let action = format_args!("announce {ip}");
    let request = look_for_neighbour(link.index, ip);
    handle.change(&action, &link.name, &request, NLM_F_CREATE)?;
    // The first request went out with it. Nobody answers: there is nothing to wait for.
    handle.change(&action, &link.name, &forget_neighbour(link.index, ip), 0)
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
    // RFC 4861, section 7.1.2: a node MUST silently discard any received Neighbor Advertisement
    // messages that do not satisfy: "The IP Hop Limit field has a value of 255".
    sockopt::set_ipv6_multicast_hops(&socket, 255)?;
    bind(&socket, &SocketAddrV6::new(ip, 0, 0, link.index))?;
    let to = SocketAddrV6::new(ALL_NODES, 0, 0, link.index);
    sendto(&socket, &advertisement(mac, ip), SendFlags::empty(), &to).map(drop)
}

/// Returns a neighbour advertisement: RFC 4861, section 4.4.
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
    fn neighbour_advertisement_has_the_override_flag() {
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
