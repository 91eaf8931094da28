use netlink_packet_core::{Parseable, parse_u8};
use netlink_packet_route::link::{
    BondAllPortActive, BondPortState, InfoBond, InfoBondPort, InfoData, InfoKind, LinkInfo,
    MiiStatus,
};

use super::attributes;
use super::link::read_mac;
use crate::{BondMode, BondOptions, FailOverMac, PortState, XmitHashPolicy};

/// `IFLA_INFO_KIND` of a bond, and `IFLA_INFO_SLAVE_KIND` of its ports.
pub(super) const KIND: &str = "bond";

/// `IFLA_BOND_MODE`.
const IFLA_BOND_MODE: u16 = 1;

/// `IFLA_LINKINFO` of a new bond.
pub(super) fn link_info(options: &BondOptions) -> Vec<LinkInfo> {
    let BondOptions {
        mode,
        miimon,
        fail_over_mac,
        xmit_hash_policy,
        all_slaves_active,
        tlb_dynamic_lb,
        active_port: _,
    } = options;
    let mut data = vec![InfoBond::Mode(mode.number().into())];
    data.extend(miimon.map(InfoBond::MiiMon));
    data.extend(fail_over_mac.map(|value| InfoBond::FailOverMac(value.number().into())));
    data.extend(xmit_hash_policy.map(|value| InfoBond::XmitHashPolicy(value.number().into())));
    data.extend(all_slaves_active.map(|on| {
        InfoBond::AllPortsActive(if on {
            BondAllPortActive::Delivered
        } else {
            BondAllPortActive::Dropped
        })
    }));
    data.extend(tlb_dynamic_lb.map(InfoBond::TlbDynamicLb));
    vec![LinkInfo::Kind(InfoKind::Bond), LinkInfo::Data(InfoData::Bond(data))]
}

/// `IFLA_INFO_DATA` of a bond; none when it has no mode, or one that is not known here.
pub(super) fn read_options(data: &[u8]) -> Option<BondOptions> {
    let mode = attributes(data)
        .find(|nla| nla.kind() == IFLA_BOND_MODE)
        .and_then(|nla| parse_u8(nla.value()).ok())
        .and_then(BondMode::from_number)?;
    let mut options = BondOptions::new(mode);
    for option in attributes(data).filter_map(|nla| InfoBond::parse(&nla).ok()) {
        match option {
            InfoBond::MiiMon(ms) => options.miimon = Some(ms),
            InfoBond::FailOverMac(value) => {
                options.fail_over_mac = FailOverMac::from_number(value.into());
            }
            InfoBond::XmitHashPolicy(value) => {
                options.xmit_hash_policy = XmitHashPolicy::from_number(value.into());
            }
            InfoBond::AllPortsActive(value) => {
                options.all_slaves_active = Some(value == BondAllPortActive::Delivered);
            }
            InfoBond::TlbDynamicLb(on) => options.tlb_dynamic_lb = Some(on),
            InfoBond::ActivePort(index) => options.active_port = Some(index),
            _ => {}
        }
    }
    Some(options)
}

/// `IFLA_INFO_SLAVE_DATA` of a bond's port; none when its state is not shown.
pub(super) fn read_port(data: &[u8]) -> Option<PortState> {
    let mut active = None;
    let mut mii_up = None;
    let mut link_failures = 0;
    let mut permanent_mac = None;
    for item in attributes(data).filter_map(|nla| InfoBondPort::parse(&nla).ok()) {
        match item {
            InfoBondPort::BondPortState(state) => active = Some(state == BondPortState::Active),
            // A port that is going down still carries traffic until its delay is over.
            InfoBondPort::MiiStatus(status) => {
                mii_up = Some(matches!(status, MiiStatus::Up | MiiStatus::GoingDown));
            }
            InfoBondPort::LinkFailureCount(count) => link_failures = count,
            InfoBondPort::PermHwaddr(bytes) => permanent_mac = read_mac(&bytes),
            _ => {}
        }
    }
    Some(PortState { active: active?, mii_up: mii_up?, link_failures, permanent_mac })
}
