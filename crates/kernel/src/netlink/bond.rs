//! `IFLA_LINKINFO` of bonds and their ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{DefaultNla, Emitable, Parseable, parse_u8, parse_u32};
use netlink_packet_route::link::{
    BondAdInfo, BondPortState, InfoBond, InfoBondPort, InfoData, InfoKind, InfoPortData,
    InfoPortKind, LinkInfo, MiiStatus,
};
use podbond_names::Mac;

use super::codec::{attributes, read_mac};
use crate::bond::table::{self, BondOption, Family, Kind, Scope};
use crate::bond::{
    Aggregator, BondMode, BondOptions, LacpPort, LacpState, OptionValue, PortOptions, PortState,
};

/// `IFLA_INFO_KIND` of a bond, and `IFLA_INFO_SLAVE_KIND` of its ports.
pub(super) const KIND: &str = "bond";

/// `IFLA_BOND_MODE`.
const IFLA_BOND_MODE: u16 = 1;

/// `IFLA_BOND_AD_INFO`
const IFLA_BOND_AD_INFO: u16 = 23;

/// Returns `IFLA_LINKINFO` of a new bond.
pub(super) fn link_info(options: &BondOptions) -> Vec<LinkInfo> {
    let mode = DefaultNla::new(IFLA_BOND_MODE, vec![options.mode.number()]);
    let options = options.iter().map(|(option, value)| encode(option, value));
    of_bond(std::iter::once(mode).chain(options).map(InfoBond::Other).collect())
}

/// Returns `IFLA_LINKINFO` that names one of a bond's ports, or none of them.
pub(super) fn port_role(option: &BondOption, port: Option<u32>) -> Vec<LinkInfo> {
    let index = port.unwrap_or(0).to_ne_bytes().to_vec();
    of_bond(vec![InfoBond::Other(DefaultNla::new(option.attribute, index))])
}

fn of_bond(data: Vec<InfoBond>) -> Vec<LinkInfo> {
    vec![LinkInfo::Kind(InfoKind::Bond), LinkInfo::Data(InfoData::Bond(data))]
}

/// Returns `IFLA_LINKINFO` of a port of a bond.
pub(super) fn port_info(options: &PortOptions) -> Vec<LinkInfo> {
    let data = options.iter().map(|(option, value)| InfoBondPort::Other(encode(option, value)));
    vec![
        LinkInfo::PortKind(InfoPortKind::Bond),
        LinkInfo::PortData(InfoPortData::BondPort(data.collect())),
    ]
}

fn encode(option: &BondOption, value: &OptionValue) -> DefaultNla {
    let bytes = match value {
        OptionValue::Number(number) => {
            // The lower bytes, in the machine's order; a row's range fits its width.
            let mut bytes = number.to_le_bytes()[..option.width as usize].to_vec();
            if cfg!(target_endian = "big") {
                bytes.reverse();
            }
            bytes
        }
        OptionValue::Mac(mac) => mac.bytes().to_vec(),
        OptionValue::Addresses(list) => nested(list),
    };
    DefaultNla::new(option.attribute, bytes)
}

/// Returns a nested list, numbered from 0.
fn nested(list: &[IpAddr]) -> Vec<u8> {
    let mut nlas = Vec::new();
    for (position, address) in (0_u16..).zip(list) {
        let octets = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        nlas.push(DefaultNla::new(position, octets));
    }
    let mut bytes = vec![0; nlas.as_slice().buffer_len()];
    nlas.as_slice().emit(&mut bytes);
    bytes
}

/// Reads a value as the kernel shows it; none when it is not of the form that the row says.
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

/// Reads `IFLA_INFO_DATA` of a bond; none when it has no mode, or an unknown one.
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

/// Reads the aggregator in use from `IFLA_INFO_DATA` of a bond; none where no aggregator is in use,
/// for which the kernel leaves the nest empty, and in other modes, where it has none.
pub(super) fn read_aggregator(data: &[u8]) -> Option<Aggregator> {
    let nest = attributes(data).find(|nla| nla.kind() == IFLA_BOND_AD_INFO)?;
    let mut id = None;
    let mut ports = None;
    let mut actor_key = None;
    let mut partner_key = None;
    let mut partner = None;
    for nla in attributes(nest.value()) {
        match BondAdInfo::parse(&nla) {
            Ok(BondAdInfo::Aggregator(number)) => id = Some(number),
            Ok(BondAdInfo::NumPorts(number)) => ports = Some(number),
            Ok(BondAdInfo::ActorKey(key)) => actor_key = Some(key),
            Ok(BondAdInfo::PartnerKey(key)) => partner_key = Some(key),
            Ok(BondAdInfo::PartnerMac(mac)) => partner = Some(Mac::new(mac)),
            _ => {}
        }
    }
    Some(Aggregator {
        id: id?,
        ports: ports?,
        actor_key: actor_key?,
        partner_key: partner_key?,
        partner: partner.filter(|mac| *mac != Mac::ZERO),
    })
}

/// Reads `IFLA_INFO_SLAVE_DATA` of a bond's port; none when its state is not shown.
pub(super) fn read_port(data: &[u8]) -> Option<PortState> {
    let mut active = None;
    let mut mii_up = None;
    let mut aggregator = None;
    let mut actor = None;
    let mut partner = None;
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
            Ok(InfoBondPort::AdAggregatorId(id)) => aggregator = Some(id),
            Ok(InfoBondPort::AdActorOperPortState(state)) => actor = Some(state.bits()),
            Ok(InfoBondPort::AdPartnerOperPortState(state)) => partner = Some(state.bits()),
            _ => {}
        }
    }
    let lacp = aggregator.zip(actor.zip(partner)).map(|(aggregator, (actor, partner))| LacpPort {
        aggregator,
        actor: LacpState::from_bits(actor),
        partner: LacpState::from_bits(partner),
    });
    Some(PortState {
        active: active?,
        mii_up: mii_up?,
        link_failures,
        permanent_mac,
        lacp,
        options,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<T: netlink_packet_core::Nla>(list: &[T]) -> Vec<u8> {
        let mut buffer = vec![0; list.buffer_len()];
        list.emit(&mut buffer);
        buffer
    }

    #[test]
    fn aggregator_is_read() {
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
    fn lacp_state_of_both_ends_is_read() {
        let mut port = vec![
            InfoBondPort::BondPortState(BondPortState::Active),
            InfoBondPort::MiiStatus(MiiStatus::Up),
        ];
        assert_eq!(read_port(&bytes(&port)).unwrap().lacp, None);
        let raw = |kind, bytes: &[u8]| InfoBondPort::Other(DefaultNla::new(kind, bytes.to_vec()));
        port.extend([raw(6, &1_u16.to_ne_bytes()), raw(7, &[63]), raw(8, &61_u16.to_ne_bytes())]);
        let lacp = read_port(&bytes(&port)).unwrap().lacp.unwrap();
        assert_eq!((lacp.aggregator, lacp.actor.bits(), lacp.partner.bits()), (1, 63, 61));
    }
}
