//! Messages about links: `RTM_GETLINK`, `RTM_NEWLINK`, `RTM_SETLINK`, `RTM_DELLINK`.

use netlink_packet_core::DefaultNla;
use netlink_packet_route::link::{
    InfoKind, LinkAttribute, LinkExtentMask, LinkFlags, LinkHeader, LinkInfo, LinkMessage, Prop,
};
use podbond_names::LinkName;

use super::codec::{Attribute, Message};
use super::parse_link::kernel_flag;
use super::{bond, vlan};
use crate::bond::BondOption;
use crate::{LinkAttributes, LinkFlag, LinkState, NewBond, NewStacked, NewVlan, PortOptions};

/// A name of up to 127 bytes.
const IFLA_ALT_IFNAME: u16 = 53;

/// Which link a question is about.
#[derive(Clone, Copy)]
pub(crate) enum LinkQuery<'a> {
    Name(&'a LinkName),
    /// A name or altname; these may be longer than a name.
    AnyName(&'a str),
    Index(u32),
}

/// How much of a link is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// The link itself.
    Basic,
    /// The settings of its VFs as well: slow on some drivers, and large.
    WithVfs,
}

fn message(index: u32, attributes: Vec<LinkAttribute>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header = LinkHeader { index, ..LinkHeader::default() };
    message.attributes = attributes;
    message
}

fn ext_mask(detail: Detail) -> LinkAttribute {
    // Statistics are never wanted, and those of VFs would not fit the 64 KiB of an attribute.
    let mut mask = vec![LinkExtentMask::SkipStats];
    if detail == Detail::WithVfs {
        mask.push(LinkExtentMask::Vf);
    }
    LinkAttribute::ExtMask(mask)
}

/// Returns `RTM_GETLINK` for one link.
pub(crate) fn get_link(query: LinkQuery<'_>, detail: Detail) -> Message {
    let mut attributes = vec![ext_mask(detail)];
    let index = match query {
        LinkQuery::Index(index) => index,
        LinkQuery::Name(name) => {
            attributes.push(LinkAttribute::IfName(name.to_string()));
            0
        }
        LinkQuery::AnyName(name) => {
            let text = [name.as_bytes(), &[0]].concat();
            attributes.push(LinkAttribute::Other(DefaultNla::new(IFLA_ALT_IFNAME, text)));
            0
        }
    };
    Message::GetLink(message(index, attributes))
}

/// Returns `RTM_GETLINK` for all links.
pub(crate) fn all_links() -> Message {
    Message::GetLink(message(0, vec![ext_mask(Detail::Basic)]))
}

/// Returns `RTM_GETLINK` for the ports of the link of this index: a dump that the kernel filters.
pub(crate) fn ports_of(master: u32) -> Message {
    let attributes = vec![ext_mask(Detail::Basic), LinkAttribute::Controller(master)];
    Message::GetLink(message(0, attributes))
}

/// Returns `RTM_SETLINK` with some attributes.
pub(crate) fn set_link(index: u32, attributes: Vec<Attribute>) -> Message {
    Message::SetLink(message(index, attributes))
}

/// Returns `RTM_SETLINK` that brings a link up or down.
pub(crate) fn set_state(index: u32, state: LinkState) -> Message {
    let mut message = message(index, Vec::new());
    message.header.change_mask = LinkFlags::Up;
    message.header.flags = match state {
        LinkState::Up => LinkFlags::Up,
        LinkState::Down => LinkFlags::empty(),
    };
    Message::SetLink(message)
}

/// Returns `RTM_SETLINK` that gives a link these flags, queue, alias and group.
pub(crate) fn set_attributes(index: u32, attributes: &LinkAttributes) -> Message {
    let sent = vec![
        Attribute::TxQueueLen(attributes.queue_length),
        Attribute::IfAlias(attributes.alias.clone()),
        Attribute::Group(attributes.group),
    ];
    let mut message = message(index, sent);
    for wanted in LinkFlag::ALL {
        let (flag, is_set) = kernel_flag(wanted);
        message.header.change_mask |= flag;
        message.header.flags.set(flag, attributes.flags.contains(&wanted) == is_set);
    }
    Message::SetLink(message)
}

/// Returns `RTM_NEWLINK` of a link of some kind on the link of this index, as the kernel makes it when
/// nothing more is said.
pub(crate) fn add_stacked(stacked: &NewStacked, lower: u32) -> Message {
    let attributes = vec![
        LinkAttribute::IfName(stacked.at.name.to_string()),
        LinkAttribute::Link(lower),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Other(stacked.kind.clone()))]),
    ];
    Message::NewLink(message(0, attributes))
}

/// Returns `RTM_NEWLINK` of a bond with all that is wanted of it.
pub(crate) fn add_bond(bond: &NewBond) -> Message {
    let mut attributes = vec![
        LinkAttribute::IfName(bond.at.name.to_string()),
        LinkAttribute::Mtu(bond.mtu),
        LinkAttribute::LinkInfo(bond::link_info(&bond.options)),
    ];
    attributes.extend(bond.mac.map(|mac| LinkAttribute::Address(mac.bytes().to_vec())));
    Message::NewLink(message(0, attributes))
}

/// Returns `RTM_NEWLINK` of a VLAN interface on the link of this index.
pub(crate) fn add_vlan(vlan: &NewVlan, lower: u32) -> Message {
    let attributes = vec![
        LinkAttribute::IfName(vlan.at.name.to_string()),
        LinkAttribute::Mtu(vlan.mtu),
        LinkAttribute::Link(lower),
        LinkAttribute::LinkInfo(vlan::link_info(vlan.tag)),
    ];
    Message::NewLink(message(0, attributes))
}

/// Returns `RTM_NEWLINK` that names one of a bond's ports, or none of them. `RTM_SETLINK` does not
/// look at `IFLA_LINKINFO`.
pub(crate) fn set_port_role(index: u32, option: &BondOption, port: Option<u32>) -> Message {
    let info = LinkAttribute::LinkInfo(bond::port_role(option, port));
    Message::NewLink(message(index, vec![info]))
}

/// Returns `RTM_NEWLINK` that sets options of a bond's port.
pub(crate) fn set_port(index: u32, options: &PortOptions) -> Message {
    Message::NewLink(message(index, vec![LinkAttribute::LinkInfo(bond::port_info(options))]))
}

/// Returns `RTM_DELLINK`.
pub(crate) fn remove_link(index: u32) -> Message {
    Message::DelLink(message(index, Vec::new()))
}

/// Returns `RTM_NEWLINKPROP`.
pub(crate) fn add_altname(index: u32, name: &str) -> Message {
    Message::NewLinkProp(message(index, altname(name)))
}

/// Returns `RTM_DELLINKPROP`.
pub(crate) fn drop_altname(index: u32, name: &str) -> Message {
    Message::DelLinkProp(message(index, altname(name)))
}

fn altname(name: &str) -> Vec<LinkAttribute> {
    vec![LinkAttribute::PropList(vec![Prop::AltIfName(name.to_owned())])]
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{Emitable, Parseable};
    use netlink_packet_route::link::{
        InfoBond, InfoBondPort, InfoData, InfoPortData, LinkLayerType, MiiStatus,
    };

    use podbond_names::Mac;

    use super::super::codec::attributes;
    use super::super::parse_link::read_link;
    use super::super::parse_link::tests::{name, payload, shown};
    use super::*;
    use crate::bond::table::{self, Kind, Scope};
    use crate::{
        BondMode, BondOptions, LinkRef, OptionValue, Vlan, VlanProtocol, VlanTag, WrittenValue,
    };

    /// All options of this scope, each with its example.
    fn examples(scope: Scope) -> impl Iterator<Item = (&'static BondOption, OptionValue)> {
        let wanted = move |option: &&BondOption| option.scope == scope && option.kind != Kind::Port;
        table::all().filter(wanted).map(|option| {
            let written: WrittenValue = serde_json::from_str(option.example).unwrap();
            (option, option.read(&written).unwrap())
        })
    }

    #[test]
    fn every_bond_option_is_read_as_sent() {
        let mac = Mac::new([2, 0, 0, 0, 0, 1]);
        let at = LinkRef::pod("net3".parse().unwrap());
        for &mode in BondMode::ALL {
            let mut wanted = BondOptions::new(mode);
            examples(Scope::Bond).for_each(|(option, value)| wanted.set(option, value));
            assert_eq!(wanted.iter().count(), 30);
            let options = wanted.clone();
            let bond = NewBond { at: at.clone(), options, mtu: 1400, mac: Some(mac) };
            let Message::NewLink(mut message) = add_bond(&bond) else { panic!("not RTM_NEWLINK") };
            message.header.link_layer_type = LinkLayerType::Ether;
            let link = read_link(&payload(&message)).unwrap();
            assert_eq!((&link.name, link.mtu, link.mac), (&at.name, 1400, Some(mac)));
            assert_eq!(link.kind.as_deref(), Some("bond"));
            assert_eq!(link.bond, Some(wanted));
        }
    }

    #[test]
    fn codec_has_the_same_attributes() {
        let mut wanted = BondOptions::new(BondMode::Lacp);
        let expected = [
            (&table::MIIMON, InfoBond::MiiMon(50)),
            (&table::ARP_MISSED_MAX, InfoBond::MissedMax(3)),
            (&table::AD_ACTOR_SYS_PRIO, InfoBond::AdActorSysPrio(4096)),
            (&table::PEER_NOTIF_DELAY, InfoBond::PeerNotifDelay(200)),
            (&table::TLB_DYNAMIC_LB, InfoBond::TlbDynamicLb(false)),
            (&table::LP_INTERVAL, InfoBond::LpInterval(5)),
        ];
        examples(Scope::Bond).for_each(|(option, value)| wanted.set(option, value));
        let mut buffer = Vec::new();
        for info in bond::link_info(&wanted) {
            if let LinkInfo::Data(InfoData::Bond(data)) = info {
                buffer = vec![0; data.as_slice().buffer_len()];
                data.as_slice().emit(&mut buffer);
            }
        }
        for (option, expected) in expected {
            let nla = attributes(&buffer).find(|nla| nla.kind() == option.attribute).unwrap();
            assert_eq!(InfoBond::parse(&nla).unwrap(), expected, "{}", option.name);
        }
    }

    #[test]
    fn every_port_option_is_read_as_sent() {
        let mut wanted = PortOptions::default();
        examples(Scope::Port).for_each(|(option, value)| wanted.set(option, value));
        wanted.set(&table::PRIO, OptionValue::Number(-3));
        let mut info = bond::port_info(&wanted);
        let Some(LinkInfo::PortData(InfoPortData::BondPort(data))) = info.get_mut(1) else {
            panic!("no IFLA_INFO_SLAVE_DATA")
        };
        data.push(InfoBondPort::BondPortState(netlink_packet_route::link::BondPortState::Active));
        data.push(InfoBondPort::MiiStatus(MiiStatus::Up));
        let message = shown(vec![name("net1"), LinkAttribute::LinkInfo(info)]);
        assert_eq!(read_link(&payload(&message)).unwrap().port.unwrap().options, wanted);
    }

    #[test]
    fn attributes_are_read_as_sent() {
        let wanted = LinkAttributes {
            flags: [LinkFlag::Promisc, LinkFlag::Multicast].into(),
            queue_length: 7,
            alias: "of a pod".to_owned(),
            group: 9,
        };
        for attributes in [wanted, LinkAttributes::default()] {
            let Message::SetLink(mut message) = set_attributes(7, &attributes) else {
                panic!("not RTM_SETLINK")
            };
            message.attributes.push(name("net1"));
            assert_eq!(read_link(&payload(&message)).unwrap().attributes, attributes);
        }
    }

    #[test]
    fn vfs_are_asked_for_on_demand_only() {
        let mask = |detail| match get_link(LinkQuery::Index(1), detail) {
            Message::GetLink(message) => message.attributes,
            _ => panic!("not RTM_GETLINK"),
        };
        let skip = LinkExtentMask::SkipStats;
        assert_eq!(mask(Detail::Basic), [LinkAttribute::ExtMask(vec![skip])]);
        let both = vec![skip, LinkExtentMask::Vf];
        assert_eq!(mask(Detail::WithVfs), [LinkAttribute::ExtMask(both)]);
    }

    #[test]
    fn vlan_interface_is_read_as_sent() {
        for protocol in [VlanProtocol::Dot1Q, VlanProtocol::Dot1Ad] {
            let tag = VlanTag { id: 4094, protocol };
            let (at, lower) = (LinkRef::pod("net3".parse().unwrap()), "bond0".parse().unwrap());
            let message = add_vlan(&NewVlan { at, lower, tag, mtu: 1400 }, 5);
            let Message::NewLink(message) = message else { panic!("not RTM_NEWLINK") };
            let link = read_link(&payload(&message)).unwrap();
            assert_eq!((link.name.as_str(), link.mtu), ("net3", 1400));
            assert_eq!(link.vlan, Some(Vlan { tag, lower: 5 }));
        }
    }
}
