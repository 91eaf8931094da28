//! The record of a PF that policies have changed: its number of VFs, MTU and drivers before.

use std::collections::BTreeMap;

use podbond_names::{Mac, PciAddress};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::assign::PfAssignment;
use crate::cards::Pf;

/// The version of the record's form.
const VERSION: u32 = 1;

/// One PF that policies have changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PfRecord {
    version: u32,
    pub(crate) pf: PciAddress,
    /// As it was before the first policy.
    pub(crate) before: Before,
    /// The MTU in bytes that the policies raise it to.
    pub(crate) raised_mtu: Option<u32>,
    /// The administrative MAC addresses that policies have set, by the VF's index. That a PF shows an
    /// address does not mean that it was set: some make one up, and another at the VF's next reset.
    #[serde(default)]
    pub(crate) set_macs: BTreeMap<u16, Mac>,
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
            version: VERSION,
            pf: pf.pci,
            before: earlier.map_or_else(now, |earlier| earlier.before.clone()),
            raised_mtu: assigned.mtu,
            // New VFs have been told nothing.
            set_macs: earlier
                .filter(|_| pf.num_vfs == assigned.num_vfs)
                .map(|earlier| earlier.set_macs.clone())
                .unwrap_or_default(),
        }
    }

    /// Returns the record as JSON.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Numbers, texts and maps of them only: serializing them cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Returns the record that [`to_bytes`](Self::to_bytes) wrote. The error is the file's problem.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let problem = |error: serde_json::Error| error.to_string();
        let value: Value = serde_json::from_str(text).map_err(problem)?;
        let version = &value["version"];
        if *version != VERSION {
            return Err(format!(
                "it has version {version}, and this podbond reads {VERSION} alone"
            ));
        }
        serde_json::from_value(value).map_err(problem)
    }
}
