//! Steps of a plan: each one reversible change of links, bonds, VFs, addresses or routes.

use std::fmt;

use ipnet::IpNet;
use podbond_names::{LinkName, Mac, OneLine, PciAddress};
use serde::{Deserialize, Serialize};

use crate::link_attributes::Changed;
use crate::{
    BondOptions, Dad, LinkAttributes, LinkRef, LinkState, LinkSysctl, PortOptions, PortRole, Route,
    VfSettings, VlanTag,
};

/// One reversible change of the kernel's state. A step holds what is as well as what is wanted, so
/// that its inverse needs no look at the kernel and can be written down before the step is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
pub enum Step {
    /// Create a bond with all its options in one message; it stays down.
    AddBond(NewBond),
    /// Remove a bond; the driver frees its ports. The inverse of [`Step::AddBond`].
    RemoveBond(NewBond),
    /// Create a VLAN interface on a link of the same namespace; it stays down. While it is up it
    /// has the address of its lower link, also when that changes.
    AddVlan(NewVlan),
    /// Remove a VLAN interface. The inverse of [`Step::AddVlan`].
    RemoveVlan(NewVlan),
    /// Create a link of some kind on another of the same namespace, as the kernel makes it when nothing more
    /// is said; it stays down. The inverse of [`Step::RemoveStacked`].
    AddStacked(NewStacked),
    /// Remove a link that stands on another: a VLAN interface, a macvlan. What stands on it goes with it.
    RemoveStacked(NewStacked),
    /// Make a link that is down a port of a bond in the same namespace. The driver opens the port
    /// and gives it the bond's MTU. A link that is a port of something else is refused.
    Enslave {
        /// The port.
        port: LinkRef,
        /// The bond's name.
        bond: LinkName,
    },
    /// Take a port out of its bond, or bridge; a bond's driver closes it and gives back its MTU and address.
    Release {
        /// The port.
        port: LinkRef,
        /// The bond's name.
        bond: LinkName,
    },
    /// Change options of a port of a bond. Both sides hold the same options: those that change.
    SetPort {
        /// The port.
        port: LinkRef,
        /// What is.
        from: PortOptions,
        /// What is wanted.
        to: PortOptions,
    },
    /// Give one of a bond's ports a role, or none of them. For the active port its link is waited
    /// for, at most 5 s.
    SetPortRole {
        /// The bond.
        bond: LinkRef,
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
        from: LinkRef,
        /// Where it goes.
        to: LinkRef,
    },
    /// Give a link a further name.
    AddAltname {
        /// The link.
        at: LinkRef,
        /// The name, of up to 127 bytes.
        altname: String,
    },
    /// Take a further name from a link. The inverse of [`Step::AddAltname`].
    RemoveAltname {
        /// The link.
        at: LinkRef,
        /// The name.
        altname: String,
    },
    /// Set flags, queue, alias and group of a link.
    SetAttributes {
        /// The link.
        at: LinkRef,
        /// What is.
        from: LinkAttributes,
        /// What is wanted.
        to: LinkAttributes,
    },
    /// Set a link's MTU in bytes.
    SetMtu {
        /// The link.
        at: LinkRef,
        /// What it is.
        from: u32,
        /// What it becomes.
        to: u32,
    },
    /// Set a link's own address.
    SetMac {
        /// The link.
        at: LinkRef,
        /// What it is.
        from: Mac,
        /// What it becomes.
        to: Mac,
    },
    /// Bring a link up or down.
    SetState {
        /// The link.
        at: LinkRef,
        /// What it becomes; it was the other one.
        to: LinkState,
    },
    /// Turn kernel settings of a link on or off. Where the kernel has no such setting, as without IPv6, or
    /// nobody may write it, nothing changes: these settings make things faster, no more.
    SetSysctls {
        /// The link.
        at: LinkRef,
        /// The settings.
        sysctls: Vec<LinkSysctl>,
        /// Whether they are turned on; they were the other one.
        on: bool,
    },
    /// Change settings of a VF on its PF. Both sides hold the same fields: those that change.
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
    /// Create VFs, or remove them all (`sriov_numvfs`). The kernel demands 0 in between. New VFs
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
        at: LinkRef,
        /// The address and its prefix length.
        address: IpNet,
        /// Whether it is usable at once.
        #[serde(default, skip_serializing_if = "Dad::is_off")]
        dad: Dad,
    },
    /// Remove an address. The inverse of [`Step::AddAddress`].
    RemoveAddress {
        /// The link.
        at: LinkRef,
        /// The address and its prefix length.
        address: IpNet,
        /// How it is added again on the way back.
        #[serde(default, skip_serializing_if = "Dad::is_off")]
        dad: Dad,
    },
    /// Add a route through a link, before an IPv4 route with the same destination and metric: the new
    /// one is used. The kernel joins an IPv6 route with such a one. Without a scope it has that of
    /// the link when it has no gateway, else the universe's. A route that is there already, as it is
    /// wanted, is no error.
    AddRoute {
        /// The link.
        at: LinkRef,
        /// The route.
        route: Route,
    },
    /// Remove a route. The inverse of [`Step::AddRoute`].
    RemoveRoute {
        /// The link.
        at: LinkRef,
        /// The route.
        route: Route,
    },
}

/// A bond as it is created; a step that removes it holds the same for its inverse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewBond {
    /// The bond.
    pub at: LinkRef,
    /// Its options; the kernel is asked afterwards whether it took them.
    pub options: BondOptions,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Its own address; none leaves it to the driver (the first port's).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
}

/// A VLAN interface as it is created; a step that removes it holds the same for its inverse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewVlan {
    /// The VLAN interface.
    pub at: LinkRef,
    /// The name of its lower link.
    pub lower: LinkName,
    /// The tag of its frames.
    pub tag: VlanTag,
    /// Its MTU in bytes, at most that of its lower link.
    pub mtu: u32,
}

/// A link that stands on another; a step that removes it holds the same for its inverse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewStacked {
    /// The link.
    pub at: LinkRef,
    /// The name of the link that it stands on.
    pub lower: LinkName,
    /// Its kind: `vlan`, `macvlan`, …
    pub kind: String,
}

impl Step {
    /// Returns the steps that have a function's driver make its links anew: nothing stands on those, and
    /// nothing is set of them. They come in the node's namespace, from whatever namespace the old ones were
    /// in. `bound` is the driver that it has now.
    pub fn renewal(pci: PciAddress, bound: Option<String>, driver: String) -> Vec<Self> {
        let unbind = bound.map(|bound| Self::BindDriver { pci, from: Some(bound), to: None });
        let bind = Self::BindDriver { pci, from: None, to: Some(driver) };
        unbind.into_iter().chain([bind]).collect()
    }

    /// Returns the link that the step changes or removes; none for a step that creates one, or
    /// changes what belongs to a link and goes with it.
    pub(crate) fn link(&self) -> Option<&LinkRef> {
        match self {
            Self::RemoveBond(NewBond { at, .. })
            | Self::RemoveVlan(NewVlan { at, .. })
            | Self::RemoveStacked(NewStacked { at, .. })
            | Self::SetAttributes { at, .. }
            | Self::Move { from: at, .. }
            | Self::SetMtu { at, .. }
            | Self::SetMac { at, .. }
            | Self::SetState { at, .. } => Some(at),
            _ => None,
        }
    }

    /// Returns the step that undoes this one.
    #[must_use]
    pub fn inverse(&self) -> Self {
        match self.clone() {
            Self::AddBond(bond) => Self::RemoveBond(bond),
            Self::RemoveBond(bond) => Self::AddBond(bond),
            Self::AddVlan(vlan) => Self::RemoveVlan(vlan),
            Self::RemoveVlan(vlan) => Self::AddVlan(vlan),
            Self::AddStacked(stacked) => Self::RemoveStacked(stacked),
            Self::RemoveStacked(stacked) => Self::AddStacked(stacked),
            Self::AddAltname { at, altname } => Self::RemoveAltname { at, altname },
            Self::RemoveAltname { at, altname } => Self::AddAltname { at, altname },
            Self::SetAttributes { at, from, to } => Self::SetAttributes { at, from: to, to: from },
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
            Self::SetSysctls { at, sysctls, on } => Self::SetSysctls { at, sysctls, on: !on },
            Self::SetVf { pf, vf, from, to } => Self::SetVf { pf, vf, from: to, to: from },
            Self::SetNumVfs { pf, from, to } => Self::SetNumVfs { pf, from: to, to: from },
            Self::BindDriver { pci, from, to } => Self::BindDriver { pci, from: to, to: from },
            Self::AddAddress { at, address, dad } => Self::RemoveAddress { at, address, dad },
            Self::RemoveAddress { at, address, dad } => Self::AddAddress { at, address, dad },
            Self::AddRoute { at, route } => Self::RemoveRoute { at, route },
            Self::RemoveRoute { at, route } => Self::AddRoute { at, route },
        }
    }

    /// Returns the kind of the step, as it is serialized.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AddBond(_) => "add-bond",
            Self::RemoveBond(_) => "remove-bond",
            Self::AddVlan(_) => "add-vlan",
            Self::RemoveVlan(_) => "remove-vlan",
            Self::AddStacked(_) => "add-stacked",
            Self::RemoveStacked(_) => "remove-stacked",
            Self::AddAltname { .. } => "add-altname",
            Self::RemoveAltname { .. } => "remove-altname",
            Self::SetAttributes { .. } => "set-attributes",
            Self::Enslave { .. } => "enslave",
            Self::Release { .. } => "release",
            Self::SetPort { .. } => "set-port",
            Self::SetPortRole { .. } => "set-port-role",
            Self::Move { .. } => "move",
            Self::SetMtu { .. } => "set-mtu",
            Self::SetMac { .. } => "set-mac",
            Self::SetState { .. } => "set-state",
            Self::SetSysctls { .. } => "set-sysctls",
            Self::SetVf { .. } => "set-vf",
            Self::SetNumVfs { .. } => "set-num-vfs",
            Self::BindDriver { .. } => "bind-driver",
            Self::AddAddress { .. } => "add-address",
            Self::RemoveAddress { .. } => "remove-address",
            Self::AddRoute { .. } => "add-route",
            Self::RemoveRoute { .. } => "remove-route",
        }
    }
}

impl fmt::Display for Step {
    /// Writes one line for `podbond plan`, in the imperative.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddBond(NewBond { at, options, mtu, mac }) => {
                write!(f, "create bond {at} mode {}", options.mode)?;
                for (option, value) in options.iter() {
                    write!(f, " {} {}", option.name, option.shown(value))?;
                }
                write!(f, " mtu {mtu}")?;
                mac.map_or(Ok(()), |mac| write!(f, " address {mac}"))
            }
            Self::RemoveBond(bond) => write!(f, "remove bond {}", bond.at),
            Self::AddVlan(NewVlan { at, lower, tag, mtu }) => {
                write!(f, "create {tag} {at} on {lower} mtu {mtu}")
            }
            Self::RemoveVlan(vlan) => write!(f, "remove {} {}", vlan.tag, vlan.at),
            Self::AddStacked(NewStacked { at, lower, kind }) => {
                write!(f, "create {} {at} on {lower}", OneLine(kind))
            }
            Self::RemoveStacked(stacked) => {
                write!(f, "remove {} {}", OneLine(&stacked.kind), stacked.at)
            }
            Self::AddAltname { at, altname } => {
                write!(f, "give {at} the altname {}", OneLine(altname))
            }
            Self::RemoveAltname { at, altname } => {
                write!(f, "take the altname {} from {at}", OneLine(altname))
            }
            Self::SetAttributes { at, from, to } => write!(f, "set {at} {}", Changed(from, to)),
            Self::Enslave { port, bond } => write!(f, "make {port} a port of {bond}"),
            Self::Release { port, bond } => write!(f, "take port {port} out of {bond}"),
            Self::SetPort { port, from, to } => write!(f, "set port {port} to {to} (was {from})"),
            Self::SetPortRole { bond, role, to, .. } => {
                let port = to.as_ref().map_or("none", LinkName::as_str);
                write!(f, "set {} of {bond} to {port}", role.option().name)
            }
            Self::Move { from, to } if from.netns == to.netns => {
                write!(f, "rename {from} to {}", to.name)
            }
            Self::Move { from, to } => write!(f, "move {from} to {to}"),
            Self::SetMtu { at, from, to } => write!(f, "set mtu of {at} to {to} (was {from})"),
            Self::SetMac { at, from, to } => write!(f, "set mac of {at} to {to} (was {from})"),
            Self::SetState { at, to } => write!(f, "bring {at} {to}"),
            Self::SetSysctls { at, sysctls, on } => {
                let names: Vec<String> = sysctls.iter().map(ToString::to_string).collect();
                let state = if *on { "on" } else { "off" };
                write!(f, "turn {state} {} of {at}", names.join(", "))
            }
            Self::SetVf { pf, vf, from, to } => {
                write!(f, "set VF {vf} of {pf} to {to} (was {from})")
            }
            Self::SetNumVfs { pf, from, to } => write!(f, "make {to} VFs of {pf} (were {from})"),
            Self::BindDriver { pci, from, to } => {
                write!(
                    f,
                    "bind {pci} to {} (was {})",
                    driver_name(to.as_ref()),
                    driver_name(from.as_ref())
                )
            }
            Self::AddAddress { at, address, .. } => write!(f, "add address {address} to {at}"),
            Self::RemoveAddress { at, address, .. } => {
                write!(f, "remove address {address} from {at}")
            }
            Self::AddRoute { at, route } => write!(f, "add route {route} through {at}"),
            Self::RemoveRoute { at, route } => write!(f, "remove route {route} through {at}"),
        }
    }
}

fn driver_name(driver: Option<&String>) -> &str {
    driver.map_or("no driver", String::as_str)
}

#[cfg(test)]
pub(crate) mod tests;
