use ipnet::IpNet;
use podbond_cni::CniResult;
use podbond_kernel::{AddressState, Kernel, LinkRef, Route};
use podbond_names::LinkName;

use crate::meaning::{addresses, gateway, routes};

/// The addresses and routes that a link has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its addresses, link-local ones included.
    pub addresses: Vec<IpNet>,
    /// Those of them that another host has, as the kernel found out.
    pub duplicates: Vec<IpNet>,
    /// The routes that leave through it.
    pub routes: Vec<Route>,
}

impl Found {
    /// Asks the kernel; a link that is not there has none.
    pub fn on(kernel: &mut Kernel, at: &LinkRef) -> podbond_kernel::Result<Self> {
        if kernel.link(at)?.is_none() {
            return Ok(Self::default());
        }
        let states = kernel.address_states(at)?;
        let duplicates =
            states.iter().filter(|(_, state)| *state == AddressState::Duplicate).map(|(ip, _)| *ip);
        Ok(Self {
            duplicates: duplicates.collect(),
            addresses: states.iter().map(|(address, _)| *address).collect(),
            routes: kernel.routes(at)?,
        })
    }

    /// How the link differs from what a result tells of it, a sentence for each address and route:
    /// none when all is as the result has it. What the result does not tell, as versions before
    /// 1.1.0 cannot tell a route's MTU, is not compared.
    pub fn differences(&self, ifname: &LinkName, result: &CniResult) -> Vec<String> {
        let result = about(ifname, result);
        let of_addresses = addresses(&result).into_iter().filter_map(|address| {
            if !self.addresses.contains(&address) {
                Some(format!("address {address} is gone"))
            } else if self.duplicates.contains(&address) {
                Some(format!("address {address} is not used, since another host has it"))
            } else {
                None
            }
        });
        of_addresses.chain(routes(&result).iter().filter_map(|r| self.difference(r))).collect()
    }

    /// How the route that is most like the wanted one differs from it.
    fn difference(&self, wanted: &Route) -> Option<String> {
        let near = self.routes.iter().filter_map(|shown| wanted.mismatches(shown));
        let Some(unlike) = near.min_by_key(Vec::len) else {
            return Some(format!("route {wanted} is gone"));
        };
        let told: Vec<String> =
            unlike.iter().map(|(wanted, is)| format!("{is}, not {wanted}")).collect();
        (!told.is_empty()).then(|| format!("route {wanted} has {}", told.join(" and ")))
    }
}

/// The part of a result that is about a link of the pod: that of a chain may tell of others too.
///
/// A result does not say which link a route leaves through. Where others have addresses as well, it
/// is taken to be the one in whose subnet the gateway is; routes of which that cannot be said are
/// left out.
fn about(ifname: &LinkName, result: &CniResult) -> CniResult {
    let is_ours = |number: Option<usize>| {
        // An IPAM plugin's own result has no interfaces.
        let interface = number.and_then(|number| result.interfaces.get(number));
        interface.is_none_or(|it| it.name == *ifname && it.sandbox.is_some())
    };
    let (ours, others): (Vec<_>, Vec<_>) =
        result.ips.iter().cloned().partition(|ip| is_ours(ip.interface));
    let mut routes = result.routes.clone();
    if ours.is_empty() {
        routes.clear();
    }
    if !others.is_empty() {
        routes.retain_mut(|route| {
            route.gw = gateway(&result.ips, route);
            route.gw.is_some_and(|gw| ours.iter().any(|ip| ip.address.contains(&gw)))
        });
    }
    CniResult { ips: ours, routes, ..CniResult::default() }
}

#[cfg(test)]
mod tests {
    use podbond_cni::{Interface, IpConfig, Route as CniRoute};

    use super::*;
    use crate::meaning::tests::{ip, route};

    /// What a link has that is as a result tells it.
    fn as_told(result: &CniResult) -> Found {
        Found { addresses: addresses(result), routes: routes(result), ..Found::default() }
    }

    fn two_of_each() -> CniResult {
        CniResult {
            ips: vec![ip("10.0.0.2/24", Some("10.0.0.1")), ip("10.0.1.2/24", None)],
            routes: vec![route("0.0.0.0/0", None), route("10.9.0.0/16", None)],
            ..CniResult::default()
        }
    }

    #[test]
    fn what_is_there_does_not_differ_and_what_is_gone_is_told() {
        let (result, ifname) = (two_of_each(), "net3".parse().unwrap());
        let mut found = as_told(&result);
        found.routes[0].scope = Some(0);
        // Where a plugin that follows in a chain has moved it.
        found.routes[1].table = Some(100);
        assert_eq!(found.differences(&ifname, &result), [""; 0]);
        found.addresses.remove(1);
        found.routes.remove(0);
        assert_eq!(
            found.differences(&ifname, &result),
            ["address 10.0.1.2/24 is gone", "route 0.0.0.0/0 via 10.0.0.1 is gone"]
        );
        assert_eq!(Found::default().differences(&ifname, &result).len(), 4);
    }

    #[test]
    fn a_duplicate_and_a_changed_route_are_told() {
        let (mut result, ifname) = (two_of_each(), "net3".parse().unwrap());
        let mut found = as_told(&result);
        found.duplicates = vec!["10.0.1.2/24".parse().unwrap()];
        found.routes[1].mtu = Some(1500);
        result.routes[1] = CniRoute { mtu: Some(1400), ..result.routes[1].clone() };
        assert_eq!(
            found.differences(&ifname, &result),
            [
                "address 10.0.1.2/24 is not used, since another host has it",
                "route 10.9.0.0/16 via 10.0.0.1 mtu 1400 has mtu 1500, not mtu 1400",
            ]
        );
    }

    #[test]
    fn what_a_result_tells_of_other_links_is_not_compared() {
        let interface = |name: &str| Interface {
            name: name.parse().unwrap(),
            mac: None,
            mtu: None,
            sandbox: Some("/run/netns/p1".to_owned()),
            socket_path: None,
            pci_id: None,
        };
        let of = |number, address, gateway| IpConfig {
            interface: Some(number),
            ..ip(address, Some(gateway))
        };
        let result = CniResult {
            interfaces: vec![interface("net1"), interface("net3")],
            ips: vec![of(0, "10.0.0.2/24", "10.0.0.1"), of(1, "10.0.1.2/24", "10.0.1.1")],
            routes: vec![
                route("0.0.0.0/0", None),
                route("10.9.0.0/16", Some("10.0.1.9")),
                route("10.8.0.0/16", Some("192.0.2.1")),
            ],
            ..CniResult::default()
        };
        let told = |ifname: &str| Found::default().differences(&ifname.parse().unwrap(), &result);
        assert_eq!(
            told("net3"),
            ["address 10.0.1.2/24 is gone", "route 10.9.0.0/16 via 10.0.1.9 is gone"]
        );
        assert_eq!(
            told("net1"),
            ["address 10.0.0.2/24 is gone", "route 0.0.0.0/0 via 10.0.0.1 is gone"]
        );
        assert_eq!(told("net9"), [""; 0]);
    }
}
