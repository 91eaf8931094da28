//! What is legal and will not do what it is meant to do: kind, severity, object and reason, as text and as
//! JSON.

pub mod kind;
mod object;
mod requirement;
mod severity;

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

pub use kind::{Kind, TABLE};
pub use object::Object;
pub(crate) use object::listed;
pub use requirement::{Refused, Requirement};
pub use severity::Severity;

/// Something that will not do what it is meant to do. Displayed, it is one line: object, reason,
/// remedy and code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is the same for all findings of its kind.
    pub kind: &'static Kind,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub object: Object,
    /// What is wrong with it: the part of a sentence that follows the name of the object.
    pub reason: String,
}

impl Finding {
    /// Returns a finding as severe as its kind.
    pub fn new(kind: &'static Kind, object: Object, reason: impl Into<String>) -> Self {
        Self { kind, severity: kind.severity, object, reason: reason.into() }
    }

    /// Returns the name of its kind, which stays the same from release to release.
    pub fn code(&self) -> &'static str {
        self.kind.code
    }

    /// Returns what to do about it.
    pub fn remedy(&self) -> &'static str {
        self.kind.remedy
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {} ({})", self.object, self.reason, self.remedy(), self.code())
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
        finding.serialize_field("reason", &self.reason)?;
        finding.serialize_field("remedy", self.remedy())?;
        finding.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_agree() {
        let pf = Object::Pf("ens1f0".to_owned());
        let finding = Finding::new(&kind::PORTS_SHARE_A_PF, pf, "net1, net2 all run over it");
        let text = finding.to_string();
        let json = serde_json::to_value(&finding).unwrap();
        assert_eq!(json["severity"], "warning");
        assert_eq!(json["object"], serde_json::json!({"kind": "pf", "names": ["ens1f0"]}));
        for field in ["reason", "remedy", "code"] {
            assert!(text.contains(json[field].as_str().unwrap()), "{field}: {text}");
        }
        assert!(text.starts_with("PF ens1f0: net1, net2 "), "{text}");
    }
}
