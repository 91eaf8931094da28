use netlink_packet_core::{NlaBuffer, Parseable, parse_string, parse_u8, parse_u32};
use netlink_packet_route::link::{
    LinkAttribute, LinkExtentMask, LinkFlags, LinkHeader, LinkLayerType, LinkMessage, Prop,
};
use podbond_names::{LinkName, Mac};

use super::{Attribute, Message, attributes, bond};
use crate::bond::table::BondOption;
use crate::{BondOptions, Link, LinkState, PortOptions};

/// `sizeof(struct ifinfomsg)`.
pub(super) const HEADER_BYTES: usize = 16;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_CARRIER: u16 = 33;
const IFLA_MAX_MTU: u16 = 51;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_PERM_ADDRESS: u16 = 54;
const IFLA_PARENT_DEV_NAME: u16 = 56;

const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;

/// Which link a question is about.
#[derive(Clone, Copy)]
pub(crate) enum Which<'a> {
    Name(&'a LinkName),
    Index(u32),
}

/// How much of a link is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Props {
    /// The link itself.
    Link,
    /// What it keeps of its VFs as well: slow on some drivers, and large.
    LinkAndVfs,
}

fn message(index: u32, attributes: Vec<LinkAttribute>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header = LinkHeader { index, ..LinkHeader::default() };
    message.attributes = attributes;
    message
}

fn ext_mask(props: Props) -> LinkAttribute {
    // Statistics are never wanted, and those of VFs would not fit the 64 KiB of an attribute.
    let mut mask = vec![LinkExtentMask::SkipStats];
    if props == Props::LinkAndVfs {
        mask.push(LinkExtentMask::Vf);
    }
    LinkAttribute::ExtMask(mask)
}

/// `RTM_GETLINK` for one link.
pub(crate) fn get_link(which: Which<'_>, props: Props) -> Message {
    let mut attributes = vec![ext_mask(props)];
    let index = match which {
        Which::Index(index) => index,
        Which::Name(name) => {
            attributes.push(LinkAttribute::IfName(name.to_string()));
            0
        }
    };
    Message::GetLink(message(index, attributes))
}

/// `RTM_GETLINK` for all links.
pub(crate) fn all_links() -> Message {
    Message::GetLink(message(0, vec![ext_mask(Props::Link)]))
}

/// `RTM_SETLINK` with some attributes.
pub(crate) fn set_link(index: u32, attributes: Vec<Attribute>) -> Message {
    Message::SetLink(message(index, attributes))
}

/// `RTM_SETLINK` that brings a link up or down.
pub(crate) fn set_state(index: u32, state: LinkState) -> Message {
    let mut message = message(index, Vec::new());
    message.header.change_mask = LinkFlags::Up;
    message.header.flags = match state {
        LinkState::Up => LinkFlags::Up,
        LinkState::Down => LinkFlags::empty(),
    };
    Message::SetLink(message)
}

/// `RTM_NEWLINK` of a bond with all that is wanted of it.
pub(crate) fn add_bond(
    name: &LinkName,
    options: &BondOptions,
    mtu: u32,
    mac: Option<Mac>,
) -> Message {
    let mut attributes = vec![
        LinkAttribute::IfName(name.to_string()),
        LinkAttribute::Mtu(mtu),
        LinkAttribute::LinkInfo(bond::link_info(options)),
    ];
    attributes.extend(mac.map(|mac| LinkAttribute::Address(mac.bytes().to_vec())));
    Message::NewLink(message(0, attributes))
}

/// `RTM_NEWLINK` that names one of a bond's ports, or none of them. `RTM_SETLINK` does not look at
/// `IFLA_LINKINFO`.
pub(crate) fn set_port_role(index: u32, option: &BondOption, port: Option<u32>) -> Message {
    let info = LinkAttribute::LinkInfo(bond::port_role(option, port));
    Message::NewLink(message(index, vec![info]))
}

/// `RTM_NEWLINK` that sets options of a bond's port.
pub(crate) fn set_port(index: u32, options: &PortOptions) -> Message {
    Message::NewLink(message(index, vec![LinkAttribute::LinkInfo(bond::port_info(options))]))
}

/// `RTM_DELLINK`.
pub(crate) fn remove_link(index: u32) -> Message {
    Message::DelLink(message(index, Vec::new()))
}

/// `RTM_NEWLINKPROP`.
pub(crate) fn add_altname(index: u32, name: &LinkName) -> Message {
    Message::NewLinkProp(message(index, altname(name)))
}

/// `RTM_DELLINKPROP`.
pub(crate) fn drop_altname(index: u32, name: &LinkName) -> Message {
    Message::DelLinkProp(message(index, altname(name)))
}

fn altname(name: &LinkName) -> Vec<LinkAttribute> {
    vec![LinkAttribute::PropList(vec![Prop::AltIfName(name.to_string())])]
}

/// Reads an `RTM_NEWLINK`. Its name is what it cannot do without; any other attribute that cannot
/// be read counts as absent.
pub(crate) fn read_link(payload: &[u8]) -> Result<Link, String> {
    let header = LinkHeader::parse(payload).map_err(|error| error.to_string())?;
    let ethernet = header.link_layer_type == LinkLayerType::Ether;
    let up = header.flags.contains(LinkFlags::Up);
    let mac = |nla: &NlaBuffer<&[u8]>| read_mac(nla.value()).filter(|_| ethernet);
    let mut name = None;
    let mut link = Link {
        index: header.index,
        // Replaced below: there is no link without IFLA_IFNAME.
        name: placeholder()?,
        altnames: Vec::new(),
        kind: None,
        mac: None,
        permanent_mac: None,
        mtu: 0,
        max_mtu: 0,
        state: if up { LinkState::Up } else { LinkState::Down },
        carrier: false,
        master: None,
        parent: None,
        bond: None,
        aggregator: None,
        port: None,
    };
    for nla in attributes(payload.get(HEADER_BYTES..).unwrap_or(&[])) {
        match nla.kind() {
            IFLA_IFNAME => name = parse_string(nla.value()).ok(),
            IFLA_ADDRESS => link.mac = mac(&nla),
            IFLA_PERM_ADDRESS => link.permanent_mac = mac(&nla),
            IFLA_MTU => link.mtu = parse_u32(nla.value()).unwrap_or(0),
            IFLA_MAX_MTU => link.max_mtu = parse_u32(nla.value()).unwrap_or(0),
            IFLA_MASTER => link.master = parse_u32(nla.value()).ok(),
            IFLA_CARRIER => link.carrier = up && parse_u8(nla.value()).is_ok_and(|c| c != 0),
            IFLA_PROP_LIST => link.altnames = read_altnames(nla.value()),
            IFLA_PARENT_DEV_NAME => {
                link.parent = parse_string(nla.value()).ok().and_then(|name| name.parse().ok());
            }
            IFLA_LINKINFO => read_info(nla.value(), &mut link),
            _ => {}
        }
    }
    let name = name.ok_or("it has no readable name")?;
    link.name = name.parse().map_err(|error| format!("{error}"))?;
    Ok(link)
}

fn placeholder() -> Result<LinkName, String> {
    "unnamed".parse().map_err(|error| format!("{error}"))
}

pub(super) fn read_mac(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac::new)
}

fn read_altnames(list: &[u8]) -> Vec<String> {
    attributes(list)
        .filter_map(|nla| match Prop::parse(&nla) {
            Ok(Prop::AltIfName(name)) => Some(name),
            _ => None,
        })
        .collect()
}

fn read_info(info: &[u8], link: &mut Link) {
    let mut port_kind = None;
    for nla in attributes(info) {
        match nla.kind() {
            IFLA_INFO_KIND => link.kind = parse_string(nla.value()).ok(),
            IFLA_INFO_DATA if link.kind.as_deref() == Some(bond::KIND) => {
                link.bond = bond::read_options(nla.value());
                link.aggregator = bond::read_aggregator(nla.value());
            }
            IFLA_INFO_SLAVE_KIND => port_kind = parse_string(nla.value()).ok(),
            IFLA_INFO_SLAVE_DATA if port_kind.as_deref() == Some(bond::KIND) => {
                link.port = bond::read_port(nla.value());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::Emitable;
    use netlink_packet_route::link::{
        InfoBond, InfoBondPort, InfoData, InfoKind, InfoPortData, InfoPortKind, LinkInfo, MiiStatus,
    };

    use super::*;
    use crate::bond::table::{self, Kind, Scope};
    use crate::{BondMode, OptionValue, WrittenValue};

    fn payload(message: &LinkMessage) -> Vec<u8> {
        let mut payload = vec![0; message.buffer_len()];
        message.emit(&mut payload);
        payload
    }

    fn shown(attributes: Vec<LinkAttribute>) -> LinkMessage {
        let mut message = message(7, attributes);
        message.header.link_layer_type = LinkLayerType::Ether;
        message.header.flags = LinkFlags::Up;
        message
    }

    fn name(text: &str) -> LinkAttribute {
        LinkAttribute::IfName(text.to_owned())
    }

    /// All options of this scope, each with its example.
    fn examples(scope: Scope) -> impl Iterator<Item = (&'static BondOption, OptionValue)> {
        let wanted = move |option: &&BondOption| option.scope == scope && option.kind != Kind::Port;
        table::all().filter(wanted).map(|option| {
            let written: WrittenValue = serde_json::from_str(option.example).unwrap();
            (option, option.read(&written).unwrap())
        })
    }

    #[test]
    fn every_bond_option_reads_back_as_sent() {
        let mac = Mac::new([2, 0, 0, 0, 0, 1]);
        let bond = "net3".parse().unwrap();
        for &mode in BondMode::ALL {
            let mut wanted = BondOptions::new(mode);
            examples(Scope::Bond).for_each(|(option, value)| wanted.set(option, value));
            assert_eq!(wanted.iter().count(), 30);
            let Message::NewLink(mut message) = add_bond(&bond, &wanted, 1400, Some(mac)) else {
                panic!("not RTM_NEWLINK")
            };
            message.header.link_layer_type = LinkLayerType::Ether;
            let link = read_link(&payload(&message)).unwrap();
            assert_eq!((&link.name, link.mtu, link.mac), (&bond, 1400, Some(mac)));
            assert_eq!(link.kind.as_deref(), Some("bond"));
            assert_eq!(link.bond, Some(wanted));
        }
    }

    #[test]
    fn the_codec_knows_each_option_by_the_same_number_and_width() {
        let mut wanted = BondOptions::new(BondMode::Lacp);
        let known = [
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
        for (option, expected) in known {
            let nla = attributes(&buffer).find(|nla| nla.kind() == option.attribute).unwrap();
            assert_eq!(InfoBond::parse(&nla).unwrap(), expected, "{}", option.name);
        }
    }

    #[test]
    fn every_option_of_a_port_reads_back_as_sent() {
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
    fn a_port_shows_its_bond_its_state_and_the_function_behind_it() {
        let mac = Mac::new([2, 0, 0, 0, 0, 9]);
        let port = vec![
            InfoBondPort::BondPortState(netlink_packet_route::link::BondPortState::Backup),
            InfoBondPort::MiiStatus(MiiStatus::Up),
            InfoBondPort::LinkFailureCount(3),
            InfoBondPort::PermHwaddr(mac.bytes().to_vec()),
        ];
        let message = shown(vec![
            name("net1"),
            LinkAttribute::Controller(12),
            LinkAttribute::Carrier(1),
            LinkAttribute::MaxMtu(9216),
            LinkAttribute::PermAddress(mac.bytes().to_vec()),
            LinkAttribute::PropList(vec![Prop::AltIfName("enp1s0f0v0".to_owned())]),
            LinkAttribute::ParentDevName("0000:01:10.0".to_owned()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::PortKind(InfoPortKind::Bond),
                LinkInfo::PortData(InfoPortData::BondPort(port)),
            ]),
        ]);
        let link = read_link(&payload(&message)).unwrap();
        assert_eq!((link.index, link.master, link.carrier), (7, Some(12), true));
        assert_eq!((link.max_mtu, link.permanent_mac), (9216, Some(mac)));
        assert_eq!(link.altnames, ["enp1s0f0v0"]);
        assert_eq!(link.parent, Some("0000:01:10.0".parse().unwrap()));
        assert_eq!(link.kind, None);
        let port = link.port.unwrap();
        assert!(!port.active && port.mii_up);
        assert_eq!((port.link_failures, port.permanent_mac), (3, Some(mac)));
    }

    #[test]
    fn a_link_that_is_down_has_no_carrier() {
        let mut message = shown(vec![name("net1"), LinkAttribute::Carrier(1)]);
        message.header.flags = LinkFlags::empty();
        let link = read_link(&payload(&message)).unwrap();
        assert_eq!((link.state, link.carrier), (LinkState::Down, false));
    }

    #[test]
    fn an_attribute_that_cannot_be_read_does_not_hide_the_link() {
        use netlink_packet_core::DefaultNla;
        let message = shown(vec![
            name("net1"),
            LinkAttribute::Other(DefaultNla::new(IFLA_MTU, vec![1])),
            LinkAttribute::Other(DefaultNla::new(IFLA_PROP_LIST, vec![9, 9, 9, 9, 9])),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Other("new".to_owned()))]),
        ]);
        let link = read_link(&payload(&message)).unwrap();
        assert_eq!((link.name.as_str(), link.mtu), ("net1", 0));
        assert_eq!(link.kind.as_deref(), Some("new"));
        assert!(read_link(&payload(&shown(Vec::new()))).is_err());
    }

    #[test]
    fn statistics_are_never_asked_for_and_vfs_only_on_demand() {
        let mask = |props| match get_link(Which::Index(1), props) {
            Message::GetLink(message) => message.attributes,
            _ => panic!("not RTM_GETLINK"),
        };
        let skip = LinkExtentMask::SkipStats;
        assert_eq!(mask(Props::Link), [LinkAttribute::ExtMask(vec![skip])]);
        let both = vec![skip, LinkExtentMask::Vf];
        assert_eq!(mask(Props::LinkAndVfs), [LinkAttribute::ExtMask(both)]);
    }
}
