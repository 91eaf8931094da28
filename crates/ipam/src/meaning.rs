use std::net::IpAddr;

use ipnet::IpNet;
use podbond_cni::{CniResult, IpConfig, Route as CniRoute};
use podbond_kernel::{Dad, LinkRef, Route, Step};
use podbond_names::LinkName;

/// `RT_SCOPE_LINK`: from here on a destination is on the link itself, and takes no gateway.
const SCOPE_LINK: u8 = 253;

/// The steps that give a link of the pod what an IPAM plugin answered: its addresses, then its
/// routes, which may need them. What is said twice is done once.
pub(crate) fn steps(ifname: &LinkName, result: &CniResult, dad: Dad) -> Vec<Step> {
    let at = LinkRef::pod(ifname.clone());
    let add = |address| Step::AddAddress { at: at.clone(), address, dad };
    let addresses = addresses(result).into_iter().map(add);
    let routes = routes(result).into_iter().map(|route| Step::AddRoute { at: at.clone(), route });
    addresses.chain(routes).collect()
}

/// The addresses of a result, in its order.
pub(crate) fn addresses(result: &CniResult) -> Vec<IpNet> {
    once_each(result.ips.iter().map(|ip| ip.address))
}

/// The routes of a result as the kernel takes them, in their order. What Go programs write for
/// "not given", a zero, is not given.
pub(crate) fn routes(result: &CniResult) -> Vec<Route> {
    let given = |number: Option<u32>| number.filter(|number| *number != 0);
    once_each(result.routes.iter().map(|route| Route {
        destination: route.dst.trunc(),
        gateway: gateway(&result.ips, route),
        mtu: given(route.mtu),
        advmss: given(route.advmss),
        priority: given(route.priority),
        table: given(route.table),
        scope: route.scope,
        protocol: None,
    }))
}

/// Where a route leads; none is the link itself.
///
/// "gw: next hop address. If unset, a value in `gateway` in the `ips` array may be used" (section
/// "Success"): that of the first address of the route's family that has one.
pub(crate) fn gateway(ips: &[IpConfig], route: &CniRoute) -> Option<IpAddr> {
    let is_v4 = route.dst.addr().is_ipv4();
    let of_family = |gateway: &IpAddr| gateway.is_ipv4() == is_v4;
    let implied = || match route.scope {
        Some(scope) if scope >= SCOPE_LINK => None,
        _ => ips.iter().filter_map(|ip| ip.gateway).find(of_family),
    };
    route.gw.or_else(implied)
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
        IpConfig {
            address: address.parse().unwrap(),
            gateway: gateway.map(|text| text.parse().unwrap()),
            interface: None,
        }
    }

    pub(crate) fn route(dst: &str, gw: Option<&str>) -> CniRoute {
        CniRoute {
            dst: dst.parse().unwrap(),
            gw: gw.map(|text| text.parse().unwrap()),
            mtu: None,
            advmss: None,
            priority: None,
            table: None,
            scope: None,
        }
    }

    fn said(ips: Vec<IpConfig>, routes: Vec<CniRoute>) -> Vec<String> {
        let result = CniResult { ips, routes, ..CniResult::default() };
        let steps = steps(&"net3".parse().unwrap(), &result, Dad::Off);
        steps.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_route_without_gateway_takes_the_first_one_of_its_family() {
        let ips = vec![
            ip("10.56.217.2/24", None),
            ip("fd00::2/64", Some("fd00::1")),
            ip("10.56.218.2/24", Some("10.56.218.1")),
        ];
        let routes = vec![route("::/0", None), route("0.0.0.0/0", None)];
        assert_eq!(
            said(ips, routes),
            [
                "add address 10.56.217.2/24 to net3 (pod)",
                "add address fd00::2/64 to net3 (pod)",
                "add address 10.56.218.2/24 to net3 (pod)",
                "append route ::/0 via fd00::1 through net3 (pod)",
                "append route 0.0.0.0/0 via 10.56.218.1 through net3 (pod)",
            ]
        );
    }

    #[test]
    fn a_routes_own_gateway_is_kept_and_one_on_the_link_gets_none() {
        let ips = || vec![ip("10.0.0.2/24", Some("10.0.0.1"))];
        let with_gateway = route("10.1.0.0/16", Some("10.0.0.9"));
        let on_link = CniRoute { scope: Some(SCOPE_LINK), ..route("10.2.0.0/16", None) };
        assert_eq!(
            said(ips(), vec![with_gateway, on_link])[1..],
            [
                "append route 10.1.0.0/16 via 10.0.0.9 through net3 (pod)",
                "append route 10.2.0.0/16 scope link through net3 (pod)",
            ]
        );
    }

    #[test]
    fn a_route_of_a_family_without_gateway_is_on_the_link() {
        let ips = vec![ip("10.0.0.2/24", Some("10.0.0.1"))];
        assert_eq!(
            said(ips, vec![route("fd00:1::/64", None)])[1..],
            ["append route fd00:1::/64 through net3 (pod)"]
        );
    }

    #[test]
    fn every_field_of_a_route_is_taken_and_zero_is_none() {
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
            said(Vec::new(), vec![all, zeros]),
            [
                "append route 10.1.0.0/16 via 10.0.0.1 table 1000 scope global metric 50 mtu 1400 \
                 advmss 1360 through net3 (pod)",
                "append route 10.2.0.0/16 via 10.0.0.1 through net3 (pod)",
            ]
        );
    }

    #[test]
    fn what_is_said_twice_is_done_once() {
        let ips = vec![ip("10.0.0.2/24", Some("10.0.0.1")), ip("10.0.0.2/24", None)];
        let routes = vec![route("10.1.7.7/16", None), route("10.1.0.0/16", Some("10.0.0.1"))];
        assert_eq!(
            said(ips, routes),
            [
                "add address 10.0.0.2/24 to net3 (pod)",
                "append route 10.1.0.0/16 via 10.0.0.1 through net3 (pod)",
            ]
        );
    }
}
