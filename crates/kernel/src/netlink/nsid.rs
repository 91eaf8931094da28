//! The number that one network namespace has in another: `RTM_GETNSID`.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::Parseable;
use netlink_packet_route::nsid::{NsidAttribute, NsidHeader, NsidMessage};

use super::codec::Message;

/// Returns `RTM_GETNSID`: which number a namespace has in the one of the socket.
pub(crate) fn id_of(namespace: BorrowedFd<'_>) -> Message {
    let mut message = NsidMessage::default();
    message.header = NsidHeader::default();
    // A descriptor is never negative.
    message.attributes.push(NsidAttribute::Fd(namespace.as_raw_fd().unsigned_abs()));
    Message::GetNsId(message)
}

/// Reads the answer; none where the namespace has no number.
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
