use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use podbond_api::ResourceName;
use podbond_kernel::{Sysfs, no_netns};
use podbond_names::PciAddress;
use podbond_state::read;

use crate::files::{Files, lock};
use crate::holder::Hold;
use crate::{Error, Holder, Holders, Inventory, Occupant, Policies, Vf};

/// Which pod holds which VF, on disk: `vfs/<pci address>.json` in the state directory. Every
/// change is made under one lock and in one piece, so that processes may race and crash.
///
/// A VF is also held when an SR-IOV CNI plugin's own record, `pci/<pci address>` in its state
/// directory, names a network namespace that is there.
#[derive(Debug, Clone)]
pub struct Ledger {
    state: PathBuf,
    holds: Files,
    plugin_records: PathBuf,
}

impl Ledger {
    /// The ledger below `state` (normally `/var/lib/podbond`), beside SR-IOV CNI plugins whose
    /// state is in `sriov_state` (normally `/var/lib/cni/sriov`). Neither need exist yet.
    pub fn new(state: &Path, sriov_state: &Path) -> Self {
        Self {
            state: state.to_owned(),
            holds: Files::new(state.join("vfs")),
            plugin_records: sriov_state.join("pci"),
        }
    }

    /// The policies of the node, in the same state directory.
    pub fn policies(&self) -> Policies<'_> {
        Policies::new(self, &self.state)
    }

    /// Who has which VF at present.
    pub fn holders(&self, inventory: &Inventory) -> Result<Holders, Error> {
        let mut holders = Holders::default();
        for vf in inventory.pfs.iter().flat_map(|pf| &pf.vfs) {
            if let Some(occupant) = self.occupant(vf.pci)?.or_else(|| absent(vf)) {
                holders.by_vf.insert(vf.pci, occupant);
            }
        }
        Ok(holders)
    }

    /// Gives `holder` the lowest free VF of a resource, and records it. A holder that has one of
    /// that resource already is given the same again.
    pub fn allocate(
        &self,
        sysfs: &Sysfs,
        resource: &ResourceName,
        holder: &Holder,
    ) -> Result<PciAddress, Error> {
        let _lock = lock(&self.state)?;
        let inventory = Inventory::read(sysfs)?;
        let assignment = self.policies().assignment(&inventory)?;
        if !assignment.groups().any(|(_, group)| group.resource == *resource) {
            let known = assignment.resources().into_iter().map(ToString::to_string).collect();
            return Err(Error::UnknownResource { resource: resource.clone(), known });
        }
        let holders = self.holders(&inventory)?;
        let pool = assignment.pool(resource, &inventory);
        let is_holders = |vf: &&Vf| match holders.of(vf.pci) {
            Some(Occupant::Pod(other)) => other.is_same(holder),
            _ => false,
        };
        let vfs = || pool.iter().map(|(_, vf)| *vf);
        let chosen =
            vfs().find(is_holders).or_else(|| vfs().find(|vf| holders.of(vf.pci).is_none()));
        let Some(vf) = chosen else {
            let resource = resource.clone();
            let held = vfs().filter_map(|vf| Some((vf.pci, holders.of(vf.pci)?.clone()))).collect();
            return Err(if pool.is_empty() {
                Error::NoVfs { resource }
            } else {
                Error::NoFreeVf { resource, held }
            });
        };
        let hold = Hold { resource: Some(resource.clone()), holder: holder.clone() };
        self.holds.write_record(&vf.pci.to_string(), &hold)?;
        Ok(vf.pci)
    }

    /// Gives `holder` the VF that its NAD names by address, of whatever pool, and records it.
    pub fn claim(&self, sysfs: &Sysfs, vf: PciAddress, holder: &Holder) -> Result<(), Error> {
        let _lock = lock(&self.state)?;
        if sysfs.pf_of(vf)?.is_none() {
            return Err(Error::NotAVf { pci: vf });
        }
        match self.occupant(vf)? {
            Some(Occupant::Pod(other)) if !other.is_same(holder) => {
                return Err(Error::Held { vf, occupant: Box::new(Occupant::Pod(other)) });
            }
            Some(Occupant::Netns(netns)) if netns != holder.netns => {
                return Err(Error::Held { vf, occupant: Box::new(Occupant::Netns(netns)) });
            }
            _ => {}
        }
        self.holds.write_record(&vf.to_string(), &Hold { resource: None, holder: holder.clone() })
    }

    /// Strikes out that `holder` has a VF. What is recorded of another holder stays; that nothing
    /// is recorded is success.
    pub fn release(&self, vf: PciAddress, holder: &Holder) -> Result<(), Error> {
        let _lock = lock(&self.state)?;
        let name = vf.to_string();
        match self.hold(&name)? {
            Some(hold) if !hold.holder.is_same(holder) => Ok(()),
            // Also where there is none: one who was killed may have begun to write it.
            _ => self.holds.remove(&name),
        }
    }

    /// Strikes out all that a sandbox has: what is recorded of it by no attachment, since it ended
    /// between taking a VF and writing that down.
    pub fn release_all(&self, container_id: &str) -> Result<(), Error> {
        let _lock = lock(&self.state)?;
        for name in self.holds.names()? {
            let hold = self.hold(&name)?;
            if hold.is_some_and(|hold| hold.holder.container_id == container_id) {
                self.holds.remove(&name)?;
            }
        }
        // What was being written when its writer was killed: nobody writes without the lock.
        self.holds.sweep()
    }

    /// The VFs whose records name a pod that is gone, with what the record says of it.
    pub fn left_over(&self, inventory: &Inventory) -> Result<Vec<(PciAddress, String)>, Error> {
        let mut left = Vec::new();
        for vf in inventory.pfs.iter().flat_map(|pf| &pf.vfs) {
            let hold = self.hold(&vf.pci.to_string())?;
            if let Some(hold) = hold.filter(|hold| !hold.holder.is_alive()) {
                left.push((vf.pci, hold.holder.to_string()));
            } else if let Some(netns) = self.plugin_record(vf.pci)?.filter(|path| no_netns(path)) {
                left.push((vf.pci, Occupant::Netns(netns).to_string()));
            }
        }
        Ok(left)
    }

    /// The holds whose pods are gone, whether or not there is still such a VF, and an error for each
    /// that cannot be read. [`Ledger::release`] strikes one out.
    pub fn left_behind(&self) -> (Vec<(PciAddress, Holder)>, Vec<Error>) {
        let names = match self.holds.names() {
            Ok(names) => names,
            Err(error) => return (Vec::new(), vec![error]),
        };
        let (mut left, mut errors) = (Vec::new(), Vec::new());
        for name in names {
            let Ok(vf) = name.parse() else { continue };
            match self.holds.read_record::<Hold>(&name) {
                Ok(hold) => left.extend(
                    hold.filter(|hold| !hold.holder.is_alive()).map(|hold| (vf, hold.holder)),
                ),
                Err(error) => errors.push(error),
            }
        }
        (left, errors)
    }

    /// Removes the hold in the file at `path` if it cannot be read at this moment: somebody may have
    /// been given its VF since. False where it can, and stays.
    pub fn remove_torn(&self, path: &Path) -> Result<bool, Error> {
        let _lock = lock(&self.state)?;
        let mut names = self.holds.names()?.into_iter();
        let Some(name) = names.find(|name| self.holds.path(name) == path) else {
            return Ok(!path.exists());
        };
        match self.holds.read_record::<Hold>(&name) {
            Ok(_) => Ok(false),
            Err(_) => self.holds.remove(&name).map(|()| true),
        }
    }

    /// Who has a VF by the records, if its pod lives. Our record knows more than a plugin's.
    fn occupant(&self, vf: PciAddress) -> Result<Option<Occupant>, Error> {
        let name = vf.to_string();
        let hold = self.hold(&name)?;
        if let Some(hold) = hold.filter(|hold| hold.holder.is_alive()) {
            return Ok(Some(Occupant::Pod(hold.holder)));
        }
        let netns = self.plugin_record(vf)?.filter(|netns| !no_netns(netns));
        Ok(netns.map(Occupant::Netns))
    }

    /// What is recorded of a VF. A record that cannot be understood is none: it must neither keep the
    /// other VFs from being given out, nor this one from being given back. Whether somebody has it
    /// all the same, the plugin's record and the node's links tell.
    fn hold(&self, name: &str) -> Result<Option<Hold>, Error> {
        match self.holds.read_record(name) {
            Err(Error::Damaged { .. } | Error::State(podbond_state::Error::TooLarge { .. })) => {
                Ok(None)
            }
            hold => hold,
        }
    }

    /// The namespace that an SR-IOV CNI plugin's record names.
    fn plugin_record(&self, vf: PciAddress) -> Result<Option<PathBuf>, Error> {
        let path = match read(&self.plugin_records.join(vf.to_string())) {
            // No namespace has such a path.
            Err(podbond_state::Error::TooLarge { .. }) => None,
            path => path?,
        };
        Ok(path.map(|path| PathBuf::from(OsString::from_vec(path.trim_ascii().to_owned()))))
    }
}

/// A VF with a network driver whose link is not here is in somebody's namespace.
fn absent(vf: &Vf) -> Option<Occupant> {
    let elsewhere = vf.link.is_none() && vf.driver.is_some() && !vf.is_userspace();
    elsewhere.then_some(Occupant::Unknown)
}
