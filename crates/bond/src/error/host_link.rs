//! Why a bond may not take a link of the node.

use ipnet::IpNet;
use podbond_kernel::Route;
use podbond_names::{LinkName, PciAddress};
use podbond_state::settings::PATH;

/// Why a link of the node is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The node would be cut off. No rule allows it.
    #[error(
        "links: {name} carries the node's default route{}, and no bond may take it: name another \
         link", through.as_ref().map_or_else(String::new, |upper| format!(" through {upper}"))
    )]
    DefaultRoute {
        /// The link.
        name: LinkName,
        /// The link on top of it that has the route, if it has it not itself.
        through: Option<LinkName>,
    },
    /// Something on the node is built from it. No rule allows it, nor would the kernel.
    #[error(
        "links: {name} is a port of the node's {master}, and no bond may take it from there: name \
         another link, or remove it from {master} first"
    )]
    Master {
        /// The link.
        name: LinkName,
        /// The bond or bridge.
        master: LinkName,
    },
    /// The node would lose an address.
    #[error("links: {name} has the address {address} on the node: {}", remedy(name))]
    Address {
        /// The link.
        name: LinkName,
        /// The first of its addresses.
        address: IpNet,
    },
    /// The node would lose a route.
    #[error("links: {name} has the route {route} on the node: {}", remedy(name))]
    Route {
        /// The link.
        name: LinkName,
        /// The first of its routes.
        route: Route,
    },
    /// A VLAN or the like would lose its carrier.
    #[error("links: {name} carries the node's link {upper}: {}", remedy(name))]
    Upper {
        /// The link.
        name: LinkName,
        /// The first link on top of it.
        upper: LinkName,
    },
    /// The administrator allows others.
    #[error(
        "links: {name} ({}) matches no pattern of host-links.allow in {}: name a link that does, or \
         have the node's administrator add {{ name = \"{name}\" }} there",
        described(driver.as_deref(), *pci), PATH
    )]
    Unlisted {
        /// The link.
        name: LinkName,
        /// The driver, as patterns see it.
        driver: Option<String>,
        /// The PCI address, as patterns see it.
        pci: Option<PciAddress>,
    },
}

/// Returns how a link that carries something can be taken all the same.
fn remedy(name: &LinkName) -> String {
    format!(
        "name a link that carries nothing, or have the node's administrator allow this one in {PATH}: \
         below [host-links], allow = [{{ name = \"{name}\" }}]"
    )
}

fn described(driver: Option<&str>, pci: Option<PciAddress>) -> String {
    let pci = pci.map_or_else(|| "no PCI address".to_owned(), |pci| format!("PCI address {pci}"));
    format!("{}, {pci}", driver.map_or("no driver".to_owned(), |driver| format!("driver {driver}")))
}
