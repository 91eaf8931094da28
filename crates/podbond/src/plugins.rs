//! The table of the CNI plugins that this executable is.

use podbond_bond::Bond;
use podbond_cni::Plugin;
use podbond_host_local::HostLocal;
use podbond_sriov::Sriov;

/// The plugins of this executable.
#[derive(Default)]
pub(crate) struct Plugins {
    bond: Bond,
    sriov: Sriov,
    host_local: HostLocal,
}

impl Plugins {
    /// Returns the plugins, each by the name that it has in `argv[0]` and as a configuration's `type`.
    pub(crate) fn table(&self) -> [&dyn Plugin; 3] {
        [&self.bond, &self.sriov, &self.host_local]
    }
}
