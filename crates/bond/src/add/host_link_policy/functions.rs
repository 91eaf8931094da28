//! What is known of the PCI functions behind links of the node: how many VFs a PF has, and whose a VF is.

use std::fmt;

use podbond_cni::{Attachment, Failure};
use podbond_kernel::Sysfs;
use podbond_names::PciAddress;

/// Whose a VF of the node is, though its link is on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VfOwner {
    /// A SriovNetworkNodePolicy of this name gives it to pods.
    Policy(String),
    /// It is held by an attachment or by a pod, described for people.
    Holder(String),
}

/// Answers what is known of PCI functions behind links of the node.
pub trait Functions: fmt::Debug + Sync {
    /// Returns how many VFs a function has.
    fn num_vfs(&self, sysfs: &Sysfs, function: PciAddress) -> Result<u16, Failure>;

    /// Returns whose a VF is, if anybody's but `own`'s; none for a function that is no VF. It is asked for
    /// each function behind a link.
    fn owner(
        &self,
        sysfs: &Sysfs,
        function: PciAddress,
        own: Option<&Attachment>,
    ) -> Result<Option<VfOwner>, Failure>;
}
