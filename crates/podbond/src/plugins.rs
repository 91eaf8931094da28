//! The table of the CNI plugins that this executable is.

use std::path::Path;

use podbond_bond::{Bond, Functions, VfOwner};
use podbond_cni::{Attachment, Code, Failure, Plugin};
use podbond_host_local::HostLocal;
use podbond_inventory::{Holdings, Owner};
use podbond_kernel::Sysfs;
use podbond_names::PciAddress;
use podbond_record::Records;
use podbond_sriov::Sriov;

/// The plugins of this executable.
pub(crate) struct Plugins {
    bond: Bond,
    sriov: Sriov,
    host_local: HostLocal,
}

impl Default for Plugins {
    fn default() -> Self {
        let bond = Bond::new(Records::default(), &NodeFunctions);
        Self { bond, sriov: Sriov::default(), host_local: HostLocal }
    }
}

impl Plugins {
    /// Returns the plugins, each by the name that it has in `argv[0]` and as a configuration's `type`.
    pub(crate) fn table(&self) -> [&dyn Plugin; 3] {
        [&self.bond, &self.sriov, &self.host_local]
    }
}

/// Returns where the node keeps what tells who holds which VF.
pub(crate) fn holdings() -> Holdings {
    let (state, claims) = (Path::new(podbond_state::DIR), Path::new(podbond_sriov::DIR));
    Holdings::new(state, Records::default(), claims)
}

/// The functions of the node as sysfs, the records, the claims of sriov-cni and the policies show them.
#[derive(Debug)]
pub(crate) struct NodeFunctions;

impl Functions for NodeFunctions {
    fn num_vfs(&self, sysfs: &Sysfs, function: PciAddress) -> Result<u16, Failure> {
        let shown = sysfs.attribute(function, "sriov_numvfs");
        let shown = shown.map_err(|error| Failure::new(Code::IO, error.to_string()))?;
        Ok(shown.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    fn owner(
        &self,
        sysfs: &Sysfs,
        function: PciAddress,
        own: Option<&Attachment>,
    ) -> Result<Option<VfOwner>, Failure> {
        let owner = holdings().owner(sysfs, function, own);
        let owner = owner.map_err(|error| {
            let msg = format!("whose VF {function} is cannot be read: {error}");
            Failure::new(Code::IO, msg)
        })?;
        Ok(owner.map(|owner| match owner {
            Owner::Policy(policy) => VfOwner::Policy(policy.to_string()),
            Owner::Holder(holder) => VfOwner::Holder(holder.with_netns()),
        }))
    }
}
