//! The record of a PF that policies have changed: its number of VFs, MTU and drivers before.

use std::collections::BTreeMap;

use podbond_names::PciAddress;
use serde::{Deserialize, Serialize};

use crate::assign::PfAssignment;
use crate::cards::Pf;

/// One PF that policies have changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PfRecord {
    pub(crate) pf: PciAddress,
    /// As it was before the first policy.
    pub(crate) before: Before,
    /// The MTU in bytes that the policies raise it to.
    pub(crate) raised_mtu: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    pub(crate) num_vfs: u16,
    /// In bytes.
    pub(crate) mtu: Option<u32>,
    /// The drivers of the VFs that there were, by index.
    pub(crate) drivers: BTreeMap<u16, Option<String>>,
}

impl PfRecord {
    /// Returns the record of a PF before its policies are applied. An earlier record has the PF's state
    /// before all of them.
    pub(crate) fn new(pf: &Pf, assigned: &PfAssignment, earlier: Option<&Self>) -> Self {
        let now = || Before {
            num_vfs: pf.num_vfs,
            mtu: pf.link.as_ref().map(|link| link.mtu),
            drivers: pf.vfs.iter().map(|vf| (vf.index, vf.driver.clone())).collect(),
        };
        Self {
            pf: pf.pci,
            before: earlier.map_or_else(now, |earlier| earlier.before.clone()),
            raised_mtu: assigned.mtu,
        }
    }
}
