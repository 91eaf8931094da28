//! Reads the ports of a bond, their VFs and PFs and the other bonds of the node, and plans ADD.

use podbond_cni::{Attachment, Request};
use podbond_kernel::{At, BondMode, Kernel, LinkState, Netns, Sysfs, View};
use podbond_names::{LinkName, PciAddress};
use podbond_record::Records;

use crate::add::plan::{Plan, plan};
use crate::config::{Config, LinksAre};
use crate::error::Error;
use crate::findings::{OtherBond, Surroundings, observe_surroundings};
use crate::pod_links::read_pod_links;
use crate::record::BondRecord;

/// The plan for what the kernel shows now, and what is to be recorded of it.
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    pub(crate) bond: BondRecord,
}

/// Reads what a plan needs of the kernel, and plans.
pub(crate) fn observe_and_plan(
    kernel: &mut Kernel,
    config: &Config,
    request: &Request,
    records: &Records,
) -> Result<Prepared, Error> {
    let attachment = request.attachment();
    let mut view = observe(kernel, config, &request.ifname)?;
    if config.links_are == LinksAre::OnHost {
        count_as_up(&mut view, &config.ports, records, &attachment);
    }
    let around = surroundings(kernel, config, records, Some(&attachment), &mut view)?;
    let plan = plan(config, &request.ifname, &view, &around)?;
    let bond = BondRecord::of(plan.steps.clone(), config, &view, |function| {
        may_have_several_links(kernel.sysfs(), function)
    })?;
    Ok(Prepared { plan, bond })
}

/// Returns what stands below and beside a bond: its ports' VFs and their PFs' links are added to the
/// view, the other 802.3ad bonds of the node come from the records of all attachments but `own`.
pub(crate) fn surroundings(
    kernel: &mut Kernel,
    config: &Config,
    records: &Records,
    own: Option<&Attachment>,
    view: &mut View,
) -> Result<Surroundings, Error> {
    let bonds = match config.options.mode {
        BondMode::Lacp => other_bonds(kernel.sysfs(), records, own)?,
        _ => Vec::new(),
    };
    observe_surroundings(kernel, config, bonds, view)
}

/// Returns the bonds of other attachments whose namespace may be alive.
fn other_bonds(
    sysfs: &Sysfs,
    records: &Records,
    own: Option<&Attachment>,
) -> Result<Vec<OtherBond>, Error> {
    let (all, _) = records.all()?;
    let mut bonds = Vec::new();
    for record in all.iter().filter(|record| own != Some(&record.attachment())) {
        let Some(bond) = BondRecord::read(record).filter(|_| !record.is_orphan()) else { continue };
        let Some(mode) = bond.mode() else { continue };
        let mut pfs = Vec::new();
        for function in bond.ports.iter().filter_map(|port| port.function) {
            pfs.push(sysfs.pf_of(function)?.unwrap_or(function));
        }
        bonds.push(OtherBond { name: record.to_string(), mode, pfs });
    }
    Ok(bonds)
}

/// Counts those of the node's links as up that the bond of another pod has brought down, whose namespace
/// went away before a DEL could bring them up: that is for this bond's DEL then, as the other's finds
/// them no more.
pub(crate) fn count_as_up(
    view: &mut View,
    ports: &[LinkName],
    records: &Records,
    own: &Attachment,
) {
    let mut down = view
        .host
        .iter_mut()
        .filter(|link| link.state == LinkState::Down && ports.contains(&link.name))
        .peekable();
    if down.peek().is_none() {
        return;
    }
    // What cannot be read tells of no link.
    let (all, _) = records.all().unwrap_or_default();
    let orphans: Vec<BondRecord> = all
        .iter()
        .filter(|record| record.attachment() != *own && record.is_orphan())
        .filter_map(BondRecord::read)
        .collect();
    for link in down {
        if orphans.iter().any(|bond| bond.was_up_on_host(link)) {
            link.state = LinkState::Up;
        }
    }
}

/// Returns whether a function has several links at times, of which some may be in pods at this moment:
/// a PF has representors in switchdev mode, and cards have one function for several ports.
fn may_have_several_links(sysfs: &Sysfs, function: PciAddress) -> podbond_kernel::Result<bool> {
    let is_pf = sysfs.attribute(function, "sriov_totalvfs")?.is_some();
    Ok(is_pf || sysfs.links_of(function)?.len() > 1)
}

/// Returns what [`plan`] needs of the bond and its ports, and no more.
fn observe(kernel: &mut Kernel, config: &Config, ifname: &LinkName) -> Result<View, Error> {
    let mut view = View::default();
    read_pod_links(kernel, config.interfaces(ifname), &mut view)?;
    read_pod_links(kernel, config.ports.iter().cloned(), &mut view)?;
    if config.links_are == LinksAre::OnHost {
        for name in &config.ports {
            view.host.extend(kernel.link(&At::host(name.clone()))?);
        }
    }
    let netns = config.links_are.netns();
    let masters: Vec<u32> =
        config.ports.iter().filter_map(|name| view.link(netns, name)?.master).collect();
    for index in masters {
        let master = kernel.link_by_index(netns, index)?;
        match netns {
            Netns::Host => view.host.extend(master),
            Netns::Pod => view.pod.extend(master),
        }
    }
    Ok(view)
}
