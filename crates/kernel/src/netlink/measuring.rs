//! For `cargo xtask bench`: the parts of the codec that it measures.

use netlink_packet_core::Emitable;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use podbond_names::Mac;

use super::vf::{read_vfs, set_vf};
use super::{Message, read_link};
use crate::{Link, VfLinkState, VfSettings, VlanProtocol};

/// Returns the payload of an `RTM_NEWLINK` of a PF with so many VFs, each with every setting.
pub fn pf_with_vfs(count: u16) -> Vec<u8> {
    let lists = (0..count).flat_map(vf_attributes).filter_map(|attribute| match attribute {
        LinkAttribute::VfInfoList(list) => Some(list),
        _ => None,
    });
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName("pf0".to_owned()),
        LinkAttribute::VfInfoList(lists.flatten().collect()),
    ];
    let mut payload = vec![0; message.buffer_len()];
    message.emit(&mut payload);
    payload
}

fn vf_attributes(number: u16) -> Vec<LinkAttribute> {
    let [high, low] = number.to_be_bytes();
    let settings = VfSettings {
        mac: Some(Mac::new([2, 0, 0, 0, high, low])),
        vlan: Some(number % 4095),
        qos: Some(low % 8),
        vlan_proto: Some(VlanProtocol::Dot1Q),
        spoofchk: Some(low.is_multiple_of(2)),
        trust: Some(low.is_multiple_of(3)),
        link_state: Some(VfLinkState::Auto),
        min_tx_rate: Some(u32::from(number)),
        max_tx_rate: Some(u32::from(number) * 10),
    };
    match set_vf(1, number, &settings) {
        Message::SetLink(message) => message.attributes,
        _ => Vec::new(),
    }
}

/// Reads one VF of such a message, as a VF operation does, and the PF's link.
pub fn read_vf(payload: &[u8], wanted: u16) -> Option<(Link, VfSettings)> {
    let (_, settings) = read_vfs(payload, |index| index == wanted).into_iter().next()?;
    Some((read_link(payload).ok()?, settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_vf_is_found() {
        let payload = pf_with_vfs(256);
        let (link, settings) = read_vf(&payload, 255).unwrap();
        assert_eq!((link.name.as_str(), settings.max_tx_rate), ("pf0", Some(2550)));
        assert!(read_vf(&payload, 256).is_none());
    }
}
