use netlink_packet_core::Parseable;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVlan, LinkInfo, VlanProtocol as CodecProtocol,
};

use super::attributes;
use crate::{VlanProtocol, VlanTag};

/// `IFLA_INFO_KIND` of a VLAN interface.
pub(super) const KIND: &str = "vlan";

/// `IFLA_LINKINFO` of a new VLAN interface.
pub(super) fn link_info(tag: VlanTag) -> Vec<LinkInfo> {
    let protocol = match tag.protocol {
        VlanProtocol::Dot1Q => CodecProtocol::Ieee8021Q,
        VlanProtocol::Dot1Ad => CodecProtocol::Ieee8021Ad,
    };
    let data = vec![InfoVlan::Id(tag.id), InfoVlan::Protocol(protocol)];
    vec![LinkInfo::Kind(InfoKind::Vlan), LinkInfo::Data(InfoData::Vlan(data))]
}

/// `IFLA_INFO_DATA` of a VLAN interface; none when it has no ID, or a protocol that is not known
/// here.
pub(super) fn read_tag(data: &[u8]) -> Option<VlanTag> {
    let mut id = None;
    let mut protocol = None;
    for nla in attributes(data) {
        match InfoVlan::parse(&nla) {
            Ok(InfoVlan::Id(number)) => id = Some(number),
            Ok(InfoVlan::Protocol(CodecProtocol::Ieee8021Q)) => {
                protocol = Some(VlanProtocol::Dot1Q);
            }
            Ok(InfoVlan::Protocol(CodecProtocol::Ieee8021Ad)) => {
                protocol = Some(VlanProtocol::Dot1Ad);
            }
            _ => {}
        }
    }
    Some(VlanTag { id: id?, protocol: protocol? })
}
