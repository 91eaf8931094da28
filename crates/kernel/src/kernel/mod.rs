//! The running kernel: what it shows of links, VFs, addresses and routes of the node and of one
//! pod.

mod announce;
mod apply;
mod bond;
mod ip;
mod move_link;
mod unreadable_names;
mod vf;

use std::os::fd::AsFd;
use std::path::Path;

use podbond_names::{LinkName, PciAddress};

use crate::error::with_remedy;
use crate::netns_handle::NetnsHandle;
use crate::{
    Error, Link, LinkRef, Netns, NetnsIdentity, NetnsState, Result, Sysfs, Vf, VfSettings, netns,
};

/// The running kernel, seen from the node's namespace and, where one is open, from a pod's.
///
/// It holds one netlink socket for each namespace; each question is one round trip.
pub struct Kernel {
    sysfs: Sysfs,
    host: NetnsHandle,
    pod: Option<NetnsHandle>,
}

impl Kernel {
    /// Opens the node's namespace alone: for DEL when the pod's namespace is gone, and for the
    /// node's own work.
    pub fn host() -> Result<Self> {
        Ok(Self { sysfs: Sysfs::new("/sys"), host: NetnsHandle::own(Netns::Host)?, pod: None })
    }

    /// Opens the node's namespace and the pod's at `netns`, the value of `CNI_NETNS`. The node's
    /// own is refused: what is meant for a pod would befall the node.
    pub fn with_pod(netns: &Path) -> Result<Self> {
        let namespace = netns::open(netns)?;
        let host = Self::host()?;
        if netns::is_same(namespace.as_fd(), host.host.namespace())? {
            return Err(Error::OwnNamespace { path: netns.to_owned() });
        }
        let pod =
            NetnsHandle::other(Netns::Pod, namespace).map_err(|error| Error::Namespace {
                path: netns.to_owned(),
                reason: format!("it cannot be entered: {}", with_remedy(&error)),
            })??;
        Ok(Self { pod: Some(pod), ..host })
    }

    /// Returns the node's side and the pod's namespace of a record, or the node's side alone where that
    /// is over: for DEL. A namespace of which nobody knows what became of it is an error.
    pub fn with_recorded(netns: &NetnsIdentity) -> Result<Self> {
        let kernel = Self::with_pod_in(&netns.path, netns.state())?;
        // Between the look and the opening the path may have been given to the next pod.
        let is_same =
            kernel.pod.is_none() || kernel.netns_identity(&netns.path)?.as_ref() == Some(netns);
        Ok(if is_same { kernel } else { Self { pod: None, ..kernel } })
    }

    /// Returns the same for a namespace of which only the path is known.
    pub fn with_path_of_del(path: &Path) -> Result<Self> {
        Self::with_pod_in(path, NetnsState::of_path(path))
    }

    fn with_pod_in(path: &Path, state: NetnsState) -> Result<Self> {
        match state {
            NetnsState::Alive => match Self::with_pod(path) {
                Err(Error::OwnNamespace { .. }) => Self::host(),
                kernel => kernel,
            },
            NetnsState::Gone | NetnsState::Another => Self::host(),
            NetnsState::Unknown => Err(Error::UnknownNamespace { path: path.to_owned() }),
        }
    }

    /// Returns the identity of the pod's namespace, which was opened by this path; none where no pod's
    /// is open.
    pub fn netns_identity(&self, path: &Path) -> Result<Option<NetnsIdentity>> {
        let Some(pod) = &self.pod else { return Ok(None) };
        NetnsIdentity::of_open(path, pod.namespace(), pod.cookie()).map(Some)
    }

    /// Returns whether a pod's namespace is open.
    pub fn has_pod(&self) -> bool {
        self.pod.is_some()
    }

    /// Returns sysfs of the node.
    pub fn sysfs(&self) -> &Sysfs {
        &self.sysfs
    }

    /// Returns the link of this name, or none. One `RTM_GETLINK` without statistics and VFs.
    pub fn link(&mut self, at: &LinkRef) -> Result<Option<Link>> {
        self.handle(at.netns)?.link(&at.name)
    }

    /// Returns the link that has this name or altname, or none: while there is one, no other can
    /// have it.
    pub fn link_by_any_name(&mut self, at: &LinkRef) -> Result<Option<Link>> {
        self.handle(at.netns)?.link_by_any_name(&at.name)
    }

    /// Returns the link that has this name or altname, of any length, or none.
    pub fn link_called(&mut self, netns: Netns, name: &str) -> Result<Option<Link>> {
        self.handle(netns)?.link_called(name)
    }

    /// Returns the link of this index, or none.
    pub fn link_by_index(&mut self, netns: Netns, index: u32) -> Result<Option<Link>> {
        self.handle(netns)?.link_by_index(index)
    }

    /// Returns all links of a namespace for people to see, in the order of their names: the kernel's depends on
    /// which VF was made last. Those whose names are no text have escapes in them.
    pub fn shown_links(&mut self, netns: Netns) -> Result<Vec<Link>> {
        self.handle(netns)?.shown_links()
    }

    /// Returns the number that the node's namespace has in the pod's, by which the pod's links name it
    /// (`IFLA_LINK_NETNSID`); none where no link of the pod leads to the node.
    pub fn host_netns_id(&mut self) -> Result<Option<i32>> {
        let host = self.host.namespace();
        self.pod.as_mut().ok_or(Error::NoPodNamespace)?.id_of(host)
    }

    /// Returns all links of a namespace, by a dump.
    pub fn links(&mut self, netns: Netns) -> Result<Vec<Link>> {
        self.handle(netns)?.links()
    }

    /// Returns the ports of the link of this index, a bond or a bridge, by a dump that the kernel
    /// filters (`IFLA_MASTER`).
    pub fn ports(&mut self, netns: Netns, master: u32) -> Result<Vec<Link>> {
        self.handle(netns)?.ports(master)
    }

    /// Returns the VF at this address with its PF and its settings there; none where the function
    /// is not there or is no VF. The PF is asked once.
    pub fn vf(&mut self, pci: PciAddress) -> Result<Option<Vf>> {
        Ok(self.vf_and_pf(pci)?.map(|(vf, _)| vf))
    }

    /// Returns the VF at this address, and its PF's link, which the same answer shows.
    pub fn vf_and_pf(&mut self, pci: PciAddress) -> Result<Option<(Vf, Link)>> {
        let Some(pf) = self.sysfs.pf_of(pci)? else { return Ok(None) };
        let Some(index) = self.sysfs.vf_index(pf, pci)? else { return Ok(None) };
        let pf_link = self.sysfs.link_of(pf)?.ok_or(Error::NoPfLink { vf: pci, pf })?;
        let (link, shown) = self.host.vfs(&pf_link, |shown| shown == index)?;
        Ok(Some((self.describe(pci, pf, &pf_link, index, &shown)?, link)))
    }

    /// Returns all VFs of the PF with this link, in order of their index.
    pub fn vfs(&mut self, pf: &LinkName) -> Result<Vec<Vf>> {
        let (link, shown) = self.host.vfs(pf, |_| true)?;
        let Some(function) = link.parent else { return Ok(Vec::new()) };
        let vfs = self.sysfs.vfs_of(function)?;
        vfs.into_iter()
            .map(|(index, pci)| self.describe(pci, function, pf, index, &shown))
            .collect()
    }

    fn describe(
        &self,
        pci: PciAddress,
        pf: PciAddress,
        pf_link: &LinkName,
        index: u16,
        shown: &[(u16, VfSettings)],
    ) -> Result<Vf> {
        let settings = shown.iter().find(|(number, _)| *number == index);
        Ok(Vf {
            pci,
            pf,
            pf_link: pf_link.clone(),
            index,
            driver: self.sysfs.driver(pci)?,
            settings: settings.map(|(_, settings)| settings.clone()).unwrap_or_default(),
        })
    }

    fn handle(&mut self, netns: Netns) -> Result<&mut NetnsHandle> {
        match netns {
            Netns::Host => Ok(&mut self.host),
            Netns::Pod => self.pod.as_mut().ok_or(Error::NoPodNamespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_namespace_is_refused() {
        let refused = Kernel::with_pod(Path::new("/proc/self/ns/net"));
        assert!(matches!(refused, Err(Error::OwnNamespace { .. })));
    }
}
