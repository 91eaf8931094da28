//! The number that one network namespace has in another: `RTM_GETNSID`, `RTM_NEWNSID`, `RTM_DELNSID`.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::Parseable;
use netlink_packet_route::nsid::{NsidAttribute, NsidHeader, NsidMessage};

use super::codec::Message;

/// The kernel's `NETNSA_NSID_NOT_ASSIGNED`: in a request, any number that is free.
const NEXT_FREE: i32 = -1;

/// Returns `RTM_GETNSID`: which number a namespace has in the one of the socket.
pub(crate) fn id_of(namespace: BorrowedFd<'_>) -> Message {
    let mut message = NsidMessage::default();
    message.header = NsidHeader::default();
    // A descriptor is never negative.
    message.attributes.push(NsidAttribute::Fd(namespace.as_raw_fd().unsigned_abs()));
    Message::GetNsId(message)
}

/// Returns `RTM_NEWNSID`: gives a namespace the next free number in the one of the socket.
pub(crate) fn assign_id(namespace: BorrowedFd<'_>) -> Message {
    let mut message = NsidMessage::default();
    message.header = NsidHeader::default();
    message.attributes.push(NsidAttribute::Fd(namespace.as_raw_fd().unsigned_abs()));
    message.attributes.push(NsidAttribute::Id(NEXT_FREE));
    Message::NewNsId(message)
}

/// Reads the answer to `RTM_GETNSID`, or an `RTM_DELNSID`; none where the namespace has no number.
pub(crate) fn read_id(payload: &[u8]) -> Result<Option<i32>, String> {
    let message = NsidMessage::parse(payload).map_err(|error| error.to_string())?;
    let id = message.attributes.iter().find_map(|attribute| match attribute {
        NsidAttribute::Id(id) => Some(*id),
        _ => None,
    });
    Ok(id.filter(|id| *id >= 0))
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::Emitable;

    use super::*;

    #[test]
    fn namespace_without_a_number_has_none() {
        for (id, expected) in [(0, Some(0)), (7, Some(7)), (-1, None)] {
            let mut message = NsidMessage::default();
            message.attributes.push(NsidAttribute::Id(id));
            let mut payload = vec![0; message.buffer_len()];
            message.emit(&mut payload);
            assert_eq!(read_id(&payload), Ok(expected));
        }
    }
}
