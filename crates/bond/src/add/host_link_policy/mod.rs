//! Which links of the node a bond may take: the administrator's rules, and what the kernel shows of
//! them.

mod glob;
mod policy;
mod rules;

use std::path::Path;

use podbond_kernel::{Kernel, LinkRef, Netns};
use podbond_names::LinkName;
use podbond_state::settings::PATH;

use self::policy::{HostLink, Upper, refusals};
pub(crate) use self::rules::Rules;
use crate::error::Error;

/// Refuses links of the node that the administrator's rules keep from bonds, each with its reason.
/// Names that no link has are left to the plan.
pub(crate) fn refuse(kernel: &mut Kernel, names: &[LinkName]) -> Result<(), Error> {
    let rules = Rules::read(Path::new(PATH))?;
    let mut links = Vec::new();
    for name in names {
        links.extend(host_link(kernel, name)?);
    }
    let refusals = refusals(&rules, &links);
    if refusals.is_empty() { Ok(()) } else { Err(Error::HostLinks { refusals }) }
}

fn host_link(kernel: &mut Kernel, name: &LinkName) -> Result<Option<HostLink>, Error> {
    let at = LinkRef::host(name.clone());
    let Some(link) = kernel.link(&at)? else { return Ok(None) };
    let master = match link.master {
        Some(index) => kernel.link_by_index(Netns::Host, index)?.map(|master| master.name),
        None => None,
    };
    Ok(Some(HostLink {
        name: name.clone(),
        driver: kernel.sysfs().driver_of(name)?.or(link.kind),
        pci: link.parent,
        addresses: kernel.addresses(&at)?,
        routes: kernel.routes(&at)?,
        master,
        uppers: uppers(kernel, name)?,
    }))
}

/// Returns all that is on top of a link, the nearest first.
fn uppers(kernel: &mut Kernel, name: &LinkName) -> Result<Vec<Upper>, Error> {
    let mut names = kernel.sysfs().uppers_of(name)?;
    let mut seen = 0;
    while let Some(next) = names.get(seen) {
        let further = kernel.sysfs().uppers_of(next)?;
        seen += 1;
        for name in further {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let mut uppers = Vec::new();
    for name in names {
        let routes = kernel.routes(&LinkRef::host(name.clone()))?;
        uppers.push(Upper { name, routes });
    }
    Ok(uppers)
}
