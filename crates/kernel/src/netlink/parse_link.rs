//! Reading of links: `RTM_NEWLINK`.

use netlink_packet_core::{Parseable, parse_i32, parse_string, parse_u8, parse_u32};
use netlink_packet_route::link::{LinkFlags, LinkHeader, LinkLayerType, Prop};
use podbond_names::LinkName;

use super::codec::{attributes, link_attributes, read_mac};
use super::{bond, vlan};
use crate::{Link, LinkElsewhere, LinkFlag, LinkState, Vlan, VlanTag};

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_TXQLEN: u16 = 13;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_GROUP: u16 = 27;
const IFLA_CARRIER: u16 = 33;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_MAX_MTU: u16 = 51;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_PERM_ADDRESS: u16 = 54;
const IFLA_PARENT_DEV_NAME: u16 = 56;

const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;

/// The longest name, in bytes: the kernel's `IFNAMSIZ` without the zero at its end.
const MAX_NAME_BYTES: usize = 15;

/// Reads an `RTM_NEWLINK`. Its name is what it cannot do without; any other attribute that cannot
/// be read counts as absent.
pub(crate) fn read_link(payload: &[u8]) -> Result<Link, String> {
    read_link_as(payload, read_name(payload)?)
}

/// Reads an `RTM_NEWLINK` of a link whose name is no text under a name of our own, for people to see: its
/// name with escapes. What is asked by that name finds no such link.
pub(crate) fn read_unreadable(payload: &[u8]) -> Option<Link> {
    if read_name(payload).is_ok() {
        return None;
    }
    let name = link_attributes(payload).find(|nla| nla.kind() == IFLA_IFNAME)?;
    let name = name.value().strip_suffix(&[0]).unwrap_or(name.value());
    let escaped: String = name.escape_ascii().map(char::from).take(MAX_NAME_BYTES).collect();
    read_link_as(payload, escaped.parse().ok()?).ok()
}

fn read_link_as(payload: &[u8], name: LinkName) -> Result<Link, String> {
    let header = LinkHeader::parse(payload).map_err(|error| error.to_string())?;
    let ethernet = header.link_layer_type == LinkLayerType::Ether;
    let up = header.flags.contains(LinkFlags::Up);
    let mut lower = None;
    let mut lower_netns = None;
    let mut tag = None;
    let mut link = Link::new(header.index, name);
    let flags = LinkFlag::ALL.into_iter();
    link.attributes.flags = flags.filter(|flag| is_on(*flag, header.flags)).collect();
    link.state = if up { LinkState::Up } else { LinkState::Down };
    for nla in link_attributes(payload) {
        match nla.kind() {
            IFLA_ADDRESS if ethernet => link.mac = read_mac(nla.value()),
            IFLA_PERM_ADDRESS if ethernet => link.permanent_mac = read_mac(nla.value()),
            IFLA_MTU => link.mtu = parse_u32(nla.value()).unwrap_or(0),
            IFLA_MAX_MTU => link.max_mtu = parse_u32(nla.value()).unwrap_or(0),
            IFLA_LINK => lower = parse_u32(nla.value()).ok(),
            IFLA_LINK_NETNSID => lower_netns = parse_i32(nla.value()).ok(),
            IFLA_TXQLEN => link.attributes.queue_length = parse_u32(nla.value()).unwrap_or(0),
            IFLA_IFALIAS => link.attributes.alias = parse_string(nla.value()).unwrap_or_default(),
            IFLA_GROUP => link.attributes.group = parse_u32(nla.value()).unwrap_or(0),
            IFLA_MASTER => link.master = parse_u32(nla.value()).ok(),
            IFLA_CARRIER => link.carrier = up && parse_u8(nla.value()).is_ok_and(|c| c != 0),
            IFLA_PROP_LIST => link.altnames = read_altnames(nla.value()),
            IFLA_PARENT_DEV_NAME => {
                link.parent = parse_string(nla.value()).ok().and_then(|name| name.parse().ok());
            }
            IFLA_LINKINFO => tag = read_info(nla.value(), &mut link),
            _ => {}
        }
    }
    link.lower = lower.filter(|_| lower_netns.is_none());
    link.lower_elsewhere =
        lower_netns.zip(lower).map(|(netns_id, index)| LinkElsewhere { netns_id, index });
    link.vlan = tag.zip(lower).map(|(tag, lower)| Vlan { tag, lower });
    Ok(link)
}

/// Returns the kernel's flag, and whether it is set where this one is on.
pub(super) fn kernel_flag(flag: LinkFlag) -> (LinkFlags, bool) {
    match flag {
        LinkFlag::Promisc => (LinkFlags::Promisc, true),
        LinkFlag::Allmulticast => (LinkFlags::Allmulti, true),
        LinkFlag::Arp => (LinkFlags::Noarp, false),
        LinkFlag::Multicast => (LinkFlags::Multicast, true),
    }
}

fn is_on(flag: LinkFlag, flags: LinkFlags) -> bool {
    let (flag, is_set) = kernel_flag(flag);
    flags.contains(flag) == is_set
}

/// Returns the index of a link whose name cannot be read.
pub(crate) fn read_index_of_unreadable(payload: &[u8]) -> Option<u32> {
    let header = LinkHeader::parse(payload).ok()?;
    read_name(payload).is_err().then_some(header.index)
}

fn read_name(payload: &[u8]) -> Result<LinkName, String> {
    let name = link_attributes(payload).find(|nla| nla.kind() == IFLA_IFNAME);
    let name =
        name.and_then(|nla| parse_string(nla.value()).ok()).ok_or("it has no readable name")?;
    name.parse().map_err(|error| format!("{error}"))
}

fn read_altnames(list: &[u8]) -> Vec<String> {
    attributes(list)
        .filter_map(|nla| match Prop::parse(&nla) {
            Ok(Prop::AltIfName(name)) => Some(name),
            _ => None,
        })
        .collect()
}

/// Reads `IFLA_LINKINFO` into the link and returns the tag of a VLAN interface, which needs
/// `IFLA_LINK` too.
fn read_info(info: &[u8], link: &mut Link) -> Option<VlanTag> {
    let mut port_kind = None;
    let mut tag = None;
    for nla in attributes(info) {
        match nla.kind() {
            IFLA_INFO_KIND => link.kind = parse_string(nla.value()).ok(),
            IFLA_INFO_DATA if link.kind.as_deref() == Some(bond::KIND) => {
                link.bond = bond::read_options(nla.value());
                link.aggregator = bond::read_aggregator(nla.value());
            }
            IFLA_INFO_DATA if link.kind.as_deref() == Some(vlan::KIND) => {
                tag = vlan::read_tag(nla.value());
            }
            IFLA_INFO_SLAVE_KIND => port_kind = parse_string(nla.value()).ok(),
            IFLA_INFO_SLAVE_DATA if port_kind.as_deref() == Some(bond::KIND) => {
                link.port = bond::read_port(nla.value());
            }
            _ => {}
        }
    }
    tag
}

#[cfg(test)]
pub(super) mod tests {
    use netlink_packet_core::{DefaultNla, Emitable};
    use netlink_packet_route::link::{
        InfoBondPort, InfoKind, InfoPortData, InfoPortKind, LinkAttribute, LinkInfo, LinkMessage,
        MiiStatus,
    };

    use podbond_names::Mac;

    use super::*;

    pub(in crate::netlink) fn payload(message: &LinkMessage) -> Vec<u8> {
        let mut payload = vec![0; message.buffer_len()];
        message.emit(&mut payload);
        payload
    }

    pub(in crate::netlink) fn shown(attributes: Vec<LinkAttribute>) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.attributes = attributes;
        message.header.index = 7;
        message.header.link_layer_type = LinkLayerType::Ether;
        message.header.flags = LinkFlags::Up;
        message
    }

    pub(in crate::netlink) fn name(text: &str) -> LinkAttribute {
        LinkAttribute::IfName(text.to_owned())
    }

    #[test]
    fn port_is_read() {
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
    fn link_is_known_by_its_index_when_its_name_is_no_text() {
        let mut message = shown(vec![name("net1")]);
        assert_eq!(read_index_of_unreadable(&payload(&message)), None);
        let no_text = DefaultNla::new(IFLA_IFNAME, b"x\xff\0".to_vec());
        message.attributes = vec![LinkAttribute::Other(no_text)];
        assert_eq!(read_index_of_unreadable(&payload(&message)), Some(7));
    }

    #[test]
    fn link_that_is_down_has_no_carrier() {
        let mut message = shown(vec![name("net1"), LinkAttribute::Carrier(1)]);
        message.header.flags = LinkFlags::empty();
        let link = read_link(&payload(&message)).unwrap();
        assert_eq!((link.state, link.carrier), (LinkState::Down, false));
    }

    #[test]
    fn link_elsewhere_is_told_from_one_of_the_same_namespace() {
        let mut message = shown(vec![name("net1"), LinkAttribute::Link(5)]);
        let link = read_link(&payload(&message)).unwrap();
        assert_eq!((link.lower, link.lower_elsewhere), (Some(5), None));
        message.attributes.push(LinkAttribute::LinkNetNsId(3));
        let link = read_link(&payload(&message)).unwrap();
        let elsewhere = LinkElsewhere { netns_id: 3, index: 5 };
        assert_eq!((link.lower, link.lower_elsewhere), (None, Some(elsewhere)));
    }

    #[test]
    fn name_that_is_no_text_is_shown_with_escapes() {
        use netlink_packet_core::DefaultNla;
        let named = |name: &[u8]| {
            let name = DefaultNla::new(IFLA_IFNAME, [name, &[0]].concat());
            payload(&shown(vec![LinkAttribute::Other(name), LinkAttribute::Mtu(1400)]))
        };
        assert!(read_link(&named(b"x\xff")).is_err());
        let link = read_unreadable(&named(b"x\xff")).unwrap();
        assert_eq!((link.name.as_str(), link.mtu), (r"x\xff", 1400));
        let long = read_unreadable(&named(&[0xff; 15])).unwrap();
        assert_eq!(long.name.as_str(), r"\xff\xff\xff\xf");
        assert!(read_unreadable(&named(b"net1")).is_none());
    }

    #[test]
    fn unreadable_attribute_is_passed_over() {
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
}
