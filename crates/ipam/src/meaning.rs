use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use podbond_cni::{CniResult, Interface, IpConfig};
use podbond_kernel::{At, Kernel, Route, Step};
use podbond_names::LinkName;

/// `RT_SCOPE_LINK`: from here on a destination is on the link itself, and takes no gateway.
const SCOPE_LINK: u8 = 253;

/// How long [`announce`] waits for the link's carrier.
const ANNOUNCE_PATIENCE: Duration = Duration::from_millis(200);

/// The steps that give a link of the pod what an IPAM plugin answered: its addresses, then its
/// routes, which may need them.
pub fn steps(ifname: &LinkName, result: &CniResult) -> Vec<Step> {
    let at = At::pod(ifname.clone());
    let addresses =
        addresses(result).into_iter().map(|address| Step::AddAddress { at: at.clone(), address });
    let routes = routes(result).map(|route| Step::AddRoute { at: at.clone(), route });
    addresses.chain(routes).collect()
}

/// The addresses and routes that a link has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its addresses, link-local ones included.
    pub addresses: Vec<IpNet>,
    /// The routes that leave through it.
    pub routes: Vec<Route>,
}

impl Found {
    /// Asks the kernel; a link that is not there has none.
    pub fn on(kernel: &mut Kernel, at: &At) -> podbond_kernel::Result<Self> {
        if kernel.link(at)?.is_none() {
            return Ok(Self::default());
        }
        Ok(Self { addresses: kernel.addresses(at)?, routes: kernel.routes(at)? })
    }

    /// Those of [`steps`] that the link still needs: none when all is as the result has it. Only what
    /// a result tells of this link counts: that of a chain may tell of others too. A route is there when one leads to the same destination through the same gateway; the
    /// kernel fills in the rest.
    pub fn missing(&self, ifname: &LinkName, result: &CniResult) -> Vec<Step> {
        let mut steps = steps(ifname, &about(ifname, result));
        steps.retain(|step| match step {
            Step::AddAddress { address, .. } => !self.addresses.contains(address),
            Step::AddRoute { route, .. } => !self
                .routes
                .iter()
                .any(|is| is.destination == route.destination && is.gateway == route.gateway),
            _ => true,
        });
        steps
    }
}

/// The part of a result that is about a link of the pod.
fn about(ifname: &LinkName, result: &CniResult) -> CniResult {
    let is_it = |number| {
        // An IPAM plugin's own result has no interfaces.
        let interface: Option<&Interface> = result.interfaces.get(number);
        interface.is_none_or(|it| it.name == *ifname && it.sandbox.is_some())
    };
    let mut result = result.clone();
    let ips = result.ips.into_iter();
    result.ips = ips.filter(|ip| ip.interface.is_none_or(is_it)).collect();
    if result.ips.is_empty() {
        result.routes.clear();
    }
    result
}

/// Tells the neighbours of a result's addresses once the link has carrier, waiting 200 ms at most.
/// Its failure is none of the ADD's: neighbours learn of the addresses in time anyway.
pub fn announce(kernel: &mut Kernel, ifname: &LinkName, result: &CniResult) {
    let at = At::pod(ifname.clone());
    let _ = kernel.announce(&at, &addresses(result), ANNOUNCE_PATIENCE);
}

/// The addresses of a result, in its order.
fn addresses(result: &CniResult) -> Vec<IpNet> {
    result.ips.iter().map(|ip| ip.address).collect()
}

/// The answer of a plugin that made one interface: its addresses, routes and DNS are those that
/// the IPAM plugin gave, and all the addresses are the interface's.
pub fn result(ipam: Option<CniResult>, interface: Interface) -> CniResult {
    let mut result = ipam.unwrap_or_default();
    result.interfaces = vec![interface];
    for ip in &mut result.ips {
        ip.interface = Some(0);
    }
    result
}

/// The routes of a result as the kernel takes them.
///
/// "gw: next hop address. If unset, a value in `gateway` in the `ips` array may be used" (section
/// "Success"): that of the first address of the route's family that has one.
fn routes(result: &CniResult) -> impl Iterator<Item = Route> {
    result.routes.iter().map(|route| {
        let on_link = route.scope.is_some_and(|scope| scope >= SCOPE_LINK);
        let gateway =
            route.gw.or_else(|| if on_link { None } else { gateway(&result.ips, route.dst) });
        Route {
            destination: route.dst,
            gateway,
            mtu: route.mtu,
            advmss: route.advmss,
            priority: route.priority,
            table: route.table,
            scope: route.scope,
        }
    })
}

fn gateway(ips: &[IpConfig], destination: IpNet) -> Option<IpAddr> {
    let is_v4 = destination.addr().is_ipv4();
    ips.iter().filter_map(|ip| ip.gateway).find(|gateway| gateway.is_ipv4() == is_v4)
}

#[cfg(test)]
mod tests {
    use podbond_cni::Route as CniRoute;

    use super::*;

    fn ip(address: &str, gateway: Option<&str>) -> IpConfig {
        IpConfig {
            address: address.parse().unwrap(),
            gateway: gateway.map(|text| text.parse().unwrap()),
            interface: None,
        }
    }

    fn route(dst: &str, gw: Option<&str>) -> CniRoute {
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
        steps(&"net3".parse().unwrap(), &result).iter().map(ToString::to_string).collect()
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
                "append route 10.2.0.0/16 through net3 (pod)",
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
    fn what_is_there_is_not_missing() {
        let result = CniResult {
            ips: vec![ip("10.0.0.2/24", Some("10.0.0.1")), ip("10.0.1.2/24", None)],
            routes: vec![route("0.0.0.0/0", None), route("10.9.0.0/16", None)],
            ..CniResult::default()
        };
        let ifname = "net3".parse().unwrap();
        let all = steps(&ifname, &result);
        let there = |step: &Step| match step {
            Step::AddRoute { route, .. } => Some(Route { table: Some(254), ..route.clone() }),
            _ => None,
        };
        let full =
            Found { addresses: addresses(&result), routes: all.iter().filter_map(there).collect() };
        assert_eq!(full.missing(&ifname, &result), []);
        let mut half = full;
        half.addresses.remove(1);
        half.routes.remove(0);
        assert_eq!(half.missing(&ifname, &result), [all[1].clone(), all[2].clone()]);
        assert_eq!(Found::default().missing(&ifname, &result), all);
    }

    #[test]
    fn what_a_result_tells_of_other_links_is_not_missing() {
        let interface = |name: &str| Interface {
            name: name.parse().unwrap(),
            mac: None,
            mtu: None,
            sandbox: Some("/run/netns/p1".to_owned()),
            socket_path: None,
            pci_id: None,
        };
        let of = |number, address| IpConfig { interface: Some(number), ..ip(address, None) };
        let result = CniResult {
            interfaces: vec![interface("net1"), interface("net3")],
            ips: vec![of(0, "10.0.0.2/24"), of(1, "10.0.1.2/24")],
            ..CniResult::default()
        };
        let missing = |ifname: &str| Found::default().missing(&ifname.parse().unwrap(), &result);
        assert_eq!(missing("net3").len(), 1);
        assert_eq!(missing("net3")[0].to_string(), "add address 10.0.1.2/24 to net3 (pod)");
        assert_eq!(missing("net9"), []);
    }

    #[test]
    fn the_answer_has_one_interface_which_carries_every_address() {
        let interface = Interface {
            name: "net3".parse().unwrap(),
            mac: None,
            mtu: None,
            sandbox: None,
            socket_path: None,
            pci_id: None,
        };
        let ipam = CniResult {
            interfaces: vec![interface.clone(), interface.clone()],
            ips: vec![ip("10.0.0.2/24", None), ip("10.0.1.2/24", None)],
            ..CniResult::default()
        };
        let answer = result(Some(ipam), interface.clone());
        assert_eq!(answer.interfaces, [interface]);
        assert!(answer.ips.iter().all(|ip| ip.interface == Some(0)));
    }
}
