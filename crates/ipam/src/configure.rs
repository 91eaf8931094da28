//! From an IPAM result to the addresses and routes of a link.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use podbond_cni::{CniResult, IpConfig, Route as CniRoute};
use podbond_kernel::{Dad, LinkRef, Route, Step};
use podbond_names::LinkName;

/// `RT_SCOPE_LINK`: from here on a destination is on the link itself, and takes no gateway.
const SCOPE_LINK: u8 = 253;

/// Returns the steps that configure a result on a link of the pod: its addresses, then its routes, which may
/// need them. Each once, though the result has it twice.
pub(crate) fn steps(ifname: &LinkName, result: &CniResult, dad: Dad) -> Vec<Step> {
    let at = LinkRef::pod(ifname.clone());
    let mut steps = Vec::new();
    for address in addresses(result) {
        steps.push(Step::AddAddress { at: at.clone(), address, dad });
    }
    for route in routes(result) {
        steps.push(Step::AddRoute { at: at.clone(), route });
    }
    steps
}

/// Returns the addresses of a result, in its order.
pub(crate) fn addresses(result: &CniResult) -> Vec<IpNet> {
    once_each(result.ips.iter().map(|ip| ip.address))
}

/// Returns the routes of a result as the kernel takes them, in its order. A zero, which Go programs write
/// for an absent value, counts as absent.
pub(crate) fn routes(result: &CniResult) -> Vec<Route> {
    once_each(result.routes.iter().map(|route| Route {
        destination: route.dst.trunc(),
        // The kernel takes the IPv4 address 0.0.0.0 for none, and so do the reference plugins.
        gateway: gateway(&result.ips, route).filter(|gw| *gw != Ipv4Addr::UNSPECIFIED),
        mtu: nonzero(route.mtu),
        advmss: nonzero(route.advmss),
        priority: nonzero(route.priority),
        table: nonzero(route.table),
        scope: route.scope,
        protocol: None,
    }))
}

/// Returns the gateway of a route; none for one on the link itself.
///
/// "gw: next hop address. If unset, a value in `gateway` in the `ips` array may be used" (section
/// "Success"): that of the first address of the route's family that has one.
pub(crate) fn gateway(ips: &[IpConfig], route: &CniRoute) -> Option<IpAddr> {
    let is_v4 = route.dst.addr().is_ipv4();
    if route.gw.is_some() || route.scope.is_some_and(|scope| scope >= SCOPE_LINK) {
        return route.gw;
    }
    ips.iter().filter_map(|ip| ip.gateway).find(|gateway| gateway.is_ipv4() == is_v4)
}

fn nonzero(number: Option<u32>) -> Option<u32> {
    number.filter(|number| *number != 0)
}

fn once_each<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut kept = Vec::new();
    for one in all {
        if !kept.contains(&one) {
            kept.push(one);
        }
    }
    kept
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn ip(address: &str, gateway: Option<&str>) -> IpConfig {
        let gateway = gateway.map(|text| text.parse().unwrap());
        IpConfig { gateway, ..IpConfig::new(address.parse().unwrap()) }
    }

    pub(crate) fn route(dst: &str, gw: Option<&str>) -> CniRoute {
        CniRoute::new(dst.parse().unwrap(), gw.map(|text| text.parse().unwrap()))
    }

    fn planned(ips: Vec<IpConfig>, routes: Vec<CniRoute>) -> Vec<String> {
        let result = CniResult { ips, routes, ..CniResult::default() };
        let steps = steps(&"net3".parse().unwrap(), &result, Dad::Off);
        steps.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn route_gets_the_first_gateway_of_its_family() {
        let ips = vec![
            ip("10.56.217.2/24", None),
            ip("fd00::2/64", Some("fd00::1")),
            ip("10.56.218.2/24", Some("10.56.218.1")),
        ];
        let routes = vec![route("::/0", None), route("0.0.0.0/0", None)];
        assert_eq!(
            planned(ips, routes),
            [
                "add address 10.56.217.2/24 to net3 (pod)",
                "add address fd00::2/64 to net3 (pod)",
                "add address 10.56.218.2/24 to net3 (pod)",
                "add route ::/0 via fd00::1 through net3 (pod)",
                "add route 0.0.0.0/0 via 10.56.218.1 through net3 (pod)",
            ]
        );
    }

    #[test]
    fn gateway_of_a_route_is_kept_and_link_scope_has_none() {
        let ips = || vec![ip("10.0.0.2/24", Some("10.0.0.1"))];
        let with_gateway = route("10.1.0.0/16", Some("10.0.0.9"));
        let on_link = CniRoute { scope: Some(SCOPE_LINK), ..route("10.2.0.0/16", None) };
        assert_eq!(
            planned(ips(), vec![with_gateway, on_link])[1..],
            [
                "add route 10.1.0.0/16 via 10.0.0.9 through net3 (pod)",
                "add route 10.2.0.0/16 scope link through net3 (pod)",
            ]
        );
    }

    #[test]
    fn route_of_a_family_without_gateway_is_on_the_link() {
        let ips = vec![ip("10.0.0.2/24", Some("10.0.0.1"))];
        assert_eq!(
            planned(ips, vec![route("fd00:1::/64", None)])[1..],
            ["add route fd00:1::/64 through net3 (pod)"]
        );
    }

    #[test]
    fn route_has_every_field_and_zero_is_none() {
        let all = CniRoute {
            mtu: Some(1400),
            advmss: Some(1360),
            priority: Some(50),
            table: Some(1000),
            scope: Some(0),
            ..route("10.1.0.0/16", Some("10.0.0.1"))
        };
        let zeros = CniRoute {
            mtu: Some(0),
            advmss: Some(0),
            priority: Some(0),
            table: Some(0),
            ..route("10.2.0.0/16", Some("10.0.0.1"))
        };
        assert_eq!(
            planned(Vec::new(), vec![all, zeros]),
            [
                "add route 10.1.0.0/16 via 10.0.0.1 table 1000 scope global metric 50 mtu 1400 \
                 advmss 1360 through net3 (pod)",
                "add route 10.2.0.0/16 via 10.0.0.1 through net3 (pod)",
            ]
        );
    }

    #[test]
    fn duplicates_are_configured_once() {
        let ips = vec![ip("10.0.0.2/24", Some("10.0.0.1")), ip("10.0.0.2/24", None)];
        let routes = vec![route("10.1.7.7/16", None), route("10.1.0.0/16", Some("10.0.0.1"))];
        assert_eq!(
            planned(ips, routes),
            [
                "add address 10.0.0.2/24 to net3 (pod)",
                "add route 10.1.0.0/16 via 10.0.0.1 through net3 (pod)",
            ]
        );
    }
}
