mod kind;
mod words;

use ipnet::IpNet;
use podbond_names::{LinkName, Mac, PciAddress};
use serde::{Deserialize, Serialize};

use crate::{At, BondOptions, Dad, LinkState, PortOptions, PortRole, Route, VfSettings, VlanTag};

/// One reversible change of the kernel's state. A step holds what is as well as what is wanted, so
/// that its inverse needs no look at the kernel and can be written down before the step is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
pub enum Step {
    /// Create a bond with all its options in one message; it stays down.
    AddBond {
        /// The bond.
        at: At,
        /// Its options; the kernel is asked afterwards whether it took them.
        options: BondOptions,
        /// Its MTU in bytes.
        mtu: u32,
        /// Its own address; none leaves it to the driver (the first port's).
        #[serde(skip_serializing_if = "Option::is_none")]
        mac: Option<Mac>,
    },
    /// Remove a bond; the driver frees its ports. The inverse of [`Step::AddBond`].
    RemoveBond {
        /// The bond.
        at: At,
        /// What it is made with again on the way back.
        options: BondOptions,
        /// Its MTU in bytes.
        mtu: u32,
        /// Its own address, if it was given one.
        #[serde(skip_serializing_if = "Option::is_none")]
        mac: Option<Mac>,
    },
    /// Create a VLAN interface on a link of the same namespace; it stays down. While it is up it has
    /// the address of the link beneath, also when that changes.
    AddVlan {
        /// The VLAN interface.
        at: At,
        /// The name of the link beneath.
        lower: LinkName,
        /// The tag of its frames.
        tag: VlanTag,
        /// Its MTU in bytes, at most that of the link beneath.
        mtu: u32,
    },
    /// Remove a VLAN interface. The inverse of [`Step::AddVlan`].
    RemoveVlan {
        /// The VLAN interface.
        at: At,
        /// The name of the link beneath.
        lower: LinkName,
        /// The tag that it is made with again on the way back.
        tag: VlanTag,
        /// Its MTU in bytes.
        mtu: u32,
    },
    /// Make a link that is down a port of a bond in the same namespace. The driver opens the port
    /// and gives it the bond's MTU. A link that is a port of something else is refused.
    Enslave {
        /// The port.
        port: At,
        /// The bond's name.
        bond: LinkName,
    },
    /// Take a port out of its bond; the driver closes it and gives back its MTU and address.
    Release {
        /// The port.
        port: At,
        /// The bond's name.
        bond: LinkName,
    },
    /// Change options of a port of a bond. Both sides hold the same options: those that change.
    SetPort {
        /// The port.
        port: At,
        /// What is.
        from: PortOptions,
        /// What is wanted.
        to: PortOptions,
    },
    /// Give one of a bond's ports a role, or none of them. For the active port its link is waited
    /// for, at most 5 s.
    SetPortRole {
        /// The bond.
        bond: At,
        /// The role.
        role: PortRole,
        /// The port that has it by our choice.
        from: Option<LinkName>,
        /// The port that gets it; none leaves the choice to the driver.
        to: Option<LinkName>,
    },
    /// Move a link to another namespace and rename it in one message, or rename it in its own. On
    /// its way back to the node it is renamed first, so that the node never sees the pod's name. An
    /// altname that is the new name changes places with the old name.
    Move {
        /// Where it is. It must be down.
        from: At,
        /// Where it goes.
        to: At,
    },
    /// Set a link's MTU in bytes.
    SetMtu {
        /// The link.
        at: At,
        /// What it is.
        from: u32,
        /// What it becomes.
        to: u32,
    },
    /// Set a link's own address.
    SetMac {
        /// The link.
        at: At,
        /// What it is.
        from: Mac,
        /// What it becomes.
        to: Mac,
    },
    /// Bring a link up or down.
    SetState {
        /// The link.
        at: At,
        /// What it becomes; it was the other one.
        to: LinkState,
    },
    /// Change what a PF keeps of a VF. Both sides hold the same fields: those that change.
    SetVf {
        /// The PF's link, on the host.
        pf: LinkName,
        /// The VF's number.
        vf: u16,
        /// What is.
        from: VfSettings,
        /// What is wanted.
        to: VfSettings,
    },
    /// Make VFs, or take them all back (`sriov_numvfs`). The kernel demands 0 in between. New VFs
    /// are waited for until they have drivers and links, at most 10 s.
    SetNumVfs {
        /// The PF.
        pf: PciAddress,
        /// How many there are.
        from: u16,
        /// How many there will be.
        to: u16,
    },
    /// Bind a PCI function to another driver.
    BindDriver {
        /// The function.
        pci: PciAddress,
        /// The driver bound to it now.
        from: Option<String>,
        /// The driver it gets; none leaves it unbound.
        to: Option<String>,
    },
    /// Add an address with its prefix to a link. IPv6 is switched on for the link where it is off.
    AddAddress {
        /// The link.
        at: At,
        /// The address and its prefix length.
        address: IpNet,
        /// Whether it is usable at once.
        #[serde(default, skip_serializing_if = "Dad::is_off")]
        dad: Dad,
    },
    /// Remove an address. The inverse of [`Step::AddAddress`].
    RemoveAddress {
        /// The link.
        at: At,
        /// The address and its prefix length.
        address: IpNet,
        /// How it is added again on the way back.
        #[serde(default, skip_serializing_if = "Dad::is_off")]
        dad: Dad,
    },
    /// Append a route through a link: it may stand beside one with the same destination. Without a
    /// scope it has that of the link when it has no gateway, else the universe's. A route that is
    /// there already, as it is wanted, is no error.
    AddRoute {
        /// The link.
        at: At,
        /// The route.
        route: Route,
    },
    /// Remove a route. The inverse of [`Step::AddRoute`].
    RemoveRoute {
        /// The link.
        at: At,
        /// The route.
        route: Route,
    },
}

impl Step {
    /// The link that it changes or removes; none of a step that makes one, or changes what belongs to
    /// a link and goes with it.
    pub(crate) fn link(&self) -> Option<&At> {
        match self {
            Self::RemoveBond { at, .. }
            | Self::RemoveVlan { at, .. }
            | Self::Move { from: at, .. }
            | Self::SetMtu { at, .. }
            | Self::SetMac { at, .. }
            | Self::SetState { at, .. } => Some(at),
            _ => None,
        }
    }

    /// The step that takes this one back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        match self.clone() {
            Self::AddBond { at, options, mtu, mac } => Self::RemoveBond { at, options, mtu, mac },
            Self::RemoveBond { at, options, mtu, mac } => Self::AddBond { at, options, mtu, mac },
            Self::AddVlan { at, lower, tag, mtu } => Self::RemoveVlan { at, lower, tag, mtu },
            Self::RemoveVlan { at, lower, tag, mtu } => Self::AddVlan { at, lower, tag, mtu },
            Self::Enslave { port, bond } => Self::Release { port, bond },
            Self::Release { port, bond } => Self::Enslave { port, bond },
            Self::SetPort { port, from, to } => Self::SetPort { port, from: to, to: from },
            Self::SetPortRole { bond, role, from, to } => {
                Self::SetPortRole { bond, role, from: to, to: from }
            }
            Self::Move { from, to } => Self::Move { from: to, to: from },
            Self::SetMtu { at, from, to } => Self::SetMtu { at, from: to, to: from },
            Self::SetMac { at, from, to } => Self::SetMac { at, from: to, to: from },
            Self::SetState { at, to } => Self::SetState {
                at,
                to: match to {
                    LinkState::Up => LinkState::Down,
                    LinkState::Down => LinkState::Up,
                },
            },
            Self::SetVf { pf, vf, from, to } => Self::SetVf { pf, vf, from: to, to: from },
            Self::SetNumVfs { pf, from, to } => Self::SetNumVfs { pf, from: to, to: from },
            Self::BindDriver { pci, from, to } => Self::BindDriver { pci, from: to, to: from },
            Self::AddAddress { at, address, dad } => Self::RemoveAddress { at, address, dad },
            Self::RemoveAddress { at, address, dad } => Self::AddAddress { at, address, dad },
            Self::AddRoute { at, route } => Self::RemoveRoute { at, route },
            Self::RemoveRoute { at, route } => Self::AddRoute { at, route },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
