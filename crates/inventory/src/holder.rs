//! Who holds which VF of the node.

use std::collections::BTreeMap;
use std::fmt;

use podbond_api::ObjectKey;
use podbond_names::PciAddress;
use podbond_record::Holder;

/// Who holds a VF.
#[derive(Debug, Clone, PartialEq)]
pub enum Occupant {
    /// A pod, by the record of an attachment or the claim of an SR-IOV CNI plugin.
    Holder(Holder),
    /// A pod that does not exist, in a preview of it.
    Planned(String),
    /// Another network namespace, of which nothing is recorded: the VF's link is not on the host.
    Unknown,
}

impl fmt::Display for Occupant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holder(holder) => holder.fmt(f),
            Self::Planned(name) => f.write_str(name),
            Self::Unknown => f.write_str("a network namespace that is not in any record"),
        }
    }
}

/// Whose a VF is.
#[derive(Debug, Clone, PartialEq)]
pub enum Owner {
    /// A pod, by the record of an attachment or the claim of an SR-IOV CNI plugin.
    Holder(Holder),
    /// A policy, which gives it to pods that ask for its resource.
    Policy(ObjectKey),
}

/// The held VFs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Holders {
    pub(crate) by_vf: BTreeMap<PciAddress, Occupant>,
}

impl Holders {
    /// Returns who holds a VF; none where it is free.
    pub fn of(&self, vf: PciAddress) -> Option<&Occupant> {
        self.by_vf.get(&vf)
    }

    /// Marks a VF as held by a pod in a preview.
    pub fn plan(&mut self, vf: PciAddress, name: String) {
        self.by_vf.insert(vf, Occupant::Planned(name));
    }

    /// Returns the held VFs in order of address.
    pub fn iter(&self) -> impl Iterator<Item = (PciAddress, &Occupant)> {
        self.by_vf.iter().map(|(vf, occupant)| (*vf, occupant))
    }
}
