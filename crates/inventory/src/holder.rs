//! Who holds which VF.

use std::collections::BTreeMap;
use std::fmt;

use podbond_names::PciAddress;
use podbond_record::Holder;

/// Who has a VF.
#[derive(Debug, Clone, PartialEq)]
pub enum Occupant {
    /// A pod, by the record of an attachment or the claim of an SR-IOV CNI plugin.
    Holder(Holder),
    /// A pod that is about to be made, for those who work out what would be if it were.
    Planned(String),
    /// Somebody without a record: the VF's link is not on the host.
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

/// The VFs that somebody holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Holders {
    pub(crate) by_vf: BTreeMap<PciAddress, Occupant>,
}

impl Holders {
    /// Returns who has this VF, if anybody.
    pub fn of(&self, vf: PciAddress) -> Option<&Occupant> {
        self.by_vf.get(&vf)
    }

    /// Lets a VF be held by a pod that is about to be made.
    pub fn plan(&mut self, vf: PciAddress, name: String) {
        self.by_vf.insert(vf, Occupant::Planned(name));
    }

    /// Returns all that are held, in order of address.
    pub fn iter(&self) -> impl Iterator<Item = (PciAddress, &Occupant)> {
        self.by_vf.iter().map(|(vf, occupant)| (*vf, occupant))
    }
}
