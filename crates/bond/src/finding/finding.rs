//! A finding: severity, object and reason, as text and as JSON.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::object::Object;
use super::reason::Reason;
use super::severity::Severity;

/// Something that will not do what it is meant to do. Displayed, it is one line: object, reason,
/// remedy and code.
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
    /// Returns a finding as severe as the table says.
    pub fn new(object: Object, reason: Reason) -> Self {
        Self { severity: reason.kind().severity, object, reason }
    }

    /// Returns the name of its reason, which stays the same from release to release.
    pub fn code(&self) -> &'static str {
        self.reason.kind().code
    }

    /// Returns what to do about it.
    pub fn remedy(&self) -> &'static str {
        self.reason.kind().remedy
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
        finding.serialize_field("reason", &self.reason.to_string())?;
        finding.serialize_field("remedy", self.remedy())?;
        finding.end()
    }
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
        for field in ["reason", "remedy", "code"] {
            assert!(text.contains(json[field].as_str().unwrap()), "{field}: {text}");
        }
        assert!(text.starts_with("PF ens1f0: net1, net2 "), "{text}");
    }
}
