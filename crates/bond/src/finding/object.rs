//! What a finding is about.

use std::fmt;

use podbond_names::LinkName;

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A key of the configuration, with the path to it.
    Key(String),
    /// One or more ports of the bond.
    Ports(Vec<LinkName>),
    /// A PF, by the name of its link, or by its address where it has none here.
    Pf(String),
    /// A card, by the PCI address that its functions share.
    Card(String),
    /// The bond.
    Bond(LinkName),
    /// An attachment's interface in its pod.
    Interface(LinkName),
    /// A pod.
    Pod(String),
    /// A VF, by its PCI address.
    Vf(String),
    /// A lease, by the interface, its pod and its network.
    Lease(String),
    /// A file of podbond's.
    File(String),
    /// The node's kernel.
    Kernel,
}

impl Object {
    /// Returns what kind of object it is, in JSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Ports(_) => "port",
            Self::Pf(_) => "pf",
            Self::Card(_) => "card",
            Self::Bond(_) => "bond",
            Self::Interface(_) => "interface",
            Self::Pod(_) => "pod",
            Self::Vf(_) => "vf",
            Self::Lease(_) => "lease",
            Self::File(_) => "file",
            Self::Kernel => "kernel",
        }
    }

    /// Returns its names: none of the kernel, several of ports.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Ports(ports) => ports.iter().map(ToString::to_string).collect(),
            Self::Key(name)
            | Self::Pf(name)
            | Self::Card(name)
            | Self::Pod(name)
            | Self::Vf(name)
            | Self::Lease(name)
            | Self::File(name) => vec![name.clone()],
            Self::Bond(name) | Self::Interface(name) => vec![name.to_string()],
            Self::Kernel => Vec::new(),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => f.write_str(key),
            Self::Ports(ports) if ports.len() == 1 => write!(f, "port {}", ports[0]),
            Self::Ports(ports) => write!(f, "ports {}", listed(ports)),
            Self::Pf(name) => write!(f, "PF {name}"),
            Self::Card(slot) => write!(f, "card {slot}"),
            Self::Bond(name) => write!(f, "bond {name}"),
            Self::Interface(name) => write!(f, "interface {name}"),
            Self::Pod(name) => write!(f, "pod {name}"),
            Self::Vf(pci) => write!(f, "VF {pci}"),
            Self::Lease(whose) => write!(f, "lease of {whose}"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Kernel => f.write_str("kernel"),
        }
    }
}

/// Returns names in a sentence.
pub(crate) fn listed<T: ToString>(names: &[T]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
