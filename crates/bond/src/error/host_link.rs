//! Why a bond may not take a link of the node, and what the administrator writes to allow it.

use std::fmt;

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
    /// Who has the PF rules over all its VFs, also those of other pods. No rule allows it.
    #[error(
        "links: {name} is a link of a PF with {num_vfs} VFs, and no bond may take it: name another link, \
         or remove the VFs first (sriov_numvfs)"
    )]
    HasVfs {
        /// The link.
        name: LinkName,
        /// How many VFs the function behind it has.
        num_vfs: u16,
    },
    /// It is for pods that ask for its resource. No rule allows it.
    #[error(
        "links: {name} is a VF that SriovNetworkNodePolicy {policy} gives to pods, and no bond may take \
         it from the node: give the pod a network of its resource before the bond's and set \
         linksInContainer to true, or name a link that is in no policy"
    )]
    OfPolicy {
        /// The link.
        name: LinkName,
        /// The policy, `namespace/name`.
        policy: String,
    },
    /// A pod has it, or is about to. No rule allows it.
    #[error(
        "links: {name} is a VF that is held by {holder}, and no bond may take it: name another link, or \
         delete that pod first"
    )]
    Held {
        /// The link.
        name: LinkName,
        /// Its holder, for people.
        holder: String,
    },
    /// The administrator allows no links, or others.
    #[error(
        "links: {name} ({}) is a link of the node that its administrator does not allow bonds to take",
        described(driver.as_deref(), *pci)
    )]
    NotAllowed {
        /// The link.
        name: LinkName,
        /// The driver, as patterns see it.
        driver: Option<String>,
        /// The PCI address, as patterns see it.
        pci: Option<PciAddress>,
    },
}

impl Refusal {
    /// Returns whether the administrator may allow the link.
    pub(crate) fn may_be_allowed(&self) -> bool {
        matches!(self, Self::NotAllowed { .. })
    }
}

/// What the administrator writes to allow all links that may be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowLine {
    /// The line of `[host-links]`.
    pub(crate) line: String,
    /// Whether the file has `[host-links]` now.
    pub(crate) is_there: bool,
}

impl fmt::Display for AllowLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.is_there { "in the place of what is there, " } else { "" };
        let Self { line, .. } = self;
        write!(
            f,
            "name other links, or have the node's administrator write in {PATH} below [host-links], \
             {place}this line: {line}"
        )
    }
}

fn described(driver: Option<&str>, pci: Option<PciAddress>) -> String {
    let pci = pci.map_or_else(|| "no PCI address".to_owned(), |pci| format!("PCI address {pci}"));
    format!("{}, {pci}", driver.map_or("no driver".to_owned(), |driver| format!("driver {driver}")))
}
