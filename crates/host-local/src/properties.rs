//! Properties of every range, and of every order in which addresses are leased and released.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use crate::config::Config;
use crate::range::{Range, RangeSet, RawRange};

/// A small subnet, in it a range, and a gateway that may be anywhere in it.
fn range() -> impl Strategy<Value = Range> {
    let v4 = (any::<u32>(), 26..=30_u8).prop_map(|(bits, prefix)| {
        (ipnet::Ipv4Net::new_assert(Ipv4Addr::from_bits(bits), prefix).trunc().into(), 32 - prefix)
    });
    let v6 = (any::<u128>(), 122..=126_u8).prop_map(|(bits, prefix)| {
        let net = ipnet::Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), prefix);
        (net.trunc().into(), 128 - prefix)
    });
    let offsets = (any::<u8>(), any::<u8>(), any::<Option<u8>>());
    (prop_oneof![v4, v6], offsets).prop_filter_map("backwards", |((subnet, bits), offsets)| {
        let subnet: ipnet::IpNet = subnet;
        let at = |offset: u8| {
            let offset = offset & (u8::MAX >> (8 - bits));
            match subnet.addr() {
                IpAddr::V4(first) => {
                    IpAddr::from(Ipv4Addr::from_bits(first.to_bits() + u32::from(offset)))
                }
                IpAddr::V6(first) => {
                    Ipv6Addr::from_bits(first.to_bits() + u128::from(offset)).into()
                }
            }
        };
        let (start, end, gateway) = offsets;
        let raw = RawRange {
            subnet: Some(subnet.to_string()),
            range_start: Some(at(start).to_string()),
            range_end: Some(at(end).to_string()),
            gateway: gateway.map(|gateway| at(gateway).to_string()),
        };
        Range::new(&raw).ok()
    })
}

/// One to three ranges of one family that do not overlap.
fn set() -> impl Strategy<Value = RangeSet> {
    prop::collection::vec(range(), 1..=3)
        .prop_filter_map("no set", |ranges| RangeSet::new("ipam.ranges[0]".to_owned(), ranges).ok())
}

/// Returns every address of the set that may be leased, without the code under test.
fn givable(set: &RangeSet) -> BTreeSet<IpAddr> {
    let gateways: BTreeSet<IpAddr> = set.ranges.iter().map(|range| range.gateway).collect();
    let hosts = set.ranges.iter().flat_map(|range| {
        // Without the subnet's own address and, for IPv4, the broadcast address.
        let own = range.subnet.network();
        let all: Vec<IpAddr> = match range.subnet {
            ipnet::IpNet::V4(net) => net.hosts().map(IpAddr::from).collect(),
            ipnet::IpNet::V6(net) => net.hosts().map(IpAddr::from).collect(),
        };
        let within = move |ip: &IpAddr| *ip != own && *ip >= range.start && *ip <= range.end;
        all.into_iter().filter(within)
    });
    hosts.filter(|address| !gateways.contains(address)).collect()
}

fn config(set: &RangeSet) -> Config {
    Config { sets: vec![set.clone()], routes: Vec::new(), resolv_conf: None }
}

proptest! {
    /// Promise: range-given-once
    #[test]
    fn every_address_is_tried_once_and_no_other(set in set(), last in any::<Option<u16>>()) {
        let givable = givable(&set);
        // Where the round robin begins: anywhere, or nowhere.
        let last = last.and_then(|last| givable.iter().nth(usize::from(last) % givable.len().max(1)));
        let candidates: Vec<IpAddr> = config(&set).candidates(&set, last.copied()).collect();
        prop_assert_eq!(candidates.len(), givable.len());
        prop_assert_eq!(&candidates.iter().copied().collect::<BTreeSet<_>>(), &givable);
        if last.is_some() {
            prop_assert_eq!(candidates.last(), last);
        }
    }

    /// Promise: range-given-once
    #[test]
    fn released_addresses_are_given_again(
        set in set(),
        turns in prop::collection::vec(any::<Option<prop::sample::Index>>(), 1..100),
    ) {
        let (givable, config) = (givable(&set), config(&set));
        let (mut leases, mut last): (Vec<IpAddr>, _) = (Vec::new(), None);
        for turn in turns {
            if let Some(index) = turn.filter(|_| !leases.is_empty()) {
                leases.swap_remove(index.index(leases.len()));
                continue;
            }
            last = config.candidates(&set, last).find(|address| !leases.contains(address));
            if let Some(address) = last {
                leases.push(address);
            } else {
                prop_assert_eq!(leases.len(), givable.len());
            }
        }
    }
}
