//! What all messages share: types of the codec, attribute by attribute reading, sizes of headers.

use netlink_packet_core::{NlaBuffer, NlasIterator};
use podbond_names::Mac;

/// One request, ready to be sent.
pub(crate) type Message = netlink_packet_route::RouteNetlinkMessage;
/// One attribute of a change to a link.
pub(crate) type Attribute = netlink_packet_route::link::LinkAttribute;

/// `sizeof(struct ifinfomsg)`.
pub(super) const LINK_HEADER_BYTES: usize = 16;

/// Returns the attributes in a buffer, up to its end or to the first that is cut off.
///
/// Answers are read attribute by attribute, each with the codec's parser for it, and only those
/// that are wanted: a part of a message that a newer kernel writes differently is passed over
/// instead of failing the whole message, and with it a whole dump.
pub(super) fn attributes(buffer: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(buffer).map_while(Result::ok)
}

/// Returns the attributes of a message about a link.
pub(super) fn link_attributes(payload: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    attributes(payload.get(LINK_HEADER_BYTES..).unwrap_or(&[]))
}

pub(super) fn read_mac(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac::new)
}
