use std::fmt;

use ipnet::IpNet;
use podbond_names::{LinkName, Mac, PciAddress};
use serde::{Deserialize, Serialize};

use crate::bond::table::{self, BondOption};
use crate::{At, BondOptions, LinkState, PortOptions, Route, VfSettings};

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
    /// Add an address with its prefix to a link, usable at once. IPv6 is switched on for the link
    /// where it is off.
    AddAddress {
        /// The link.
        at: At,
        /// The address and its prefix length.
        address: IpNet,
    },
    /// Remove an address. The inverse of [`Step::AddAddress`].
    RemoveAddress {
        /// The link.
        at: At,
        /// The address and its prefix length.
        address: IpNet,
    },
    /// Append a route through a link: it may stand beside one with the same destination. Without a
    /// scope it has that of the link when it has no gateway, else the universe's.
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

/// What one port of a bond can be before the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortRole {
    /// The one that is preferred.
    Primary,
    /// The one that carries the traffic now.
    Active,
}

impl PortRole {
    /// The option that gives it.
    pub fn option(self) -> &'static BondOption {
        match self {
            Self::Primary => &table::PRIMARY,
            Self::Active => &table::ACTIVE_SLAVE,
        }
    }
}

impl Step {
    /// The step that takes this one back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        match self.clone() {
            Self::AddBond { at, options, mtu, mac } => Self::RemoveBond { at, options, mtu, mac },
            Self::RemoveBond { at, options, mtu, mac } => Self::AddBond { at, options, mtu, mac },
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
            Self::AddAddress { at, address } => Self::RemoveAddress { at, address },
            Self::RemoveAddress { at, address } => Self::AddAddress { at, address },
            Self::AddRoute { at, route } => Self::RemoveRoute { at, route },
            Self::RemoveRoute { at, route } => Self::AddRoute { at, route },
        }
    }
}

impl fmt::Display for Step {
    /// One line for `podbond plan`, in the imperative.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let driver = |name: &Option<String>| name.clone().unwrap_or_else(|| "no driver".to_owned());
        match self {
            Self::AddBond { at, options, mtu, .. } => {
                write!(f, "create bond {at} mode {}", options.mode)?;
                for (option, value) in options.iter() {
                    write!(f, " {} {}", option.name, option.shown(value))?;
                }
                write!(f, " mtu {mtu}")
            }
            Self::RemoveBond { at, .. } => write!(f, "remove bond {at}"),
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
            Self::AddAddress { at, address } => write!(f, "add address {address} to {at}"),
            Self::RemoveAddress { at, address } => write!(f, "remove address {address} from {at}"),
            Self::AddRoute { at, route } => write!(f, "append route {route} through {at}"),
            Self::RemoveRoute { at, route } => write!(f, "remove route {route} through {at}"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{BondMode, Link, Vf, View};

    fn name(text: &str) -> LinkName {
        text.parse().unwrap()
    }

    fn link(index: u32, text: &str) -> Link {
        Link {
            index,
            name: name(text),
            altnames: Vec::new(),
            kind: None,
            mac: Some(Mac::new([2, 0, 0, 0, 0, 1])),
            permanent_mac: None,
            mtu: 1500,
            max_mtu: 9216,
            state: LinkState::Down,
            carrier: false,
            master: None,
            parent: None,
            bond: None,
            aggregator: None,
            port: None,
        }
    }

    /// A node with one VF, which is also known as net1, and a pod with a bond of one port, a link
    /// that is free, and a bond without ports.
    fn view() -> View {
        let bond = Link {
            kind: Some("bond".to_owned()),
            bond: Some(BondOptions::new(BondMode::ActiveBackup)),
            ..link(5, "bond0")
        };
        let port = Link { master: Some(5), state: LinkState::Up, ..link(6, "port") };
        let spare = Link { name: name("bond1"), index: 8, mac: None, max_mtu: 0, ..bond.clone() };
        View {
            host: vec![Link { altnames: vec!["net1".to_owned()], ..link(3, "vf0") }],
            pod: vec![bond, port, link(7, "free"), spare],
            vfs: vec![Vf {
                pci: "0000:01:10.0".parse().unwrap(),
                pf: "0000:01:00.0".parse().unwrap(),
                pf_link: name("pf0"),
                index: 0,
                driver: None,
                settings: VfSettings { vlan: Some(0), ..VfSettings::default() },
            }],
        }
    }

    /// One step of each kind, as the view above allows it.
    pub(crate) fn one_of_each() -> Vec<Step> {
        let (host, pod) = (At::host(name("vf0")), At::pod(name("free")));
        let options = BondOptions::new(BondMode::ActiveBackup);
        let pci = "0000:01:00.0".parse().unwrap();
        let address = "10.56.217.7/24".parse().unwrap();
        let route: Route = serde_json::from_str(r#"{"destination":"0.0.0.0/0"}"#).unwrap();
        let vlan = |vlan| VfSettings { vlan: Some(vlan), ..VfSettings::default() };
        vec![
            Step::AddBond {
                at: At::pod(name("bond2")),
                options: options.clone(),
                mtu: 1500,
                mac: None,
            },
            Step::RemoveBond { at: At::pod(name("bond1")), options, mtu: 1500, mac: None },
            Step::Enslave { port: pod.clone(), bond: name("bond0") },
            Step::Release { port: At::pod(name("port")), bond: name("bond0") },
            Step::SetPort {
                port: At::pod(name("port")),
                from: PortOptions::default(),
                to: serde_json::from_str(r#"{"prio": -3, "queue_id": 2}"#).unwrap(),
            },
            Step::SetPortRole {
                bond: At::pod(name("bond0")),
                role: PortRole::Primary,
                from: None,
                to: Some(name("port")),
            },
            Step::Move { from: host.clone(), to: At::pod(name("net1")) },
            Step::Move { from: host.clone(), to: At::host(name("other")) },
            Step::SetMtu { at: host.clone(), from: 1500, to: 9000 },
            Step::SetMac { at: host.clone(), from: Mac::new([2, 0, 0, 0, 0, 1]), to: Mac::ZERO },
            Step::SetState { at: host.clone(), to: LinkState::Up },
            Step::SetVf { pf: name("pf0"), vf: 0, from: vlan(0), to: vlan(9) },
            Step::SetNumVfs { pf: pci, from: 0, to: 4 },
            Step::BindDriver { pci, from: None, to: Some("vfio-pci".to_owned()) },
            Step::AddAddress { at: pod.clone(), address },
            Step::RemoveAddress { at: pod.clone(), address },
            Step::AddRoute { at: pod.clone(), route: route.clone() },
            Step::RemoveRoute { at: pod, route },
        ]
    }

    #[test]
    fn the_inverse_of_an_inverse_is_the_step() {
        for step in one_of_each() {
            assert_ne!(step.inverse(), step);
            assert_eq!(step.inverse().inverse(), step);
        }
    }

    #[test]
    fn a_step_and_its_inverse_leave_a_view_as_it_was() {
        for step in one_of_each() {
            let mut view = view();
            view.apply(&[step.clone(), step.inverse()]);
            assert_eq!(view, self::view(), "{step}");
        }
    }

    #[test]
    fn steps_survive_being_written_down() {
        for step in one_of_each() {
            let text = serde_json::to_string(&step).unwrap();
            assert_eq!(serde_json::from_str::<Step>(&text).unwrap(), step, "{text}");
        }
    }

    #[test]
    fn each_kind_of_step_says_what_it_does() {
        let lines: Vec<String> = one_of_each().iter().map(ToString::to_string).collect();
        assert_eq!(lines[0], "create bond bond2 (pod) mode active-backup mtu 1500");
        assert_eq!(lines[2], "make free (pod) a port of bond0");
        assert_eq!(lines[5], "set primary of bond0 (pod) to port");
        assert_eq!(lines[6], "move vf0 (host) to net1 (pod)");
        assert_eq!(lines[7], "rename vf0 (host) to other");
        assert_eq!(lines[11], "set VF 0 of pf0 to vlan 9 (was vlan 0)");
    }
}
