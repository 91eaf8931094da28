//! The whole node, looked at: its kernel, its cards, every bond that it can reach, and what is
//! wrong with them. Nothing is changed.

mod bonds;
mod text;

use std::fmt;

use podbond_bond::{Finding, Object, Reason, Severity};
use podbond_inventory::{Holders, Inventory, Occupant, Pf};
use podbond_kernel::{Kernel, Link, LinkState, Module, Netns, Speed, View, release};
use podbond_names::{LinkName, PciAddress};
use serde::Serialize;

use crate::error::Error;
use crate::node::Node;
use crate::pending::PendingLease;
use crate::pods::Pods;
use crate::unreadable;

pub(crate) use bonds::BondReport;

/// What there is, and what is wrong with it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    kernel: KernelReport,
    pfs: Vec<PfReport>,
    vfs: Vec<VfReport>,
    bonds: Vec<BondReport>,
    /// Leases that IPAM plugins have not taken back.
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
    link: Option<String>,
    driver: Option<String>,
    state: Option<LinkState>,
    carrier: bool,
    speed: Option<Speed>,
    /// The bond or bridge of the node that it is a port of.
    master: Option<String>,
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
    /// Who has it; none while it is free.
    held_by: Option<String>,
}

/// A finding, and which bond it is about.
#[derive(Serialize)]
struct Located {
    /// The bond; none of what concerns the node.
    #[serde(flatten)]
    place: Option<Place>,
    #[serde(flatten)]
    finding: Finding,
}

/// A bond of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Place {
    /// The pod's name, or its namespace's path where that is all that is known.
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
    /// Looks at everything. What cannot be looked at is told beside the answer.
    pub(crate) fn make(node: &Node<'_>) -> Result<Self, Error> {
        let mut kernel = Kernel::host()?;
        let links = kernel.links(Netns::Host)?;
        let inventory = Inventory::read(kernel.sysfs())?;
        let holders = node.holdings.holders(&inventory)?;
        let mut findings = Vec::new();

        let bonding = Module::find("bonding", &release(), "/".as_ref());
        let kernel_report = KernelReport { release: release(), bonding };
        findings.extend(about_bonding(&kernel_report));
        let mut pfs = Vec::new();
        for pf in &inventory.pfs {
            pfs.push(about_pf(&kernel, pf, &links, &holders)?);
        }
        let vfs = about_vfs(&inventory, &holders);

        let Pods { pods, unreadable } = Pods::of(node)?;
        let gone = pods.iter().filter(|pod| pod.netns.is_none());
        findings.extend(gone.map(|pod| {
            Located::from(Finding::new(Object::Pod(pod.name.clone()), Reason::PodGone))
        }));
        findings.extend(about_holders(&holders));
        let view = View { host: links, ..View::default() };
        let (bonds, of_bonds) = bonds::look(&pods, &holders, &view);
        findings.extend(of_bonds);
        findings.extend(unreadable::findings(node, &unreadable).into_iter().map(Located::from));
        let pending_leases: Vec<PendingLease> =
            pods.iter().flat_map(|pod| &pod.records).filter_map(PendingLease::of).collect();
        findings.extend(pending_leases.iter().map(|lease| lease.finding().into()));
        findings.sort_by_key(|located| std::cmp::Reverse(located.finding.severity));
        Ok(Self { kernel: kernel_report, pfs, vfs, bonds, pending_leases, findings })
    }

    /// How many findings are errors.
    pub(crate) fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|located| located.finding.severity == severity).count()
    }
}

fn about_bonding(kernel: &KernelReport) -> Option<Located> {
    let reason = match kernel.bonding {
        Module::BuiltIn | Module::Loaded | Module::Unknown => return None,
        Module::Loadable => Reason::BondingNotLoaded,
        Module::Missing => Reason::BondingMissing { release: kernel.release.clone() },
    };
    Some(Finding::new(Object::Kernel, reason).into())
}

fn about_pf(
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
    let master = link.and_then(|link| link.master);
    let master = links.iter().find(|link| Some(link.index) == master);
    Ok(PfReport {
        pci: pf.pci,
        link: name.map(ToString::to_string),
        driver: pf.driver.clone(),
        state: link.map(|link| link.state),
        carrier: link.is_some_and(|link| link.carrier),
        speed,
        master: master.map(|master| master.name.to_string()),
        vfs: pf.num_vfs,
        vfs_at_most: pf.total_vfs,
        vfs_free: pf.vfs.iter().filter(|vf| holders.of(vf.pci).is_none()).count(),
    })
}

fn about_vfs(inventory: &Inventory, holders: &Holders) -> Vec<VfReport> {
    let all = inventory.pfs.iter().flat_map(|pf| pf.vfs.iter().map(move |vf| (pf, vf)));
    let report = |(pf, vf): (&Pf, &podbond_inventory::Vf)| VfReport {
        pci: vf.pci,
        pf: pf.label(),
        index: vf.index,
        driver: vf.driver.clone(),
        held_by: holders.of(vf.pci).map(ToString::to_string),
    };
    all.map(report).collect()
}

/// Returns a finding for each VF that is away and recorded nowhere.
fn about_holders(holders: &Holders) -> Vec<Located> {
    let unknown = holders.iter().filter(|(_, occupant)| **occupant == Occupant::Unknown);
    unknown
        .map(|(vf, _)| Finding::new(Object::Vf(vf.to_string()), Reason::HeldByUnknown).into())
        .collect()
}
