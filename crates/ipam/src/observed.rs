//! The addresses and routes that a link has, compared with a CNI result, as CHECK does.

use ipnet::IpNet;
use podbond_cni::{CniResult, IpConfig};
use podbond_kernel::{AddressState, Kernel, LinkRef, Route};
use podbond_names::LinkName;

use crate::configure::{addresses, gateway, routes};

/// The addresses and routes that a link has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Its addresses, link-local ones included.
    pub addresses: Vec<IpNet>,
    /// Those that another host has, by the kernel's duplicate address detection.
    pub duplicates: Vec<IpNet>,
    /// The routes that leave through it.
    pub routes: Vec<Route>,
}

impl Observed {
    /// Returns those of a link; none where there is no such link.
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

    /// Returns how the link differs from a result, a sentence for each address and route. What the result
    /// does not have, as a route's MTU before version 1.1.0, is not compared.
    pub fn differences(&self, ifname: &LinkName, result: &CniResult) -> Vec<String> {
        let result = of_link(ifname, result);
        let mut differences = Vec::new();
        for address in addresses(&result) {
            if !self.addresses.contains(&address) {
                differences.push(format!("address {address} is gone"));
            } else if self.duplicates.contains(&address) {
                differences
                    .push(format!("address {address} is not used, since another host has it"));
            }
        }
        differences.extend(routes(&result).iter().filter_map(|route| self.difference(route)));
        differences
    }

    /// Returns how the most similar route differs from the wanted one; none where one is equal.
    fn difference(&self, wanted: &Route) -> Option<String> {
        let candidates = self.routes.iter().filter_map(|shown| wanted.mismatches(shown));
        let Some(mismatches) = candidates.min_by_key(Vec::len) else {
            return Some(format!("route {wanted} is gone"));
        };
        let fields: Vec<String> =
            mismatches.iter().map(|(wanted, is)| format!("{is}, not {wanted}")).collect();
        (!fields.is_empty()).then(|| format!("route {wanted} has {}", fields.join(" and ")))
    }
}

/// Returns the part of a result that is of a link of the pod; the result of a chain may have other links.
///
/// A route of a result names no link. Where other links have addresses, its link is the one in whose subnet
/// its gateway is; routes without such a gateway are dropped.
fn of_link(ifname: &LinkName, result: &CniResult) -> CniResult {
    let (ours, others): (Vec<_>, Vec<_>) =
        result.ips.iter().cloned().partition(|ip| is_of_link(ip, ifname, result));
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

fn is_of_link(ip: &IpConfig, ifname: &LinkName, result: &CniResult) -> bool {
    // An IPAM plugin's own result has no interfaces.
    let interface = ip.interface.and_then(|number| result.interfaces.get(number));
    interface
        .is_none_or(|interface| interface.name == ifname.as_str() && interface.sandbox.is_some())
}

#[cfg(test)]
mod tests {
    use podbond_cni::{Interface, Route as CniRoute};

    use super::*;
    use crate::configure::tests::{ip, route};

    /// Returns what a link has after a result is configured on it.
    fn observed(result: &CniResult) -> Observed {
        Observed { addresses: addresses(result), routes: routes(result), ..Observed::default() }
    }

    fn two_of_each() -> CniResult {
        CniResult {
            ips: vec![ip("10.0.0.2/24", Some("10.0.0.1")), ip("10.0.1.2/24", None)],
            routes: vec![route("0.0.0.0/0", None), route("10.9.0.0/16", None)],
            ..CniResult::default()
        }
    }

    #[test]
    fn missing_address_and_route_differ() {
        let (result, ifname) = (two_of_each(), "net3".parse().unwrap());
        let mut link = observed(&result);
        link.routes[0].scope = Some(0);
        // Where a plugin that follows in a chain has moved it.
        link.routes[1].table = Some(100);
        assert_eq!(link.differences(&ifname, &result), [""; 0]);
        link.addresses.remove(1);
        link.routes.remove(0);
        assert_eq!(
            link.differences(&ifname, &result),
            ["address 10.0.1.2/24 is gone", "route 0.0.0.0/0 via 10.0.0.1 is gone"]
        );
        assert_eq!(Observed::default().differences(&ifname, &result).len(), 4);
    }

    #[test]
    fn duplicate_and_changed_route_differ() {
        let (mut result, ifname) = (two_of_each(), "net3".parse().unwrap());
        let mut link = observed(&result);
        link.duplicates = vec!["10.0.1.2/24".parse().unwrap()];
        link.routes[1].mtu = Some(1500);
        result.routes[1] = CniRoute { mtu: Some(1400), ..result.routes[1].clone() };
        assert_eq!(
            link.differences(&ifname, &result),
            [
                "address 10.0.1.2/24 is not used, since another host has it",
                "route 10.9.0.0/16 via 10.0.0.1 mtu 1400 has mtu 1500, not mtu 1400",
            ]
        );
    }

    #[test]
    fn other_links_of_the_result_are_not_compared() {
        let interface = |name: &str| Interface {
            name: name.to_owned(),
            sandbox: Some("/run/netns/p1".to_owned()),
            ..Interface::default()
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
        let differences =
            |ifname: &str| Observed::default().differences(&ifname.parse().unwrap(), &result);
        assert_eq!(
            differences("net3"),
            ["address 10.0.1.2/24 is gone", "route 10.9.0.0/16 via 10.0.1.9 is gone"]
        );
        assert_eq!(
            differences("net1"),
            ["address 10.0.0.2/24 is gone", "route 0.0.0.0/0 via 10.0.0.1 is gone"]
        );
        assert_eq!(differences("net9"), [""; 0]);
    }
}
