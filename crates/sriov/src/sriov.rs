//! The plugin's state on disk: the records of attachments and the files of sriov-cni.

use std::path::{Path, PathBuf};

use podbond_names::PciAddress;
use podbond_record::Records;

use crate::Error;
use crate::sriov_cni::{DIR, Files};

/// The `sriov` plugin with its files.
#[derive(Debug, Clone)]
pub struct Sriov {
    pub(crate) records: Records,
    pub(crate) files: Files,
}

impl Default for Sriov {
    /// With its files where a node keeps them.
    fn default() -> Self {
        Self { records: Records::default(), files: Files::new(Path::new(DIR)) }
    }
}

impl Sriov {
    /// Returns the plugin with sriov-cni's files in `dir`, and records and locks below `dir/podbond`.
    pub fn with_files_in(dir: impl AsRef<Path>) -> Self {
        let (dir, own) = (dir.as_ref(), dir.as_ref().join("podbond"));
        Self { records: Records::new(&own.join("lib"), &own.join("run")), files: Files::new(dir) }
    }

    /// Returns the path of the network namespace that sriov-cni's claim gives a VF to; none where
    /// nobody claims it, or a namespace that is certainly over.
    pub fn holder(&self, pci: PciAddress) -> Result<Option<PathBuf>, Error> {
        self.files.holder(pci)
    }
}
