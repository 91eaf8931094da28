use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use podbond_api::{ObjectKey, ResourceName};
use podbond_kernel::no_netns;
use podbond_names::{LinkName, PciAddress};
use serde::{Deserialize, Serialize};

/// The attachment that a VF is given to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The pod, for people.
    pub pod: ObjectKey,
    /// The runtime's name of the pod's sandbox, which with `interface` tells holders apart.
    pub container_id: String,
    /// The attachment's interface in the pod.
    pub interface: LinkName,
    /// The pod's network namespace. Once there is none at this path, the pod holds nothing any
    /// more.
    pub netns: PathBuf,
}

impl Holder {
    /// Whether both are the same attachment of the same sandbox.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.container_id, &self.interface) == (&other.container_id, &other.interface)
    }

    /// A pod whose namespace is gone holds nothing: its VFs are back on the host. One that cannot be
    /// looked at is alive.
    pub(crate) fn is_alive(&self) -> bool {
        !no_netns(&self.netns)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pod {} ({})", self.pod, self.interface)
    }
}

/// Who has a VF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occupant {
    /// A pod, by our record.
    Pod(Holder),
    /// A pod, by the record of an SR-IOV CNI plugin, which knows its namespace alone.
    Netns(PathBuf),
    /// Somebody without a record: the VF's link is not on the host.
    Unknown,
}

impl fmt::Display for Occupant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(holder) => holder.fmt(f),
            Self::Netns(path) => write!(f, "the pod with network namespace {}", path.display()),
            Self::Unknown => f.write_str("a network namespace that is not in any record"),
        }
    }
}

/// The VFs that somebody living has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holders {
    pub(crate) by_vf: BTreeMap<PciAddress, Occupant>,
}

impl Holders {
    /// Who has this VF, if anybody.
    pub fn of(&self, vf: PciAddress) -> Option<&Occupant> {
        self.by_vf.get(&vf)
    }

    /// Lets a VF be held by a pod too: for those who work out what would be if it were.
    pub fn give(&mut self, vf: PciAddress, holder: Holder) {
        self.by_vf.insert(vf, Occupant::Pod(holder));
    }

    /// All that are held, in order of address.
    pub fn iter(&self) -> impl Iterator<Item = (PciAddress, &Occupant)> {
        self.by_vf.iter().map(|(vf, occupant)| (*vf, occupant))
    }
}

/// What the ledger keeps of a VF that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hold {
    /// The pool that it was taken from; none when the NAD names the VF itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resource: Option<ResourceName>,
    #[serde(flatten)]
    pub(crate) holder: Holder,
}
