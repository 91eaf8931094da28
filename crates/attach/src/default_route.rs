//! The annotation's `default-route`: the pod's default route leads through one attachment, and "the
//! default route and gateway will be cleared" from the others (multi-net-spec 1.3, section
//! 4.1.2.1.9). Each address family by itself: a gateway for IPv4 leaves IPv6 as it is.

use std::net::IpAddr;
use std::path::Path;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use podbond_cni::Route as ResultRoute;
use podbond_kernel::{Kernel, LinkRef, Netns, Route, Step, transact};
use podbond_names::LinkName;

use crate::Record;

/// `RT_TABLE_MAIN`
const MAIN_TABLE: u32 = 254;

/// Leads the default routes of a namespace through a link. The error is in the kernel's words.
pub(crate) fn set(netns: &Path, ifname: &LinkName, gateways: &[IpAddr]) -> Result<(), String> {
    let mut kernel = Kernel::with_pod(netns).map_err(|error| error.to_string())?;
    let shown = shown(&mut kernel).map_err(|error| error.to_string())?;
    let steps = plan(ifname, gateways, &shown);
    let done = transact(&mut kernel, |transaction| transaction.apply(steps));
    done.map(|_| ()).map_err(|failed| failed.to_string())
}

/// The routes of the pod, by link.
fn shown(kernel: &mut Kernel) -> podbond_kernel::Result<Vec<(LinkName, Vec<Route>)>> {
    let mut all = Vec::new();
    for link in kernel.links(Netns::Pod)? {
        let routes = kernel.routes(&LinkRef::pod(link.name.clone()))?;
        all.push((link.name, routes));
    }
    Ok(all)
}

/// What takes the default routes that are to those that are wanted.
fn plan(ifname: &LinkName, gateways: &[IpAddr], shown: &[(LinkName, Vec<Route>)]) -> Vec<Step> {
    let mut steps = Vec::new();
    for gateway in gateways {
        let destination = any_like(*gateway);
        let is_wanted =
            |link: &LinkName, route: &Route| link == ifname && route.gateway == Some(*gateway);
        let is_default = |route: &Route| {
            route.destination == destination && route.table.is_none_or(|table| table == MAIN_TABLE)
        };
        let defaults = || {
            shown.iter().flat_map(|(link, routes)| {
                routes.iter().filter(|route| is_default(route)).map(move |route| (link, route))
            })
        };
        for (link, route) in defaults().filter(|(link, route)| !is_wanted(link, route)) {
            let route = route.clone();
            steps.push(Step::RemoveRoute { at: LinkRef::pod(link.clone()), route });
        }
        if !defaults().any(|(link, route)| is_wanted(link, route)) {
            let route = Route {
                destination,
                gateway: Some(*gateway),
                mtu: None,
                advmss: None,
                priority: None,
                table: None,
                scope: None,
                protocol: None,
            };
            steps.push(Step::AddRoute { at: LinkRef::pod(ifname.clone()), route });
        }
    }
    steps
}

/// Lets an attachment's result tell of the default routes as they are now: CHECK compares with it,
/// and the pod's status is made of it.
pub(crate) fn amend(record: &mut Record, ifname: &LinkName, gateways: &[IpAddr]) {
    let Some(result) = &mut record.result else { return };
    for gateway in gateways {
        let dst = any_like(*gateway);
        result.routes.retain(|route| route.dst != dst);
        if record.ifname == *ifname {
            result.routes.push(ResultRoute {
                dst,
                gw: Some(*gateway),
                mtu: None,
                advmss: None,
                priority: None,
                table: None,
                scope: None,
            });
        }
    }
}

/// The destination of a default route by this gateway.
fn any_like(gateway: IpAddr) -> IpNet {
    match gateway {
        IpAddr::V4(_) => IpNet::V4(Ipv4Net::default()),
        IpAddr::V6(_) => IpNet::V6(Ipv6Net::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(text: &str, table: Option<u32>) -> Route {
        let (destination, gateway) = text.split_once(' ').unwrap();
        Route {
            destination: destination.parse().unwrap(),
            gateway: gateway.parse().ok(),
            mtu: None,
            advmss: None,
            priority: None,
            table,
            scope: None,
            protocol: None,
        }
    }

    fn planned(gateways: &[&str], shown: &[(&str, &str)]) -> Vec<String> {
        let gateways: Vec<IpAddr> = gateways.iter().map(|text| text.parse().unwrap()).collect();
        let shown: Vec<_> = shown
            .iter()
            .map(|(link, text)| (link.parse().unwrap(), vec![route(text, None)]))
            .collect();
        plan(&"net1".parse().unwrap(), &gateways, &shown).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_default_routes_of_the_family_are_removed_and_one_is_added() {
        let shown = [
            ("eth0", "0.0.0.0/0 10.88.0.1"),
            ("eth0", "10.88.0.0/16 -"),
            ("eth0", "::/0 fd00::1"),
            ("net1", "0.0.0.0/0 10.1.0.9"),
        ];
        let at = |name: &str| LinkRef::pod(name.parse().unwrap()).to_string();
        assert_eq!(
            planned(&["10.1.0.1"], &shown),
            [
                format!("remove route 0.0.0.0/0 via 10.88.0.1 through {}", at("eth0")),
                format!("remove route 0.0.0.0/0 via 10.1.0.9 through {}", at("net1")),
                format!("append route 0.0.0.0/0 via 10.1.0.1 through {}", at("net1")),
            ]
        );
        assert_eq!(
            planned(&["fd01::1"], &shown),
            [
                format!("remove route ::/0 via fd00::1 through {}", at("eth0")),
                format!("append route ::/0 via fd01::1 through {}", at("net1")),
            ]
        );
    }

    #[test]
    fn a_default_route_that_is_there_is_kept() {
        assert_eq!(planned(&["10.1.0.1"], &[("net1", "0.0.0.0/0 10.1.0.1")]), [""; 0]);
    }

    #[test]
    fn a_route_that_somebody_else_made_is_removed_as_such() {
        let others = Route { protocol: Some(9), ..route("::/0 fe80::1", None) };
        let (eth0, gateway) = ("eth0".parse().unwrap(), "fd01::1".parse().unwrap());
        let shown = [(eth0, vec![others.clone()])];
        let steps = plan(&"net1".parse().unwrap(), &[gateway], &shown);
        let [Step::RemoveRoute { route: removed, .. }, Step::AddRoute { route: added, .. }] =
            &steps[..]
        else {
            panic!("{steps:?}")
        };
        assert_eq!((removed, added.protocol), (&others, None));
    }

    #[test]
    fn other_routing_tables_are_left_alone() {
        let elsewhere = vec![route("0.0.0.0/0 10.88.0.1", Some(100))];
        let (eth0, gateway) = ("eth0".parse().unwrap(), "10.1.0.1".parse().unwrap());
        let steps = plan(&"net1".parse().unwrap(), &[gateway], &[(eth0, elsewhere)]);
        assert!(matches!(steps.as_slice(), [Step::AddRoute { .. }]), "{steps:?}");
    }
}
