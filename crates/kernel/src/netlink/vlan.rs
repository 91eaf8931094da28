//! `IFLA_LINKINFO` of VLAN interfaces.

use netlink_packet_core::Parseable;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVlan, LinkInfo, VlanProtocol as CodecProtocol,
};

use super::codec::attributes;
use crate::{VlanProtocol, VlanTag};

/// `IFLA_INFO_KIND` of a VLAN interface.
pub(super) const KIND: &str = "vlan";

/// Returns `IFLA_LINKINFO` of a new VLAN interface.
pub(super) fn link_info(tag: VlanTag) -> Vec<LinkInfo> {
    let data = vec![InfoVlan::Id(tag.id), InfoVlan::Protocol(write_protocol(tag.protocol))];
    vec![LinkInfo::Kind(InfoKind::Vlan), LinkInfo::Data(InfoData::Vlan(data))]
}

/// Reads `IFLA_INFO_DATA` of a VLAN interface; none when it has no ID, or an unknown protocol.
pub(super) fn read_tag(data: &[u8]) -> Option<VlanTag> {
    let mut id = None;
    let mut protocol = None;
    for nla in attributes(data) {
        match InfoVlan::parse(&nla) {
            Ok(InfoVlan::Id(number)) => id = Some(number),
            Ok(InfoVlan::Protocol(codec)) => protocol = read_protocol(codec),
            _ => {}
        }
    }
    Some(VlanTag { id: id?, protocol: protocol? })
}

pub(super) fn write_protocol(protocol: VlanProtocol) -> CodecProtocol {
    match protocol {
        VlanProtocol::Dot1Q => CodecProtocol::Ieee8021Q,
        VlanProtocol::Dot1Ad => CodecProtocol::Ieee8021Ad,
    }
}

pub(super) fn read_protocol(protocol: CodecProtocol) -> Option<VlanProtocol> {
    match protocol {
        CodecProtocol::Ieee8021Q => Some(VlanProtocol::Dot1Q),
        CodecProtocol::Ieee8021Ad => Some(VlanProtocol::Dot1Ad),
        _ => None,
    }
}
