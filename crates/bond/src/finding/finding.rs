use std::fmt;

use podbond_names::LinkName;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::Reason;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// It works, and will not survive all that it is there to survive.
    Warning,
    /// It does not work.
    Error,
}

impl Severity {
    /// Its name in text and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

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
    /// What kind of object it is, in JSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Ports(_) => "port",
            Self::Pf(_) => "pf",
            Self::Card(_) => "card",
            Self::Bond(_) => "bond",
            Self::Pod(_) => "pod",
            Self::Vf(_) => "vf",
            Self::Lease(_) => "lease",
            Self::File(_) => "file",
            Self::Kernel => "kernel",
        }
    }

    /// Its names: none of the kernel, several of ports.
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
            Self::Bond(name) => vec![name.to_string()],
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
            Self::Pod(name) => write!(f, "pod {name}"),
            Self::Vf(pci) => write!(f, "VF {pci}"),
            Self::Lease(whose) => write!(f, "lease of {whose}"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Kernel => f.write_str("kernel"),
        }
    }
}

/// Something that will not do what it is meant to do. Displayed, it is one line: object, reason,
/// mend and code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub object: Object,
    /// What is wrong with it.
    pub reason: Reason,
}

impl Finding {
    /// A finding as severe as the table says.
    pub fn new(object: Object, reason: Reason) -> Self {
        Self { severity: reason.kind().severity, object, reason }
    }

    /// The name of its reason, which stays the same from release to release.
    pub fn code(&self) -> &'static str {
        self.reason.kind().code
    }

    /// What to do about it.
    pub fn mend(&self) -> &'static str {
        self.reason.kind().mend
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {} ({})", self.object, self.reason, self.mend(), self.code())
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Named {
            kind: &'static str,
            names: Vec<String>,
        }
        let object = Named { kind: self.object.kind(), names: self.object.names() };
        let mut finding = serializer.serialize_struct("Finding", 5)?;
        finding.serialize_field("severity", self.severity.as_str())?;
        finding.serialize_field("code", self.code())?;
        finding.serialize_field("object", &object)?;
        finding.serialize_field("reason", &self.reason.to_string())?;
        finding.serialize_field("mend", self.mend())?;
        finding.end()
    }
}

/// Names in a sentence.
pub(super) fn listed<T: ToString>(names: &[T]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_agree() {
        let ports = vec!["net1".parse().unwrap(), "net2".parse().unwrap()];
        let finding =
            Finding::new(Object::Pf("ens1f0".to_owned()), Reason::PortsShareAPf { ports });
        let text = finding.to_string();
        let json = serde_json::to_value(&finding).unwrap();
        assert_eq!(json["severity"], "warning");
        assert_eq!(json["object"], serde_json::json!({"kind": "pf", "names": ["ens1f0"]}));
        for field in ["reason", "mend", "code"] {
            assert!(text.contains(json[field].as_str().unwrap()), "{field}: {text}");
        }
        assert!(text.starts_with("PF ens1f0: net1, net2 "), "{text}");
    }
}
