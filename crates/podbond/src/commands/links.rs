//! What `status` and `doctor` show of links: the PCI function behind one, its ports, its master.

use podbond_kernel::{Kernel, Link, Netns, Sysfs};
use podbond_names::{LinkName, PciAddress};
use serde::Serialize;

/// The PCI function behind a link.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Function {
    pub(super) pci: PciAddress,
    /// The PF's link; none where the function is no VF, or its PF has no link on the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pf: Option<LinkName>,
    /// The VF's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vf: Option<u16>,
}

impl Function {
    /// Returns the function behind a link; none of a link without hardware.
    pub(super) fn of(link: &Link, sysfs: &Sysfs) -> podbond_kernel::Result<Option<Self>> {
        let Some(pci) = link.parent else { return Ok(None) };
        Ok(Some(match sysfs.pf_of(pci)? {
            Some(pf) => Self { pci, pf: sysfs.link_of(pf)?, vf: sysfs.vf_index(pf, pci)? },
            None => Self { pci, pf: None, vf: None },
        }))
    }

    /// Returns the cells PF and VF of a table.
    pub(super) fn cells(function: Option<&Self>) -> [String; 2] {
        let pf = function.and_then(|function| function.pf.as_ref()).map(ToString::to_string);
        let vf = function.and_then(|function| function.vf).map(|vf| vf.to_string());
        [pf.unwrap_or_default(), vf.unwrap_or_default()]
    }
}

/// Returns the links of a pod in the order of their names, the kernel's depends on which VF was made last; names
/// that are no text with escapes.
pub(super) fn links_of_pod(kernel: &mut Kernel) -> podbond_kernel::Result<Vec<Link>> {
    let mut links = kernel.shown_links(Netns::Pod)?;
    links.sort_by(|a, b| prefix_and_number(&a.name).cmp(&prefix_and_number(&b.name)));
    Ok(links)
}

fn prefix_and_number(name: &LinkName) -> (&str, u64) {
    let prefix = name.as_str().trim_end_matches(|letter: char| letter.is_ascii_digit());
    (prefix, name.as_str()[prefix.len()..].parse().unwrap_or_default())
}

/// Returns the ports of a bond.
pub(super) fn ports_of<'l>(bond: &Link, links: &'l [Link]) -> impl Iterator<Item = &'l Link> {
    let index = bond.index;
    links.iter().filter(move |link| link.master == Some(index))
}

/// Returns the name of the link with this index.
pub(super) fn name_at(index: Option<u32>, links: &[Link]) -> Option<LinkName> {
    let link = links.iter().find(|link| Some(link.index) == index)?;
    Some(link.name.clone())
}
