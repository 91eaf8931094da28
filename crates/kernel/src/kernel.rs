use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use podbond_names::{LinkName, PciAddress};

use crate::{Apply, At, Link, Netns, Result, Route, Step, Sysfs, Vf};

/// The running kernel, seen from the node's namespace and, where one is open, from a pod's.
///
/// It holds one netlink socket for each namespace; each question is one round trip.
pub struct Kernel {
    _sysfs: Sysfs,
}

impl Kernel {
    /// The node's side alone: for DEL when the pod's namespace is gone, and for the node's own work.
    pub fn host() -> Result<Self> {
        todo!()
    }

    /// The node's side and the pod's namespace at `netns`, the value of `CNI_NETNS`.
    pub fn with_pod(_netns: &Path) -> Result<Self> {
        todo!()
    }

    /// Whether a pod's namespace is open.
    pub fn has_pod(&self) -> bool {
        todo!()
    }

    /// sysfs of the node.
    pub fn sysfs(&self) -> &Sysfs {
        &self._sysfs
    }

    /// The link of this name, or none. One `RTM_GETLINK` without statistics and VFs.
    pub fn link(&mut self, _at: &At) -> Result<Option<Link>> {
        todo!()
    }

    /// The link of this index, or none.
    pub fn link_by_index(&mut self, _netns: Netns, _index: u32) -> Result<Option<Link>> {
        todo!()
    }

    /// All links of a namespace: a dump, for `status` and for links whose name is lost.
    pub fn links(&mut self, _netns: Netns) -> Result<Vec<Link>> {
        todo!()
    }

    /// The VF at this address with its PF and what the PF keeps of it; none where the function is
    /// not there or is no VF. The PF is asked once.
    pub fn vf(&mut self, _pci: PciAddress) -> Result<Option<Vf>> {
        todo!()
    }

    /// All VFs of the PF with this link, in order of their index.
    pub fn vfs(&mut self, _pf: &LinkName) -> Result<Vec<Vf>> {
        todo!()
    }

    /// The addresses of a link, link-local ones included.
    pub fn addresses(&mut self, _at: &At) -> Result<Vec<IpNet>> {
        todo!()
    }

    /// The routes that leave through a link, from every table but `local`.
    pub fn routes(&mut self, _at: &At) -> Result<Vec<Route>> {
        todo!()
    }

    /// Announces addresses to the neighbours: a gratuitous ARP for each IPv4 address, an
    /// unsolicited neighbour advertisement for each IPv6 one. Waits for the link's carrier, at most
    /// `patience`, and sends nothing when there is none by then.
    pub fn announce(&mut self, _at: &At, _addresses: &[IpNet], _patience: Duration) -> Result<()> {
        todo!()
    }
}

impl Apply for Kernel {
    fn apply(&mut self, _step: &Step) -> Result<()> {
        todo!()
    }
}
