use podbond_bond::Bond;
use podbond_cni::Plugin;
use podbond_host_local::HostLocal;
use podbond_sriov::Sriov;

/// The plugins that this executable is.
#[derive(Default)]
pub(crate) struct Plugins {
    bond: Bond,
    sriov: Sriov,
    host_local: HostLocal,
}

impl Plugins {
    /// The table from `argv[0]`, and from a configuration's `type`, to plugin.
    pub(crate) fn table(&self) -> [&dyn Plugin; 3] {
        [&self.bond, &self.sriov, &self.host_local]
    }
}
