//! States of IP addresses: duplicate address detection (DAD).

use serde::{Deserialize, Serialize};

/// Duplicate address detection (RFC 4862, section 5.4): whether the kernel asks the network if it
/// knows an IPv6 address already, before it uses it. It takes a second or two. IPv4 has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dad {
    /// `IFA_F_NODAD`: the address is usable at once.
    #[default]
    Off,
    /// The address is tentative until nobody has answered. `IFA_F_OPTIMISTIC`: it is used meanwhile
    /// where the link has [`LinkSysctl::OptimisticDad`](crate::LinkSysctl::OptimisticDad).
    On,
}

impl Dad {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    pub(crate) fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// How far duplicate address detection has come with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressState {
    /// It can be used.
    Usable,
    /// `IFA_F_TENTATIVE`: it is being looked for, or will be once the link has carrier.
    Tentative,
    /// `IFA_F_DADFAILED`: another host has it, and it is not used here.
    Duplicate,
}

/// How [`Kernel::wait_for_dad`](crate::Kernel::wait_for_dad) ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DadOutcome {
    /// All addresses can be used.
    Usable,
    /// Some are tentative still, as without carrier, when the network cannot be asked. The kernel goes on.
    Tentative,
}
