//! A step in words.

use std::fmt;

use podbond_names::LinkName;

use crate::Step;

impl fmt::Display for Step {
    /// One line for `podbond plan`, in the imperative.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let driver = |name: &Option<String>| name.clone().unwrap_or_else(|| "no driver".to_owned());
        match self {
            Self::AddBond { at, options, mtu, mac } => {
                write!(f, "create bond {at} mode {}", options.mode)?;
                for (option, value) in options.iter() {
                    write!(f, " {} {}", option.name, option.shown(value))?;
                }
                write!(f, " mtu {mtu}")?;
                mac.map_or(Ok(()), |mac| write!(f, " address {mac}"))
            }
            Self::RemoveBond { at, .. } => write!(f, "remove bond {at}"),
            Self::AddVlan { at, lower, tag, mtu } => {
                write!(f, "create {tag} {at} on {lower} mtu {mtu}")
            }
            Self::RemoveVlan { at, tag, .. } => write!(f, "remove {tag} {at}"),
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
            Self::SetVf { pf, vf, from, to } => {
                write!(f, "set VF {vf} of {pf} to {to} (was {from})")
            }
            Self::SetNumVfs { pf, from, to } => write!(f, "make {to} VFs of {pf} (were {from})"),
            Self::BindDriver { pci, from, to } => {
                write!(f, "bind {pci} to {} (was {})", driver(to), driver(from))
            }
            Self::AddAddress { at, address, .. } => write!(f, "add address {address} to {at}"),
            Self::RemoveAddress { at, address, .. } => {
                write!(f, "remove address {address} from {at}")
            }
            Self::AddRoute { at, route } => write!(f, "append route {route} through {at}"),
            Self::RemoveRoute { at, route } => write!(f, "remove route {route} through {at}"),
        }
    }
}
