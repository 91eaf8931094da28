use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{DefaultNla, Parseable, parse_u8, parse_u16, parse_u32};
use netlink_packet_route::link::{
    BondPortState, InfoBond, InfoBondPort, InfoData, InfoKind, InfoPortData, InfoPortKind,
    LinkInfo, MiiStatus,
};

use super::attributes;
use super::shown::read_mac;
use crate::bond::table::{self, BondOption, Family, Kind, Scope, Width};
use crate::bond::{
    Aggregator, BondMode, BondOptions, LacpPort, LacpState, OptionValue, PortOptions, PortState,
};

/// `IFLA_INFO_KIND` of a bond, and `IFLA_INFO_SLAVE_KIND` of its ports.
pub(super) const KIND: &str = "bond";

/// `IFLA_BOND_MODE`.
const IFLA_BOND_MODE: u16 = 1;

/// `IFLA_BOND_AD_INFO`, a nest of the attributes after it.
const IFLA_BOND_AD_INFO: u16 = 23;
const IFLA_BOND_AD_INFO_AGGREGATOR: u16 = 1;
const IFLA_BOND_AD_INFO_NUM_PORTS: u16 = 2;
const IFLA_BOND_AD_INFO_ACTOR_KEY: u16 = 3;
const IFLA_BOND_AD_INFO_PARTNER_KEY: u16 = 4;
const IFLA_BOND_AD_INFO_PARTNER_MAC: u16 = 5;

const IFLA_BOND_SLAVE_AD_AGGREGATOR_ID: u16 = 6;
const IFLA_BOND_SLAVE_AD_ACTOR_OPER_PORT_STATE: u16 = 7;
const IFLA_BOND_SLAVE_AD_PARTNER_OPER_PORT_STATE: u16 = 8;

/// `IFLA_LINKINFO` of a new bond.
pub(super) fn link_info(options: &BondOptions) -> Vec<LinkInfo> {
    let mode = DefaultNla::new(IFLA_BOND_MODE, vec![options.mode.number()]);
    let options = options.iter().map(|(option, value)| encode(option, value));
    of_bond(std::iter::once(mode).chain(options).map(InfoBond::Other).collect())
}

/// `IFLA_LINKINFO` that names one of a bond's ports, or none of them.
pub(super) fn port_role(option: &BondOption, port: Option<u32>) -> Vec<LinkInfo> {
    let index = port.unwrap_or(0).to_ne_bytes().to_vec();
    of_bond(vec![InfoBond::Other(DefaultNla::new(option.attribute, index))])
}

fn of_bond(data: Vec<InfoBond>) -> Vec<LinkInfo> {
    vec![LinkInfo::Kind(InfoKind::Bond), LinkInfo::Data(InfoData::Bond(data))]
}

/// `IFLA_LINKINFO` of a port of a bond.
pub(super) fn port_info(options: &PortOptions) -> Vec<LinkInfo> {
    let data = options.iter().map(|(option, value)| InfoBondPort::Other(encode(option, value)));
    vec![
        LinkInfo::PortKind(InfoPortKind::Bond),
        LinkInfo::PortData(InfoPortData::BondPort(data.collect())),
    ]
}

fn encode(option: &BondOption, value: &OptionValue) -> DefaultNla {
    let bytes = match value {
        // The lower bytes, in the machine's order; a row's range fits its width.
        OptionValue::Number(number) => match option.width {
            Width::One => number.to_le_bytes()[..1].to_vec(),
            Width::Two => {
                let [low, high, ..] = number.to_le_bytes();
                u16::from_le_bytes([low, high]).to_ne_bytes().to_vec()
            }
            Width::Four => {
                let [a, b, c, d, ..] = number.to_le_bytes();
                u32::from_le_bytes([a, b, c, d]).to_ne_bytes().to_vec()
            }
        },
        OptionValue::Mac(mac) => mac.bytes().to_vec(),
        OptionValue::Addresses(list) => nested(list),
    };
    DefaultNla::new(option.attribute, bytes)
}

/// A nested list, numbered from 0.
fn nested(list: &[IpAddr]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (position, address) in (0_u16..).zip(list) {
        let octets = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        // Header and payload are multiples of four bytes: nothing is to be padded.
        let length = if address.is_ipv4() { 8_u16 } else { 20 };
        bytes.extend(length.to_ne_bytes());
        bytes.extend(position.to_ne_bytes());
        bytes.extend(octets);
    }
    bytes
}

/// A value as the kernel shows it; none when it is not of the form that the row says.
fn decode(option: &BondOption, bytes: &[u8]) -> Option<OptionValue> {
    match option.kind {
        Kind::Mac => read_mac(bytes).map(OptionValue::Mac),
        Kind::Addresses(family) => {
            let list = attributes(bytes).map(|nla| match family {
                Family::V4 => <[u8; 4]>::try_from(nla.value()).map(|b| Ipv4Addr::from(b).into()),
                Family::V6 => <[u8; 16]>::try_from(nla.value()).map(|b| Ipv6Addr::from(b).into()),
            });
            list.collect::<Result<_, _>>().ok().map(OptionValue::Addresses)
        }
        Kind::Switch | Kind::Number { .. } | Kind::Named(_) | Kind::Port => {
            let signed = matches!(option.kind, Kind::Number { min, .. } if min < 0);
            let number = match bytes {
                [byte] => i64::from(*byte),
                [a, b] => i64::from(u16::from_ne_bytes([*a, *b])),
                [a, b, c, d] if signed => i64::from(i32::from_ne_bytes([*a, *b, *c, *d])),
                [a, b, c, d] => i64::from(u32::from_ne_bytes([*a, *b, *c, *d])),
                _ => return None,
            };
            Some(OptionValue::Number(number))
        }
    }
}

fn row(scope: Scope, attribute: u16) -> Option<&'static BondOption> {
    table::all().find(|option| option.scope == scope && option.attribute == attribute)
}

/// `IFLA_INFO_DATA` of a bond; none when it has no mode, or one that is not known here.
pub(super) fn read_options(data: &[u8]) -> Option<BondOptions> {
    let mode = attributes(data)
        .find(|nla| nla.kind() == IFLA_BOND_MODE)
        .and_then(|nla| parse_u8(nla.value()).ok())
        .and_then(BondMode::from_number)?;
    let mut options = BondOptions::new(mode);
    for nla in attributes(data) {
        let Some(option) = row(Scope::Bond, nla.kind()) else { continue };
        if option.kind == Kind::Port {
            let port = parse_u32(nla.value()).ok().filter(|index| *index != 0);
            if *option == table::PRIMARY {
                options.primary_port = port;
            } else {
                options.active_port = port;
            }
        } else if let Some(value) = decode(option, nla.value()) {
            options.set(option, value);
        }
    }
    Some(options)
}

/// The aggregator in use, from `IFLA_INFO_DATA` of a bond; none where no aggregator is in use, for
/// which the kernel leaves the nest empty, and in other modes, where it has none.
pub(super) fn read_aggregator(data: &[u8]) -> Option<Aggregator> {
    let info = attributes(data).find(|nla| nla.kind() == IFLA_BOND_AD_INFO)?;
    let value = |kind| attributes(info.value()).find(|nla| nla.kind() == kind);
    let number = |kind| parse_u16(value(kind)?.value()).ok();
    Some(Aggregator {
        id: number(IFLA_BOND_AD_INFO_AGGREGATOR)?,
        ports: number(IFLA_BOND_AD_INFO_NUM_PORTS)?,
        actor_key: number(IFLA_BOND_AD_INFO_ACTOR_KEY)?,
        partner_key: number(IFLA_BOND_AD_INFO_PARTNER_KEY)?,
        partner: read_mac(value(IFLA_BOND_AD_INFO_PARTNER_MAC)?.value())
            .filter(|mac| mac.bytes() != [0; 6]),
    })
}

/// What LACP knows of a port, from `IFLA_INFO_SLAVE_DATA`; none in other modes.
fn read_lacp(data: &[u8]) -> Option<LacpPort> {
    let value = |kind| attributes(data).find(|nla| nla.kind() == kind);
    // The kernel writes this side's as one byte and the other side's, of as many flags, as two.
    let state = |kind| {
        let nla = value(kind)?;
        let bits = match nla.value() {
            [bits] => *bits,
            bytes => parse_u16(bytes).ok()?.try_into().ok()?,
        };
        Some(LacpState::from_bits(bits))
    };
    Some(LacpPort {
        aggregator: parse_u16(value(IFLA_BOND_SLAVE_AD_AGGREGATOR_ID)?.value()).ok()?,
        actor: state(IFLA_BOND_SLAVE_AD_ACTOR_OPER_PORT_STATE)?,
        partner: state(IFLA_BOND_SLAVE_AD_PARTNER_OPER_PORT_STATE)?,
    })
}

/// `IFLA_INFO_SLAVE_DATA` of a bond's port; none when its state is not shown.
pub(super) fn read_port(data: &[u8]) -> Option<PortState> {
    let mut active = None;
    let mut mii_up = None;
    let mut link_failures = 0;
    let mut permanent_mac = None;
    let mut options = PortOptions::default();
    for nla in attributes(data) {
        if let Some(option) = row(Scope::Port, nla.kind()) {
            if let Some(value) = decode(option, nla.value()) {
                options.set(option, value);
            }
            continue;
        }
        match InfoBondPort::parse(&nla) {
            Ok(InfoBondPort::BondPortState(state)) => active = Some(state == BondPortState::Active),
            // A port that is going down still carries traffic until its delay is over.
            Ok(InfoBondPort::MiiStatus(status)) => {
                mii_up = Some(matches!(status, MiiStatus::Up | MiiStatus::GoingDown));
            }
            Ok(InfoBondPort::LinkFailureCount(count)) => link_failures = count,
            Ok(InfoBondPort::PermHwaddr(bytes)) => permanent_mac = read_mac(&bytes),
            _ => {}
        }
    }
    Some(PortState {
        active: active?,
        mii_up: mii_up?,
        link_failures,
        permanent_mac,
        lacp: read_lacp(data),
        options,
    })
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::Emitable;
    use netlink_packet_route::link::BondAdInfo;
    use podbond_names::Mac;

    use super::*;

    fn bytes<T: netlink_packet_core::Nla>(list: &[T]) -> Vec<u8> {
        let mut buffer = vec![0; list.buffer_len()];
        list.emit(&mut buffer);
        buffer
    }

    #[test]
    fn an_aggregator_is_read_with_its_partner_or_without() {
        let bond = |partner| {
            bytes(&[InfoBond::AdInfo(vec![
                BondAdInfo::Aggregator(2),
                BondAdInfo::NumPorts(3),
                BondAdInfo::ActorKey(15),
                BondAdInfo::PartnerKey(9),
                BondAdInfo::PartnerMac(partner),
            ])])
        };
        let mac = [0x52, 0x54, 0, 0x73, 0x77, 0];
        let expected = Aggregator {
            id: 2,
            ports: 3,
            actor_key: 15,
            partner_key: 9,
            partner: Some(Mac::new(mac)),
        };
        assert_eq!(read_aggregator(&bond(mac)), Some(expected.clone()));
        let alone = Aggregator { partner: None, ..expected };
        assert_eq!(read_aggregator(&bond([0; 6])), Some(alone));
        let none_in_use = bytes(&[InfoBond::AdInfo(Vec::new())]);
        assert_eq!(read_aggregator(&none_in_use), None);
        assert_eq!(read_aggregator(&bytes(&[InfoBond::MiiMon(100)])), None);
    }

    #[test]
    fn both_ends_of_a_port_are_read_though_the_kernel_writes_them_differently() {
        let mut port = vec![
            InfoBondPort::BondPortState(BondPortState::Active),
            InfoBondPort::MiiStatus(MiiStatus::Up),
        ];
        assert_eq!(read_port(&bytes(&port)).unwrap().lacp, None);
        let raw = |kind, bytes: &[u8]| InfoBondPort::Other(DefaultNla::new(kind, bytes.to_vec()));
        port.extend([
            raw(IFLA_BOND_SLAVE_AD_AGGREGATOR_ID, &1_u16.to_ne_bytes()),
            raw(IFLA_BOND_SLAVE_AD_ACTOR_OPER_PORT_STATE, &[63]),
            raw(IFLA_BOND_SLAVE_AD_PARTNER_OPER_PORT_STATE, &61_u16.to_ne_bytes()),
        ]);
        let lacp = read_port(&bytes(&port)).unwrap().lacp.unwrap();
        assert_eq!((lacp.aggregator, lacp.actor.bits(), lacp.partner.bits()), (1, 63, 61));
    }
}
