//! Decides which links of the node a bond may take. Pure.

use ipnet::IpNet;
use podbond_kernel::Route;
use podbond_names::{LinkName, PciAddress};

use super::rules::{Pattern, Rules};
use crate::error::Refusal;

/// A link of the node that a bond is to take, and what hangs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostLink {
    pub(crate) name: LinkName,
    /// The driver of its device; for a link without one its kind, like `dummy`.
    pub(crate) driver: Option<String>,
    pub(crate) pci: Option<PciAddress>,
    pub(crate) addresses: Vec<IpNet>,
    pub(crate) routes: Vec<Route>,
    /// The bond or bridge that it is a port of.
    pub(crate) master: Option<LinkName>,
    /// Every link on top of it, near or far: its master, VLANs, a bond's VLANs, ….
    pub(crate) uppers: Vec<Upper>,
}

/// A link that sends its frames through another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upper {
    pub(crate) name: LinkName,
    pub(crate) routes: Vec<Route>,
}

/// Returns why these links may not be taken, at most one reason for each; none where all may.
pub(crate) fn refusals(rules: &Rules, links: &[HostLink]) -> Vec<Refusal> {
    links.iter().filter_map(|link| refusal(rules, link)).collect()
}

fn refusal(rules: &Rules, link: &HostLink) -> Option<Refusal> {
    let name = link.name.clone();
    if link.routes.iter().any(is_default) {
        return Some(Refusal::DefaultRoute { name, through: None });
    }
    if let Some(upper) = link.uppers.iter().find(|upper| upper.routes.iter().any(is_default)) {
        return Some(Refusal::DefaultRoute { name, through: Some(upper.name.clone()) });
    }
    if let Some(master) = link.master.clone() {
        return Some(Refusal::Master { name, master });
    }
    match rules {
        Rules::Listed(patterns) => {
            let listed = patterns.iter().any(|pattern| pattern.describes(link));
            let (driver, pci) = (link.driver.clone(), link.pci);
            (!listed).then_some(Refusal::Unlisted { name, driver, pci })
        }
        Rules::Unused => {
            let is_ours = |net: &&IpNet| !is_link_local(net);
            if let Some(&address) = link.addresses.iter().find(is_ours) {
                Some(Refusal::Address { name, address })
            } else if let Some(route) = link.routes.iter().find(|r| !is_link_local(&r.destination))
            {
                Some(Refusal::Route { name, route: route.clone() })
            } else {
                let upper = link.uppers.first()?.name.clone();
                Some(Refusal::Upper { name, upper })
            }
        }
    }
}

impl Pattern {
    fn describes(&self, link: &HostLink) -> bool {
        let pci = link.pci.map(|pci| pci.to_string());
        let pairs = [
            (&self.name, Some(link.name.as_str())),
            (&self.driver, link.driver.as_deref()),
            (&self.pci, pci.as_deref()),
        ];
        pairs.into_iter().all(|(glob, text)| match (glob, text) {
            (Some(glob), Some(text)) => glob.matches(text),
            (Some(_), None) => false,
            (None, _) => true,
        })
    }
}

/// Returns whether it is a default route, of any table: a node of several networks has one in each
/// network's table.
fn is_default(route: &Route) -> bool {
    route.destination.prefix_len() == 0
}

/// `fe80::/10`: the kernel gives each link that is up such an address, and the route to it. IPv4's
/// 169.254.0.0/16 is given by somebody, to be used.
fn is_link_local(net: &IpNet) -> bool {
    matches!(net, IpNet::V6(net) if net.addr().is_unicast_link_local())
}

#[cfg(test)]
mod tests;
