//! Decides which links of the node a bond may take. Pure.

use podbond_kernel::Route;
use podbond_names::{LinkName, PciAddress};

use super::functions::VfOwner;
use super::rules::{Pattern, Rules};
use crate::error::{AllowLine, Error, Refusal};

/// A link of the node that a bond is to take, and what hangs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostLink {
    pub(crate) name: LinkName,
    /// The driver of its device; for a link without one its kind, like `dummy`.
    pub(crate) driver: Option<String>,
    pub(crate) pci: Option<PciAddress>,
    pub(crate) routes: Vec<Route>,
    /// The bond or bridge that it is a port of.
    pub(crate) master: Option<LinkName>,
    /// Every link on top of it, near or far: its master, VLANs, a bond's VLANs, ….
    pub(crate) uppers: Vec<Upper>,
    /// How many VFs its function has.
    pub(crate) num_vfs: u16,
    /// Whose it is, where it is a VF.
    pub(crate) owner: Option<VfOwner>,
}

/// A link that sends its frames through another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upper {
    pub(crate) name: LinkName,
    pub(crate) routes: Vec<Route>,
}

/// Refuses links that may not be taken, each with its reason.
pub(crate) fn refuse_links(rules: &Rules, links: &[HostLink]) -> Result<(), Error> {
    refuse_links_of_all(rules, links, &links.iter().collect::<Vec<_>>())
}

/// The same; the line that the error names allows those of `all` that the administrator may allow.
pub(crate) fn refuse_links_of_all(
    rules: &Rules,
    links: &[HostLink],
    all: &[&HostLink],
) -> Result<(), Error> {
    let refusals: Vec<Refusal> = links.iter().filter_map(|link| refusal(rules, link)).collect();
    if refusals.is_empty() {
        return Ok(());
    }
    let allow_line = refusals.iter().any(Refusal::may_be_allowed).then(|| allow_line(rules, all));
    Err(Error::HostLinks { refusals, allow_line })
}

/// Returns the line of the administrator's file that allows all of these links that it may allow.
fn allow_line(rules: &Rules, all: &[&HostLink]) -> AllowLine {
    let mut names: Vec<LinkName> = Vec::new();
    for link in all {
        let may_be = refusal(rules, link).is_some_and(|refusal| refusal.may_be_allowed());
        if may_be && !names.contains(&link.name) {
            names.push(link.name.clone());
        }
    }
    AllowLine { line: rules.line_with(&names), is_there: matches!(rules, Rules::Listed(_)) }
}

fn refusal(rules: &Rules, link: &HostLink) -> Option<Refusal> {
    let (name, pci) = (link.name.clone(), link.pci);
    if link.routes.iter().any(is_default) {
        return Some(Refusal::DefaultRoute { name, through: None });
    }
    if let Some(upper) = link.uppers.iter().find(|upper| upper.routes.iter().any(is_default)) {
        return Some(Refusal::DefaultRoute { name, through: Some(upper.name.clone()) });
    }
    if let Some(master) = link.master.clone() {
        return Some(Refusal::Master { name, master });
    }
    if link.num_vfs > 0 {
        return Some(Refusal::HasVfs { name, num_vfs: link.num_vfs });
    }
    match link.owner.clone() {
        Some(VfOwner::Policy(policy)) => return Some(Refusal::OfPolicy { name, policy }),
        Some(VfOwner::Holder(holder)) => return Some(Refusal::Held { name, holder }),
        None => {}
    }
    let is_listed = match rules {
        Rules::Absent => false,
        Rules::Listed(patterns) => patterns.iter().any(|pattern| pattern.describes(link)),
    };
    (!is_listed).then(|| Refusal::NotAllowed { name, driver: link.driver.clone(), pci })
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

#[cfg(test)]
pub(super) mod tests;
