//! Messages about neighbours: `RTM_NEWNEIGH`, `RTM_DELNEIGH`.

use std::net::Ipv4Addr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourHeader, NeighbourMessage,
};

use super::codec::Message;

fn neighbour(index: u32, ip: Ipv4Addr, flags: NeighbourFlags) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header = NeighbourHeader {
        family: AddressFamily::Inet,
        ifindex: index,
        flags,
        ..NeighbourHeader::default()
    };
    message.attributes = vec![NeighbourAttribute::Destination(NeighbourAddress::Inet(ip))];
    message
}

/// Returns `RTM_NEWNEIGH` with `NTF_USE`: the kernel looks for the neighbour with this address, as
/// if there were something to be sent to it.
pub(crate) fn look_for_neighbour(index: u32, ip: Ipv4Addr) -> Message {
    Message::NewNeighbour(neighbour(index, ip, NeighbourFlags::Use))
}

/// Returns `RTM_DELNEIGH`: the kernel forgets the neighbour, and looks for it no longer.
pub(crate) fn forget_neighbour(index: u32, ip: Ipv4Addr) -> Message {
    Message::DelNeighbour(neighbour(index, ip, NeighbourFlags::empty()))
}
