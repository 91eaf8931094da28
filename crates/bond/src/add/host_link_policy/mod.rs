//! Which links of the node a bond may take: the administrator's rules, and what the kernel shows of
//! them.

mod functions;
mod glob;
mod policy;
mod rules;
mod running;

use std::path::Path;

use podbond_cni::Attachment;
use podbond_kernel::{Kernel, Link, LinkRef, Netns};
use podbond_names::LinkName;
use podbond_state::settings::PATH;

pub use self::functions::{Functions, VfOwner};
use self::policy::{HostLink, Upper, refuse_links};
pub(crate) use self::rules::Rules;
pub use self::running::{HostLinksTaken, host_link_findings};
use crate::config::{Config, LinksAre};
use crate::error::Error;

/// Refuses a bond over links of the node that it may not take, each with its reason: NADs are written by
/// tenants, and a link on which the node depends is not theirs. `foreseen` are links that the node does not
/// have yet; names that no link has are left to the plan.
pub fn refuse_host_links(
    kernel: &mut Kernel,
    config: &Config,
    functions: &dyn Functions,
    own: Option<&Attachment>,
    foreseen: &[Link],
) -> Result<(), Error> {
    if config.links_are == LinksAre::InPod {
        return Ok(());
    }
    let rules = Rules::read(Path::new(PATH))?;
    let mut links = Vec::new();
    for name in &config.ports {
        let link = match kernel.link(&LinkRef::host(name.clone()))? {
            Some(link) => Some(observe(kernel, link)?),
            None => foreseen.iter().find(|link| link.name == *name).map(HostLink::of),
        };
        let Some(mut link) = link else { continue };
        link.ask(kernel, functions, own)?;
        links.push(link);
    }
    refuse_links(&rules, &links)
}

fn observe(kernel: &mut Kernel, link: Link) -> Result<HostLink, Error> {
    let at = LinkRef::host(link.name.clone());
    let master = match link.master {
        Some(index) => kernel.link_by_index(Netns::Host, index)?.map(|master| master.name),
        None => None,
    };
    // Kernels before 5.14 do not show it with the link.
    let pci = match link.parent {
        Some(pci) => Some(pci),
        None => kernel.sysfs().function_of(&link.name)?,
    };
    Ok(HostLink {
        driver: kernel.sysfs().driver_of(&link.name)?.or(link.kind),
        pci,
        routes: kernel.routes(&at)?,
        master,
        uppers: uppers(kernel, &link.name)?,
        num_vfs: 0,
        owner: None,
        name: link.name,
    })
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

impl HostLink {
    /// Returns what a link shows by itself.
    fn of(link: &Link) -> Self {
        Self {
            name: link.name.clone(),
            driver: link.kind.clone(),
            pci: link.parent,
            routes: Vec::new(),
            master: None,
            uppers: Vec::new(),
            num_vfs: 0,
            owner: None,
        }
    }

    /// Asks what is known of its function, if it has one.
    fn ask(
        &mut self,
        kernel: &Kernel,
        functions: &dyn Functions,
        own: Option<&Attachment>,
    ) -> Result<(), Error> {
        if let Some(pci) = self.pci {
            self.num_vfs = functions.num_vfs(kernel.sysfs(), pci)?;
            self.owner = functions.owner(kernel.sysfs(), pci, own)?;
        }
        Ok(())
    }
}
