//! The annotation's `default-route`: the pod's default route is set through one attachment, and "the
//! default route and gateway will be cleared" from the others (multi-net-spec 1.3, section 4.1.2.1.9). Each
//! address family by itself: a gateway for IPv4 leaves IPv6 unchanged. With an empty list the gateways are
//! those that the attachment's own network has given.

use std::net::IpAddr;
use std::path::Path;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use podbond_cni::Route as ResultRoute;
use podbond_kernel::{Kernel, LinkRef, Netns, Route, Step, transact};
use podbond_names::LinkName;
use podbond_record::Record;

use crate::selections::DefaultRoute;

/// `RT_TABLE_MAIN`
const MAIN_TABLE: u32 = 254;

/// What was set: the default routes through the link, those of their families through others removed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Set {
    /// By these gateways.
    Gateways(Vec<IpAddr>),
    /// Those that the link has had, to these destinations: none where it has had none.
    Kept(Vec<IpNet>),
}

/// Sets the default routes of a network namespace to those through a link. The error is the kernel's message.
pub(crate) fn set(netns: &Path, ifname: &LinkName, asked: &DefaultRoute) -> Result<Set, String> {
    let mut kernel = Kernel::with_pod(netns).map_err(|error| error.to_string())?;
    let observed = routes_by_link(&mut kernel).map_err(|error| error.to_string())?;
    let (set, steps) = match asked {
        DefaultRoute::Gateways(gateways) => {
            (Set::Gateways(gateways.clone()), plan(ifname, gateways, &observed))
        }
        DefaultRoute::Own | DefaultRoute::NotAsked => {
            let kept = own_destinations(ifname, &observed);
            let steps = kept.iter().flat_map(|kept| plan_own(ifname, *kept, &observed)).collect();
            (Set::Kept(kept), steps)
        }
    };
    let applied = transact(&mut kernel, |transaction| transaction.apply(steps));
    applied.map(|_| set).map_err(|failed| failed.to_string())
}

/// Returns the destinations of the default routes through a link: of IPv4, IPv6, both or none.
fn own_destinations(ifname: &LinkName, observed: &[(LinkName, Route)]) -> Vec<IpNet> {
    let all = [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())];
    let has = |destination: &IpNet| {
        observed.iter().any(|(link, route)| link == ifname && is_default(route, *destination))
    };
    all.into_iter().filter(has).collect()
}

/// Returns the steps that remove the default routes to this destination through other links.
fn plan_own(ifname: &LinkName, destination: IpNet, observed: &[(LinkName, Route)]) -> Vec<Step> {
    let others = observed
        .iter()
        .filter(|(link, route)| link != ifname && is_default(route, destination))
        .map(|(link, route)| (LinkRef::pod(link.clone()), route.clone()));
    others.map(|(at, route)| Step::RemoveRoute { at, route }).collect()
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
pub(crate) fn change_result(record: &mut Record, ifname: &LinkName, set: &Set) {
    let is_own = record.ifname == *ifname;
    let Some(result) = record.chain.as_mut().and_then(|chain| chain.result.as_mut()) else {
        return;
    };
    match set {
        Set::Gateways(gateways) => {
            for gateway in gateways {
                let dst = any_address(*gateway);
                result.routes.retain(|route| route.dst != dst);
                if is_own {
                    result.routes.push(ResultRoute::new(dst, Some(*gateway)));
                }
            }
        }
        Set::Kept(_) if is_own => {}
        Set::Kept(kept) => result.routes.retain(|route| !kept.contains(&route.dst)),
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
    fn own_default_routes_are_kept_and_others_of_their_families_removed() {
        let shown: Vec<_> = [
            ("eth0", "0.0.0.0/0 10.88.0.1"),
            ("eth0", "10.88.0.0/16 -"),
            ("eth0", "::/0 fd00::1"),
            ("net1", "0.0.0.0/0 10.1.0.1"),
            ("net1", "0.0.0.0/0 10.1.0.9"),
            ("net2", "0.0.0.0/0 10.2.0.1"),
        ]
        .map(|(link, text)| (link.parse().unwrap(), route(text, None)))
        .into();
        let kept = |name: &str| own_destinations(&name.parse().unwrap(), &shown);
        let v4 = IpNet::V4(Ipv4Net::default());
        assert_eq!((kept("net1"), kept("net3")), (vec![v4], vec![]));
        assert_eq!(kept("eth0").len(), 2);
        let steps = plan_own(&"net1".parse().unwrap(), v4, &shown);
        let at = |name: &str| LinkRef::pod(name.parse().unwrap()).to_string();
        assert_eq!(
            steps.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                format!("remove route 0.0.0.0/0 via 10.88.0.1 through {}", at("eth0")),
                format!("remove route 0.0.0.0/0 via 10.2.0.1 through {}", at("net2")),
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
