//! Messages about addresses and routes: `RTM_*ADDR`, `RTM_*ROUTE`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};
use netlink_packet_core::Parseable;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeader, AddressHeaderFlags, AddressMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric,
    RouteProtocol, RouteScope, RouteType, RouteVia,
};

use super::codec::Message;
use crate::{AddressState, Dad, Route};

/// `RT_TABLE_MAIN`
const MAIN_TABLE: u32 = 254;
/// `RT_TABLE_LOCAL`: the kernel's own routes to local and broadcast addresses.
const LOCAL_TABLE: u32 = 255;

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn address(index: u32, address: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header = AddressHeader {
        family: family(address.addr()),
        prefix_len: address.prefix_len(),
        index,
        ..AddressHeader::default()
    };
    message.attributes =
        vec![AddressAttribute::Local(address.addr()), AddressAttribute::Address(address.addr())];
    message
}

/// Returns `RTM_NEWADDR`. As with the reference plugins, an IPv4 address of a subnet that has one
/// gets its broadcast address.
pub(crate) fn new_address(index: u32, net: IpNet, dad: Dad) -> Message {
    let mut message = address(index, net);
    match net {
        IpNet::V4(net) => {
            message.attributes.extend(broadcast(net).map(AddressAttribute::Broadcast));
        }
        IpNet::V6(_) => {
            message.header.flags |= match dad {
                Dad::Off => AddressHeaderFlags::Nodad,
                Dad::On => AddressHeaderFlags::Optimistic,
            };
        }
    }
    Message::NewAddress(message)
}

/// Returns the broadcast address; none of a subnet of one or two addresses (RFC 3021).
fn broadcast(net: Ipv4Net) -> Option<Ipv4Addr> {
    (net.prefix_len() < 31).then(|| net.broadcast())
}

/// Returns `RTM_DELADDR`.
pub(crate) fn remove_address(index: u32, net: IpNet) -> Message {
    Message::DelAddress(address(index, net))
}

/// Returns `RTM_GETADDR` for the addresses of one link.
pub(crate) fn addresses_of(index: u32) -> Message {
    let mut message = AddressMessage::default();
    message.header.index = index;
    Message::GetAddress(message)
}

/// Reads an `RTM_NEWADDR`, if it is about this link.
pub(crate) fn read_address(payload: &[u8], index: u32) -> Option<(IpNet, AddressState)> {
    let message = AddressMessage::parse(payload).ok().filter(|m| m.header.index == index)?;
    let mut local = None;
    let mut address = None;
    let mut flags = AddressFlags::from_bits_retain(message.header.flags.bits().into());
    for attribute in message.attributes {
        match attribute {
            AddressAttribute::Flags(all) => flags = all,
            AddressAttribute::Local(ip) => local = Some(ip),
            // The peer's, on a point-to-point link.
            AddressAttribute::Address(ip) => address = Some(ip),
            _ => {}
        }
    }
    // A duplicate stays tentative for ever.
    let state = if flags.contains(AddressFlags::Dadfailed) {
        AddressState::Duplicate
    } else if flags.contains(AddressFlags::Tentative) {
        AddressState::Tentative
    } else {
        AddressState::Usable
    };
    Some((IpNet::new(local.or(address)?, message.header.prefix_len).ok()?, state))
}

fn route(index: u32, route: &Route) -> RouteMessage {
    let destination = route.destination.trunc();
    let table = route.table.unwrap_or(MAIN_TABLE);
    let scope = match (route.scope, route.gateway) {
        (Some(scope), _) => scope.into(),
        (None, Some(_)) => RouteScope::Universe,
        (None, None) => RouteScope::Link,
    };
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: family(destination.addr()),
        destination_prefix_length: destination.prefix_len(),
        // Larger numbers than a byte holds are in RTA_TABLE alone.
        table: u8::try_from(table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC),
        protocol: route.protocol.map_or(RouteProtocol::Boot, RouteProtocol::from),
        scope,
        kind: RouteType::Unicast,
        ..RouteHeader::default()
    };
    let attributes = &mut message.attributes;
    // A default route has no RTA_DST.
    if destination.prefix_len() > 0 {
        attributes.push(RouteAttribute::Destination(destination.addr().into()));
    }
    attributes.extend(route.gateway.map(|gateway| match (gateway, destination) {
        (IpAddr::V6(gateway), IpNet::V4(_)) => RouteAttribute::Via(RouteVia::Inet6(gateway)),
        (gateway, _) => RouteAttribute::Gateway(gateway.into()),
    }));
    attributes.push(RouteAttribute::Oif(index));
    attributes.push(RouteAttribute::Table(table));
    attributes.extend(route.priority.map(RouteAttribute::Priority));
    let mut metrics = Vec::new();
    metrics.extend(route.mtu.map(RouteMetric::Mtu));
    metrics.extend(route.advmss.map(RouteMetric::Advmss));
    if !metrics.is_empty() {
        attributes.push(RouteAttribute::Metrics(metrics));
    }
    message
}

/// Returns `RTM_NEWROUTE` of a route through a link.
pub(crate) fn new_route(index: u32, wanted: &Route) -> Message {
    Message::NewRoute(route(index, wanted))
}

/// Returns `RTM_DELROUTE` of a route through a link. It names the link, so that no other route to
/// the same destination is meant, and the protocol, since another route may be the same but for
/// that.
pub(crate) fn remove_route(index: u32, wanted: &Route) -> Message {
    let mut message = route(index, wanted);
    // Not so for IPv6, once the metric is named. Of several that it has joined into one route the
    // kernel shows the protocol of the first alone: any is taken.
    if wanted.destination.addr().is_ipv6() && wanted.priority.is_some() {
        message.header.protocol = RouteProtocol::Unspec;
    }
    Message::DelRoute(message)
}

/// Returns `RTM_GETROUTE` for the routes of one family through one link.
pub(crate) fn routes_of(index: u32, any: IpAddr) -> Message {
    let mut message = RouteMessage::default();
    message.header.address_family = family(any);
    message.attributes = vec![RouteAttribute::Oif(index)];
    Message::GetRoute(message)
}

/// Reads an `RTM_NEWROUTE`, if it is a unicast route through this link that is not the kernel's
/// own.
pub(crate) fn read_route(payload: &[u8], index: u32) -> Option<Route> {
    let RouteMessage { header, attributes, .. } = RouteMessage::parse(payload).ok()?;
    let any = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let mut table = u32::from(header.table);
    let mut destination = any;
    let mut through_link = false;
    let mut route = Route {
        destination: IpNet::from(any),
        gateway: None,
        mtu: None,
        advmss: None,
        priority: None,
        table: None,
        scope: Some(header.scope.into()),
        protocol: Some(header.protocol).filter(|of| *of != RouteProtocol::Boot).map(u8::from),
    };
    for attribute in attributes {
        match attribute {
            RouteAttribute::Destination(address) => destination = ip(&address)?,
            RouteAttribute::Oif(oif) => through_link |= oif == index,
            RouteAttribute::Table(number) => table = number,
            RouteAttribute::Priority(metric) => route.priority = Some(metric),
            RouteAttribute::Metrics(metrics) => {
                for metric in metrics {
                    match metric {
                        RouteMetric::Mtu(bytes) => route.mtu = Some(bytes),
                        RouteMetric::Advmss(bytes) => route.advmss = Some(bytes),
                        _ => {}
                    }
                }
            }
            // The kernel joins IPv6 routes to one destination into one with many next hops.
            RouteAttribute::MultiPath(hops) => {
                if let Some(hop) = hops.into_iter().find(|hop| hop.interface_index == index) {
                    through_link = true;
                    route.gateway = hop.attributes.iter().find_map(gateway);
                }
            }
            other => route.gateway = gateway(&other).or(route.gateway),
        }
    }
    let cloned = header.flags.contains(RouteFlags::Cloned);
    if !through_link || cloned || header.kind != RouteType::Unicast || table == LOCAL_TABLE {
        return None;
    }
    route.table = (table != MAIN_TABLE).then_some(table);
    route.destination = IpNet::new(destination, header.destination_prefix_length).ok()?;
    Some(route)
}

/// Reads an `RTM_NEWROUTE` as [`read_route`] does, if the route leaves through other links too. Returns it
/// with the indices of those.
pub(crate) fn read_joined_route(payload: &[u8], index: u32) -> Option<(Route, Vec<u32>)> {
    let route = read_route(payload, index)?;
    let message = RouteMessage::parse(payload).ok()?;
    let hops = message.attributes.iter().filter_map(|attribute| match attribute {
        RouteAttribute::MultiPath(hops) => Some(hops.iter().map(|hop| hop.interface_index)),
        _ => None,
    });
    let mut others: Vec<u32> = hops.flatten().filter(|other| *other != index).collect();
    others.dedup();
    (!others.is_empty()).then_some((route, others))
}

fn gateway(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::Emitable;
    use netlink_packet_route::route::RouteNextHop;

    use super::*;

    fn emit(message: &impl Emitable) -> Vec<u8> {
        let mut payload = vec![0; message.buffer_len()];
        message.emit(&mut payload);
        payload
    }

    #[test]
    fn address_is_read_as_sent() {
        for text in ["10.56.217.7/24", "192.0.2.1/32", "2001:db8::7/64"] {
            let net: IpNet = text.parse().unwrap();
            let Message::NewAddress(message) = new_address(9, net, Dad::Off) else { panic!() };
            assert_eq!(read_address(&emit(&message), 9), Some((net, AddressState::Usable)));
            assert_eq!(read_address(&emit(&message), 8), None);
        }
    }

    #[test]
    fn only_ipv6_has_the_nodad_flag() {
        let no_dad = |text: &str, dad| {
            let Message::NewAddress(message) = new_address(9, text.parse().unwrap(), dad) else {
                panic!()
            };
            message.header.flags.contains(AddressHeaderFlags::Nodad)
        };
        assert!(no_dad("2001:db8::7/64", Dad::Off));
        assert!(!no_dad("2001:db8::7/64", Dad::On));
        assert!(!no_dad("10.56.217.7/24", Dad::Off));
    }

    #[test]
    fn state_follows_the_flags() {
        let net: IpNet = "2001:db8::7/64".parse().unwrap();
        let state = |flags: AddressFlags| {
            let mut message = address(9, net);
            message.attributes.push(AddressAttribute::Flags(flags));
            read_address(&emit(&message), 9).unwrap().1
        };
        let failed = AddressFlags::Dadfailed | AddressFlags::Tentative;
        assert_eq!(state(AddressFlags::Permanent), AddressState::Usable);
        assert_eq!(state(AddressFlags::Tentative), AddressState::Tentative);
        assert_eq!(state(failed), AddressState::Duplicate);
    }

    #[test]
    fn small_subnets_have_no_broadcast_address() {
        let broadcast = |text: &str| broadcast(text.parse().unwrap());
        assert_eq!(broadcast("10.56.217.7/24"), Some(Ipv4Addr::new(10, 56, 217, 255)));
        assert_eq!(broadcast("10.56.217.7/31"), None);
        assert_eq!(broadcast("10.56.217.7/32"), None);
    }

    #[test]
    fn route_is_read_as_sent() {
        let wanted = [
            r#"{"destination":"0.0.0.0/0","gateway":"10.56.217.1","scope":0}"#,
            r#"{"destination":"10.9.0.0/16","scope":253,"protocol":4}"#,
            r#"{"destination":"10.9.0.0/16","gateway":"2001:db8::1","scope":0}"#,
            r#"{"destination":"::/0","gateway":"2001:db8::1","mtu":1400,"advmss":1360,
                "priority":50,"table":1000,"scope":0}"#,
        ];
        for text in wanted {
            let wanted: Route = serde_json::from_str(text).unwrap();
            let payload = emit(&route(4, &wanted));
            assert_eq!(read_route(&payload, 4), Some(wanted));
            assert_eq!(read_route(&payload, 5), None);
        }
    }

    #[test]
    fn ipv6_route_with_metric_is_removed_under_any_protocol() {
        let by = |text: &str| {
            let Message::DelRoute(message) = remove_route(4, &serde_json::from_str(text).unwrap())
            else {
                panic!()
            };
            message.header.protocol
        };
        let (v4, v6) = (r#"{"destination":"0.0.0.0/0""#, r#"{"destination":"::/0""#);
        assert_eq!(by(&format!("{v4}}}")), RouteProtocol::Boot);
        assert_eq!(by(&format!(r#"{v4},"protocol":4,"priority":7}}"#)), RouteProtocol::Static);
        assert_eq!(by(&format!("{v6}}}")), RouteProtocol::Boot);
        assert_eq!(by(&format!(r#"{v6},"protocol":9,"priority":7}}"#)), RouteProtocol::Unspec);
    }

    #[test]
    fn route_of_several_links_is_joined() {
        let wanted = Route {
            destination: "::/0".parse().unwrap(),
            gateway: "fd00::1".parse().ok(),
            priority: Some(1024),
            ..serde_json::from_str(r#"{"destination":"::/0"}"#).unwrap()
        };
        let mut message = route(4, &wanted);
        assert_eq!(read_joined_route(&emit(&message), 4), None);
        message.attributes.retain(|attribute| {
            !matches!(attribute, RouteAttribute::Oif(_) | RouteAttribute::Gateway(_))
        });
        let hop = |index, gateway: &str| {
            let mut hop = RouteNextHop::default();
            hop.interface_index = index;
            let gateway: IpAddr = gateway.parse().unwrap();
            hop.attributes = vec![RouteAttribute::Gateway(gateway.into())];
            hop
        };
        let hops = vec![hop(9, "fd01::1"), hop(4, "fd00::1"), hop(4, "fd00::2")];
        message.attributes.push(RouteAttribute::MultiPath(hops));
        let payload = emit(&message);
        let (route, others) = read_joined_route(&payload, 4).unwrap();
        assert_eq!(
            (route.destination, route.gateway, others),
            (wanted.destination, wanted.gateway, vec![9])
        );
        assert_eq!(read_joined_route(&payload, 9).unwrap().1, [4]);
        assert_eq!(read_joined_route(&payload, 5), None);
    }

    #[test]
    fn routes_of_table_local_are_left_out() {
        let text = r#"{"destination":"10.0.0.1/32","table":255}"#;
        let local: Route = serde_json::from_str(text).unwrap();
        assert_eq!(read_route(&emit(&route(4, &local)), 4), None);
    }
}
