//! The annotation's `default-route`: the pod's default route is set through one attachment, and "the
//! default route and gateway will be cleared" from the others (multi-net-spec 1.3, section 4.1.2.1.9). Each
//! address family by itself: a gateway for IPv4 leaves IPv6 unchanged.

use std::net::IpAddr;
use std::path::Path;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use podbond_cni::Route as ResultRoute;
use podbond_kernel::{Kernel, LinkRef, Netns, Route, Step, transact};
use podbond_names::LinkName;
use podbond_record::Record;

/// `RT_TABLE_MAIN`
const MAIN_TABLE: u32 = 254;

/// Sets the default routes of a network namespace to these gateways through a link. The error is the
/// kernel's message.
pub(crate) fn set(netns: &Path, ifname: &LinkName, gateways: &[IpAddr]) -> Result<(), String> {
    let mut kernel = Kernel::with_pod(netns).map_err(|error| error.to_string())?;
    let observed = routes_by_link(&mut kernel).map_err(|error| error.to_string())?;
    let steps = plan(ifname, gateways, &observed);
    let applied = transact(&mut kernel, |transaction| transaction.apply(steps));
    applied.map(|_| ()).map_err(|failed| failed.to_string())
}

/// Returns each route of the pod with its link.
fn routes_by_link(kernel: &mut Kernel) -> podbond_kernel::Result<Vec<(LinkName, Route)>> {
    let mut all = Vec::new();
    for link in kernel.links(Netns::Pod)? {
        let routes = kernel.routes(&LinkRef::pod(link.name.clone()))?;
        all.extend(routes.into_iter().map(|route| (link.name.clone(), route)));
    }
    Ok(all)
}

/// Returns the steps from the observed default routes to those by these gateways through a link.
fn plan(ifname: &LinkName, gateways: &[IpAddr], observed: &[(LinkName, Route)]) -> Vec<Step> {
    let mut steps = Vec::new();
    for gateway in gateways {
        let destination = any_address(*gateway);
        let mut is_there = false;
        for (link, route) in observed.iter().filter(|(_, route)| is_default(route, destination)) {
            if link == ifname && route.gateway == Some(*gateway) {
                is_there = true;
            } else {
                let (at, route) = (LinkRef::pod(link.clone()), route.clone());
                steps.push(Step::RemoveRoute { at, route });
            }
        }
        if !is_there {
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

fn is_default(route: &Route, destination: IpNet) -> bool {
    route.destination == destination && route.table.is_none_or(|table| table == MAIN_TABLE)
}

/// Changes the default routes in an attachment's result to those that [`set`] has set: CHECK compares
/// with it, and the pod's status shows it.
pub(crate) fn change_result(record: &mut Record, ifname: &LinkName, gateways: &[IpAddr]) {
    let Some(chain) = &mut record.chain else { return };
    let Some(result) = &mut chain.result else { return };
    for gateway in gateways {
        let dst = any_address(*gateway);
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

/// Returns the destination of a default route by this gateway.
fn any_address(gateway: IpAddr) -> IpNet {
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

    fn planned(gateways: &[&str], observed: &[(&str, &str)]) -> Vec<String> {
        let gateways: Vec<IpAddr> = gateways.iter().map(|text| text.parse().unwrap()).collect();
        let observed: Vec<_> = observed
            .iter()
            .map(|(link, text)| (link.parse().unwrap(), route(text, None)))
            .collect();
        plan(&"net1".parse().unwrap(), &gateways, &observed)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn default_routes_of_the_family_are_replaced() {
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
                format!("add route 0.0.0.0/0 via 10.1.0.1 through {}", at("net1")),
            ]
        );
        assert_eq!(
            planned(&["fd01::1"], &shown),
            [
                format!("remove route ::/0 via fd00::1 through {}", at("eth0")),
                format!("add route ::/0 via fd01::1 through {}", at("net1")),
            ]
        );
    }

    #[test]
    fn default_route_that_is_there_is_kept() {
        assert_eq!(planned(&["10.1.0.1"], &[("net1", "0.0.0.0/0 10.1.0.1")]), [""; 0]);
    }

    #[test]
    fn route_of_another_protocol_is_removed() {
        let others = Route { protocol: Some(9), ..route("::/0 fe80::1", None) };
        let (eth0, gateway) = ("eth0".parse().unwrap(), "fd01::1".parse().unwrap());
        let observed = [(eth0, others.clone())];
        let steps = plan(&"net1".parse().unwrap(), &[gateway], &observed);
        let [Step::RemoveRoute { route: removed, .. }, Step::AddRoute { route: added, .. }] =
            &steps[..]
        else {
            panic!("{steps:?}")
        };
        assert_eq!((removed, added.protocol), (&others, None));
    }

    #[test]
    fn other_routing_tables_are_unchanged() {
        let other_table = route("0.0.0.0/0 10.88.0.1", Some(100));
        let (eth0, gateway) = ("eth0".parse().unwrap(), "10.1.0.1".parse().unwrap());
        let steps = plan(&"net1".parse().unwrap(), &[gateway], &[(eth0, other_table)]);
        assert!(matches!(steps.as_slice(), [Step::AddRoute { .. }]), "{steps:?}");
    }
}
