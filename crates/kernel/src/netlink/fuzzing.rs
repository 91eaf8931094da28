//! For `cargo xtask fuzz`: responses of arbitrary bytes are read to an end.

use netlink_packet_core::{Emitable, NetlinkBuffer};

use super::response::{Exchange, HEADER_BYTES};
use super::{Message, read_address, read_joined_route, read_link, read_route, read_vfs, set_vf};
use crate::VfSettings;

/// The index of the link that the questions are about.
const INDEX: u32 = 2;

/// Reads a datagram as the socket does, and each object in it as every kind there is; then the
/// bytes themselves as one object, which a change of a few bytes reaches sooner.
///
/// # Panics
/// When something that was read is not read again from what is written of it.
pub fn answer(datagram: &[u8]) {
    let request = [0; 2 * HEADER_BYTES];
    for acknowledged in [false, true] {
        let sequence =
            NetlinkBuffer::new_checked(datagram).map_or(0, |answer| answer.sequence_number());
        let action = &"read an answer";
        let mut exchange =
            Exchange { action, request: &request, sequence, acknowledged, interrupted: false };
        if let Err(error) = exchange.read(datagram, &mut object) {
            // What a person would be shown.
            let _ = error.to_string();
        }
    }
    object(datagram);
}

fn object(payload: &[u8]) {
    let _ = read_link(payload);
    let _ = read_address(payload, INDEX);
    let _ = read_route(payload, INDEX);
    let _ = read_joined_route(payload, INDEX);
    for (index, settings) in read_vfs(payload, |_| true) {
        check_round_trip(index, &settings);
    }
}

/// Checks that settings of a VF are read as they were sent.
fn check_round_trip(index: u16, read: &VfSettings) {
    let Message::SetLink(message) = set_vf(INDEX, index, read) else { return };
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    let back = read_vfs(&bytes, |_| true);
    // The kernel begins each VF with a part that has its number; a service tag alone has none.
    let Some((index_back, back)) = back.first() else { return };
    assert_eq!(*index_back, index);
    assert_eq!((back.mac, back.spoofchk, back.trust), (read.mac, read.spoofchk, read.trust));
    assert_eq!(back.link_state, read.link_state);
}
