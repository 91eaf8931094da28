//! `podbond doctor`: the node's kernel, its cards, every bond of every pod, and what is wrong with them.
//! Nothing is changed.

mod bonds;
mod text;

use std::fmt;

use podbond_bond::{Finding, Object, Reason, Severity};
use podbond_inventory::{Holders, Inventory, Occupant, Pf};
use podbond_kernel::{Kernel, Link, LinkState, Module, Netns, Speed, View, release};
use podbond_names::{LinkName, PciAddress};
use serde::Serialize;

use self::bonds::BondReport;
use super::links::name_at;
use crate::arguments::{DoctorArgs, Output, Selection};
use crate::error::Error;
use crate::node::{Node, PendingLease, Pod, Pods, unreadable_files};
use crate::output::{say, say_json};

/// Shows what the node has and what is wrong with it.
pub(crate) fn doctor(node: &Node<'_>, args: &DoctorArgs) -> Result<(), Error> {
    let report = Report::read(node)?;
    match args.output {
        Output::Json => say_json(&report),
        Output::Text => report.lines().iter().for_each(say),
    }
    if report.count(Severity::Error) == 0 { Ok(()) } else { Err(Error::Unwell) }
}

/// What the node has, and what is wrong with it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    kernel: KernelReport,
    pfs: Vec<PfReport>,
    vfs: Vec<VfReport>,
    bonds: Vec<BondReport>,
    /// The leases that are pending at IPAM plugins.
    pending_leases: Vec<PendingLease>,
    findings: Vec<Located>,
}

#[derive(Serialize)]
struct KernelReport {
    release: String,
    bonding: Module,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PfReport {
    pci: PciAddress,
    /// Its link; none where it has none on the node.
    link: Option<LinkName>,
    driver: Option<String>,
    state: Option<LinkState>,
    carrier: bool,
    speed: Option<Speed>,
    /// The bond or bridge of the node that it is a port of.
    master: Option<LinkName>,
    vfs: u16,
    vfs_at_most: u16,
    vfs_free: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VfReport {
    pci: PciAddress,
    pf: String,
    index: u16,
    driver: Option<String>,
    /// Its holder; none while it is free.
    held_by: Option<String>,
}

/// A finding with the bond that it is about.
#[derive(Serialize)]
struct Located {
    /// None for a finding about the node.
    #[serde(flatten)]
    place: Option<Place>,
    #[serde(flatten)]
    finding: Finding,
}

/// A bond of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Place {
    /// The pod's name, or the path of its network namespace where it has none.
    pod: String,
    /// The bond's name in the pod.
    bond: LinkName,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pod, self.bond)
    }
}

impl From<Finding> for Located {
    fn from(finding: Finding) -> Self {
        Self { place: None, finding }
    }
}

impl Report {
    /// Reads the node. A pod that cannot be read is named on standard error.
    fn read(node: &Node<'_>) -> Result<Self, Error> {
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
        let Pods { pods, unreadable } = Pods::read(node, &Selection::All)?;
        let pending_leases = PendingLease::of_all(&pods);
        let view = View { host: links, ..View::default() };
        let (bonds, bond_findings) = bonds::read(&pods, &holders, &view);

        let mut findings: Vec<Located> = bonding_finding(&kernel_report).into_iter().collect();
        findings.extend(gone_pod_findings(&pods));
        findings.extend(unknown_holder_findings(&holders));
        findings.extend(bond_findings);
        findings.extend(unreadable_files(node, &unreadable).into_iter().map(Located::from));
        findings.extend(pending_leases.iter().map(|lease| lease.finding().into()));
        findings.sort_by_key(|located| std::cmp::Reverse(located.finding.severity));
        let vfs = vf_reports(&inventory, &holders);
        Ok(Self { kernel: kernel_report, pfs, vfs, bonds, pending_leases, findings })
    }

    /// Returns how many findings have this severity.
    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|located| located.finding.severity == severity).count()
    }
}

/// Returns a finding if the kernel has no bonding driver loaded.
fn bonding_finding(kernel: &KernelReport) -> Option<Located> {
    let reason = match kernel.bonding {
        Module::BuiltIn | Module::Loaded | Module::Unknown => return None,
        Module::Loadable => Reason::BondingNotLoaded,
        Module::Missing => Reason::BondingMissing { release: kernel.release.clone() },
    };
    Some(Finding::new(Object::Kernel, reason).into())
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
        master: link.and_then(|link| name_at(link.master, links)),
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
    unknown
        .map(|(vf, _)| Finding::new(Object::Vf(vf.to_string()), Reason::HeldByUnknown).into())
        .collect()
}

/// Returns a finding for each pod that is recorded and whose network namespace is gone.
fn gone_pod_findings(pods: &[Pod]) -> Vec<Located> {
    let gone = pods.iter().filter(|pod| pod.netns.is_none() && !pod.is_over());
    gone.map(|pod| Finding::new(Object::Pod(pod.name.clone()), Reason::PodGone).into()).collect()
}
