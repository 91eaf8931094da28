//! rtnetlink: our own socket, and the messages that this crate sends and reads. The codec crates
//! are named here and nowhere else.

mod answer;
mod bond;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod ip;
mod link;
#[cfg(feature = "measuring")]
pub mod measuring;
mod neighbour;
mod shown;
mod socket;
mod vf;
mod vlan;

pub(crate) use ip::{
    addresses_of, append_route, new_address, read_address, read_route, remove_address,
    remove_route, routes_of,
};
pub(crate) use link::{
    Props, Which, add_altname, add_bond, add_vlan, all_links, drop_altname, get_link, ports_of,
    remove_link, set_link, set_port, set_port_role, set_state,
};
pub(crate) use neighbour::{forget_neighbour, look_for_neighbour};
pub(crate) use shown::read_link;
pub(crate) use socket::Socket;
pub(crate) use vf::{read_vfs, set_vf};

/// Flags of a change that makes something.
pub(crate) use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_core::{NlaBuffer, NlasIterator};

/// One request, ready to be sent.
pub(crate) type Message = netlink_packet_route::RouteNetlinkMessage;
/// One attribute of a change to a link.
pub(crate) type Attribute = netlink_packet_route::link::LinkAttribute;

/// The attributes in a buffer, up to its end or to the first that is cut off.
///
/// Answers are read attribute by attribute, each with the codec's parser for it, and only those
/// that are wanted: a part of a message that a newer kernel writes differently is passed over
/// instead of failing the whole message, and with it a whole dump.
fn attributes(buffer: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(buffer).map_while(Result::ok)
}
