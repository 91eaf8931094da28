//! VF settings in messages about a PF: `IFLA_VFINFO_LIST`.

use netlink_packet_core::{Parseable, parse_u32};
use netlink_packet_route::link::{
    LinkAttribute, LinkVfInfo, VfInfo, VfInfoLinkState, VfInfoMac, VfInfoRate, VfInfoSpoofCheck,
    VfInfoTrust, VfInfoVlan, VfLinkState as Codec, VfVlan, VfVlanInfo,
};

use super::codec::{Message, attributes, link_attributes, read_mac};
use super::link::set_link;
use super::vlan::{read_protocol, write_protocol};
use crate::{VfLinkState, VfSettings, VlanProtocol};

const IFLA_VFINFO_LIST: u16 = 22;
const IFLA_VF_INFO: u16 = 1;
const IFLA_VF_SPOOFCHK: u16 = 4;
const IFLA_VF_STATS: u16 = 8;
const IFLA_VF_TRUST: u16 = 9;
const IFLA_VF_VLAN_LIST: u16 = 12;
const IFLA_VF_BROADCAST: u16 = 13;

/// `ETH_ALEN`
const MAC_BYTES: usize = 6;

/// Returns `RTM_SETLINK` of the settings of one VF. All in one `IFLA_VF_INFO`: the kernel takes its
/// parts one after the other, and stops at the first that the driver refuses.
pub(crate) fn set_vf(pf: u32, vf: u16, settings: &VfSettings) -> Message {
    let VfSettings {
        mac,
        vlan,
        qos,
        vlan_proto,
        spoofchk,
        trust,
        link_state,
        min_tx_rate,
        max_tx_rate,
    } = *settings;
    let vf = u32::from(vf);
    let mut info = Vec::new();
    info.extend(mac.map(|mac| VfInfo::Mac(VfInfoMac::new(vf, &mac.bytes()))));
    if vlan.is_some() || qos.is_some() || vlan_proto.is_some() {
        let (id, qos) = (u32::from(vlan.unwrap_or(0)), u32::from(qos.unwrap_or(0)));
        info.push(match vlan_proto {
            // The only way to name another protocol than 802.1q, which every driver understands
            // in the older attribute.
            Some(protocol @ VlanProtocol::Dot1Ad) => {
                let tag = VfVlanInfo::new(vf, id, qos, write_protocol(protocol));
                VfInfo::VlanList(vec![VfVlan::Info(tag)])
            }
            Some(VlanProtocol::Dot1Q) | None => VfInfo::Vlan(VfInfoVlan::new(vf, id, qos)),
        });
    }
    if min_tx_rate.is_some() || max_tx_rate.is_some() {
        let (min, max) = (min_tx_rate.unwrap_or(0), max_tx_rate.unwrap_or(0));
        info.push(VfInfo::Rate(VfInfoRate::new(vf, min, max)));
    }
    info.extend(spoofchk.map(|on| VfInfo::SpoofCheck(VfInfoSpoofCheck::new(vf, on))));
    info.extend(link_state.map(|state| {
        let state = match state {
            VfLinkState::Auto => Codec::Auto,
            VfLinkState::Enable => Codec::Enable,
            VfLinkState::Disable => Codec::Disable,
        };
        VfInfo::LinkState(VfInfoLinkState::new(vf, state))
    }));
    info.extend(trust.map(|on| VfInfo::Trust(VfInfoTrust::new(vf, on))));
    set_link(pf, vec![LinkAttribute::VfInfoList(vec![LinkVfInfo(info)])])
}

/// Reads the settings of VFs from an `RTM_NEWLINK` of a PF: those that `wanted` accepts, with their
/// index.
pub(crate) fn read_vfs(payload: &[u8], wanted: impl Fn(u16) -> bool) -> Vec<(u16, VfSettings)> {
    let mut vfs = Vec::new();
    for list in link_attributes(payload).filter(|nla| nla.kind() == IFLA_VFINFO_LIST) {
        for entry in attributes(list.value()).filter(|entry| entry.kind() == IFLA_VF_INFO) {
            if let Some(index) = vf_index(entry.value()).filter(|&index| wanted(index)) {
                vfs.push((index, read_settings(entry.value())));
            }
        }
    }
    vfs
}

/// Returns the VF's number, with which each attribute begins that is a structure.
fn vf_index(info: &[u8]) -> Option<u16> {
    let unnumbered = [IFLA_VF_STATS, IFLA_VF_VLAN_LIST, IFLA_VF_BROADCAST];
    let numbered = attributes(info).find(|nla| !unnumbered.contains(&nla.kind()))?;
    u16::try_from(parse_u32(numbered.value().get(..4)?).ok()?).ok()
}

fn read_settings(info: &[u8]) -> VfSettings {
    let mut settings = VfSettings::default();
    for nla in attributes(info) {
        match nla.kind() {
            // The codec reads these two as on or off, but there is a third answer.
            IFLA_VF_SPOOFCHK => settings.spoofchk = read_switch(nla.value()),
            IFLA_VF_TRUST => settings.trust = read_switch(nla.value()),
            _ => {
                if let Ok(item) = VfInfo::parse(&nla) {
                    read_item(&item, &mut settings);
                }
            }
        }
    }
    settings
}

/// Reads `struct ifla_vf_spoofchk` or `struct ifla_vf_trust`: −1 where the driver does not report
/// it.
fn read_switch(value: &[u8]) -> Option<bool> {
    match parse_u32(value.get(4..8)?).ok()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn read_item(item: &VfInfo, settings: &mut VfSettings) {
    match item {
        VfInfo::Mac(mac) => settings.mac = read_mac(&mac.mac[..MAC_BYTES]),
        VfInfo::Vlan(tag) => {
            settings.vlan = u16::try_from(tag.vlan_id).ok();
            settings.qos = u8::try_from(tag.qos).ok();
        }
        VfInfo::VlanList(tags) => {
            if let Some(VfVlan::Info(tag)) = tags.first() {
                settings.vlan_proto = read_protocol(tag.protocol);
            }
        }
        VfInfo::LinkState(state) => {
            settings.link_state = match state.state {
                Codec::Auto => Some(VfLinkState::Auto),
                Codec::Enable => Some(VfLinkState::Enable),
                Codec::Disable => Some(VfLinkState::Disable),
                _ => None,
            };
        }
        VfInfo::Rate(rate) => {
            settings.min_tx_rate = Some(rate.min_tx_rate);
            settings.max_tx_rate = Some(rate.max_tx_rate);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::Emitable;
    use netlink_packet_route::link::LinkMessage;

    use super::*;

    fn payload(message: &Message) -> Vec<u8> {
        let Message::SetLink(message) = message else { panic!("not RTM_SETLINK") };
        let mut payload = vec![0; message.buffer_len()];
        message.emit(&mut payload);
        payload
    }

    fn settings(seed: u8) -> VfSettings {
        VfSettings {
            mac: Some(podbond_names::Mac::new([2, 0, 0, 0, 0, seed])),
            vlan: Some(u16::from(seed) + 1),
            qos: Some(seed % 8),
            vlan_proto: None,
            spoofchk: Some(seed.is_multiple_of(2)),
            trust: Some(seed.is_multiple_of(3)),
            link_state: Some(
                [VfLinkState::Auto, VfLinkState::Enable, VfLinkState::Disable]
                    [usize::from(seed) % 3],
            ),
            min_tx_rate: Some(u32::from(seed)),
            max_tx_rate: Some(u32::from(seed) * 10),
        }
    }

    #[test]
    fn settings_are_read_as_sent() {
        let wanted = settings(5);
        assert_eq!(read_vfs(&payload(&set_vf(3, 6, &wanted)), |_| true), [(6, wanted)]);
    }

    #[test]
    fn service_tag_is_sent_in_the_vlan_list() {
        let wanted = VfSettings {
            vlan: Some(100),
            qos: Some(3),
            vlan_proto: Some(VlanProtocol::Dot1Ad),
            trust: Some(false),
            ..VfSettings::default()
        };
        let read = read_vfs(&payload(&set_vf(3, 0, &wanted)), |_| true);
        // The kernel itself shows ID and priority in IFLA_VF_VLAN as well.
        assert_eq!(read[0].1, VfSettings { vlan: None, qos: None, ..wanted });
    }

    #[test]
    fn absent_settings_are_not_sent() {
        let only_trust = VfSettings { trust: Some(true), ..VfSettings::default() };
        // ifinfomsg, list, info, and one attribute of 4 + 8 bytes.
        assert_eq!(payload(&set_vf(3, 0, &only_trust)).len(), 16 + 4 + 4 + 12);
    }

    #[test]
    fn minus_one_is_not_reported() {
        let mut message =
            payload(&set_vf(3, 0, &VfSettings { trust: Some(true), ..VfSettings::default() }));
        let end = message.len();
        message[end - 4..].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(read_vfs(&message, |_| true), [(0, VfSettings::default())]);
    }

    #[test]
    fn list_of_256_vfs_is_read() {
        let mut all = LinkMessage::default();
        let lists = (0..=255_u8).map(|seed| {
            let Message::SetLink(message) = set_vf(3, u16::from(seed), &settings(seed)) else {
                panic!("not RTM_SETLINK")
            };
            match message.attributes.into_iter().next() {
                Some(LinkAttribute::VfInfoList(mut list)) => list.remove(0),
                other => panic!("not a VF list: {other:?}"),
            }
        });
        all.attributes = vec![LinkAttribute::VfInfoList(lists.collect())];
        let mut payload = vec![0; all.buffer_len()];
        all.emit(&mut payload);
        let vfs = read_vfs(&payload, |_| true);
        assert_eq!(vfs.len(), 256);
        for (index, read) in vfs {
            assert_eq!(read, settings(u8::try_from(index).unwrap()));
        }
        assert_eq!(read_vfs(&payload, |index| index == 200), [(200, settings(200))]);
    }
}
