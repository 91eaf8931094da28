//! Reads the node's kernel, PFs, VFs and pods, and finds what is wrong with them.

use podbond_bond::{Finding, Object, kind};
use podbond_inventory::{Holders, Inventory, Occupant, Pf};
use podbond_kernel::{Kernel, Link, Module, Netns, View, release};

use super::bonds;
use super::report::{KernelReport, Located, PfReport, Report, VfReport};
use crate::arguments::Selection;
use crate::error::Error;
use crate::node::{Node, PendingLease, Pod, read_pods, unreadable_files};

/// Reads the node. A pod that cannot be read is named on standard error.
pub(super) fn read(node: &Node<'_>) -> Result<Report, Error> {
    let mut kernel = Kernel::host()?;
    let links = kernel.links(Netns::Host)?;
    let inventory = Inventory::read(kernel.sysfs())?;
    let holders = node.holdings.holders(&inventory)?;
    let bonding = Module::find("bonding", &release(), "/".as_ref());
    let kernel_report = KernelReport { release: release(), bonding };
    let mut pfs = Vec::new();
    for pf in &inventory.pfs {
        pfs.push(pf_report(&kernel, pf, &links, &holders)?);
    }
    let (pods, unreadable) = read_pods(node, &Selection::All)?;
    let pending_leases = PendingLease::of_all(&pods);
    let view = View { host: links, ..View::default() };
    let (bonds, bond_findings) = bonds::read(&pods, &holders, &view, kernel.sysfs())?;

    let mut findings: Vec<Located> = bonding_finding(&kernel_report).into_iter().collect();
    findings.extend(gone_pod_findings(&pods));
    findings.extend(unknown_holder_findings(&holders));
    findings.extend(bond_findings);
    findings.extend(unreadable_files(node, unreadable).into_iter().map(Located::from));
    findings.extend(pending_leases.iter().map(|lease| lease.finding().into()));
    findings.sort_by_key(|located| std::cmp::Reverse(located.finding.severity));
    let vfs = vf_reports(&inventory, &holders);
    Ok(Report { kernel: kernel_report, pfs, vfs, bonds, pending_leases, findings })
}

/// Returns a finding if the kernel has no bonding driver loaded.
fn bonding_finding(kernel: &KernelReport) -> Option<Located> {
    let (kind, reason) = match kernel.bonding {
        Module::BuiltIn | Module::Loaded | Module::Unknown => return None,
        Module::Loadable => (
            &kind::BONDING_NOT_LOADED,
            "the bonding module is not loaded; the first bond loads it".to_owned(),
        ),
        Module::Missing => (
            &kind::BONDING_MISSING,
            format!("{} has no bonding driver, neither built in nor as a module", kernel.release),
        ),
    };
    Some(Finding::new(kind, Object::Kernel, reason).into())
}

fn pf_report(
    kernel: &Kernel,
    pf: &Pf,
    links: &[Link],
    holders: &Holders,
) -> Result<PfReport, Error> {
    let name = pf.link.as_ref().map(|link| &link.name);
    let link = links.iter().find(|link| Some(&link.name) == name);
    let speed = match name {
        Some(name) => kernel.sysfs().speed_of(name)?,
        None => None,
    };
    Ok(PfReport {
        pci: pf.pci,
        link: name.cloned(),
        driver: pf.driver.clone(),
        state: link.map(|link| link.state),
        carrier: link.is_some_and(|link| link.carrier),
        speed,
        master: link.and_then(|link| Link::name_at(link.master, links)),
        vfs: pf.num_vfs,
        vfs_at_most: pf.total_vfs,
        vfs_free: pf.vfs.iter().filter(|vf| holders.of(vf.pci).is_none()).count(),
    })
}

fn vf_reports(inventory: &Inventory, holders: &Holders) -> Vec<VfReport> {
    let mut reports = Vec::new();
    for pf in &inventory.pfs {
        reports.extend(pf.vfs.iter().map(|vf| VfReport {
            pci: vf.pci,
            pf: pf.label(),
            index: vf.index,
            driver: vf.driver.clone(),
            held_by: holders.of(vf.pci).map(ToString::to_string),
        }));
    }
    reports
}

/// Returns a finding for each VF whose link is in a network namespace that no record names.
fn unknown_holder_findings(holders: &Holders) -> Vec<Located> {
    let unknown = holders.iter().filter(|(_, occupant)| **occupant == Occupant::Unknown);
    let reason = "its link is in a namespace that no record tells of";
    unknown
        .map(|(vf, _)| Object::Vf(vf.to_string()))
        .map(|vf| Finding::new(&kind::HELD_BY_UNKNOWN, vf, reason).into())
        .collect()
}

/// Returns a finding for each pod that is recorded and whose network namespace is gone.
fn gone_pod_findings(pods: &[Pod]) -> Vec<Located> {
    let gone = pods.iter().filter(|pod| pod.netns.is_none() && !pod.is_over());
    let reason = "its network namespace is gone, its records are left";
    gone.map(|pod| Object::Pod(pod.name.clone()))
        .map(|pod| Finding::new(&kind::POD_GONE, pod, reason).into())
        .collect()
}
