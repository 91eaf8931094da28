use std::path::PathBuf;

use podbond_names::{LinkName, PciAddress};

use crate::Result;

/// The part of sysfs that tells of PCI functions, under a root that tests may choose.
#[derive(Debug, Clone)]
pub struct Sysfs {
    _root: PathBuf,
}

impl Sysfs {
    /// sysfs mounted at `root`, normally `/sys`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { _root: root.into() }
    }

    /// Every PCI function of class network controller (0x0200 and 0x0280), in order of address.
    pub fn network_functions(&self) -> Result<Vec<PciAddress>> {
        todo!()
    }

    /// The PF of a VF: where `physfn` points. None for a function that is no VF, or is not there.
    pub fn pf_of(&self, _vf: PciAddress) -> Result<Option<PciAddress>> {
        todo!()
    }

    /// The VFs of a PF with their index, from its `virtfn<index>` links, in order of index.
    pub fn vfs_of(&self, _pf: PciAddress) -> Result<Vec<(u16, PciAddress)>> {
        todo!()
    }

    /// The name of the driver bound to a function.
    pub fn driver(&self, _pci: PciAddress) -> Result<Option<String>> {
        todo!()
    }

    /// The names of a function's links in this namespace: none while the link is in a pod's.
    pub fn links_of(&self, _pci: PciAddress) -> Result<Vec<LinkName>> {
        todo!()
    }

    /// One attribute of a function (`vendor`, `device`, `sriov_totalvfs`, …), without white space
    /// at its ends; none where the function has no such attribute.
    pub fn attribute(&self, _pci: PciAddress, _name: &str) -> Result<Option<String>> {
        todo!()
    }
}
