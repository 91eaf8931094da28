//! What `podbond doctor` shows: kernel, PFs, VFs, bonds, pending leases and findings.

use std::fmt;

use podbond_bond::{Finding, Severity};
use podbond_kernel::{LinkFunction, LinkState, Module, Speed};
use podbond_names::{LinkName, PciAddress};
use serde::Serialize;

use crate::node::PendingLease;

/// What the node has, and what is wrong with it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) kernel: KernelReport,
    pub(super) pfs: Vec<PfReport>,
    pub(super) vfs: Vec<VfReport>,
    pub(super) bonds: Vec<BondReport>,
    /// The leases that are pending at IPAM plugins.
    pub(super) pending_leases: Vec<PendingLease>,
    pub(super) findings: Vec<Located>,
}

#[derive(Serialize)]
pub(super) struct KernelReport {
    pub(super) release: String,
    pub(super) bonding: Module,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PfReport {
    pub(super) pci: PciAddress,
    /// Its link; none where it has none on the node.
    pub(super) link: Option<LinkName>,
    pub(super) driver: Option<String>,
    pub(super) state: Option<LinkState>,
    pub(super) carrier: bool,
    pub(super) speed: Option<Speed>,
    /// The bond or bridge of the node that it is a port of.
    pub(super) master: Option<LinkName>,
    pub(super) vfs: u16,
    pub(super) vfs_at_most: u16,
    pub(super) vfs_free: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VfReport {
    pub(super) pci: PciAddress,
    pub(super) pf: String,
    pub(super) index: u16,
    pub(super) driver: Option<String>,
    /// Its holder; none while it is free.
    pub(super) held_by: Option<String>,
}

/// A finding with the bond that it is about.
#[derive(Serialize)]
pub(super) struct Located {
    /// None for a finding about the node.
    #[serde(flatten)]
    pub(super) place: Option<Place>,
    #[serde(flatten)]
    pub(super) finding: Finding,
}

/// A bond of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    /// The pod's name, or the path of its network namespace where it has none.
    pub(super) pod: String,
    /// The bond's name in the pod.
    pub(super) bond: LinkName,
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

/// A bond as the kernel shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BondReport {
    /// Its pod; none for a bond of the node.
    pub(super) pod: Option<String>,
    pub(super) name: LinkName,
    pub(super) mode: &'static str,
    pub(super) state: LinkState,
    pub(super) carrier: bool,
    pub(super) ports: Vec<PortReport>,
}

#[derive(Serialize)]
pub(super) struct PortReport {
    pub(super) name: LinkName,
    pub(super) state: LinkState,
    pub(super) carrier: bool,
    #[serde(flatten)]
    pub(super) function: Option<LinkFunction>,
}

impl Report {
    /// Returns how many findings have this severity.
    pub(super) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|located| located.finding.severity == severity).count()
    }
}
