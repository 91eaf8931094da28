//! The state of a pod's bonds as JSON: what the annotation `podbond.dev/bonds` holds.

use podbond_bond::{Finding, Severity};
use podbond_kernel::{BondMode, LinkFunction};
use podbond_names::{LinkName, Mac};
use serde::{Deserialize, Serialize};

/// The longest value of the annotation, in bytes: a quarter of what an object may have of all of them.
const MAX_BYTES: usize = 64 * 1024;

/// A bond of a pod. Nothing in it changes by itself: texts are equal while the bond is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BondStatus {
    /// Its name in the pod.
    pub interface: LinkName,
    /// Its mode.
    pub mode: BondMode,
    /// Its state.
    pub state: BondState,
    /// Its MAC address now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// The port that carries the traffic, in the modes that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_port: Option<LinkName>,
    /// What an 802.3ad bond uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregator: Option<AggregatorStatus>,
    /// Its ports, in the order of their names.
    #[serde(default)]
    pub ports: Vec<PortStatus>,
    /// What is wrong with it, the worst first.
    #[serde(default)]
    pub findings: Vec<FindingStatus>,
}

/// The state of a bond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BondState {
    /// It has carrier: a port of it is up.
    Up,
    /// It has no carrier yet, and was made just now.
    ComingUp,
    /// It has no carrier: no port of it is up.
    NoCarrier,
    /// It is down by administration.
    Down,
    /// It is recorded, and not in the pod.
    Missing,
}

/// A port of a bond.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortStatus {
    /// Its name in the pod.
    pub interface: LinkName,
    /// Its state.
    pub state: PortState,
    /// Its MAC address now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Its VF, by PCI address, PF and number; none of a link without hardware.
    #[serde(flatten)]
    pub function: Option<LinkFunction>,
    /// The aggregator that it is in, of an 802.3ad bond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregator: Option<u16>,
}

/// The state of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortState {
    /// It has carrier, and its bond uses it or may at once.
    Up,
    /// It has carrier, or its bond was made just now, and its bond does not count it as up yet.
    ComingUp,
    /// It has no carrier, and its bond still counts it as up: its delay is not over, or nothing watches the port.
    GoingDown,
    /// It has carrier, and nobody whom the bond asks by ARP answers there.
    NoAnswer,
    /// It has no carrier.
    NoCarrier,
    /// It is down by administration.
    Down,
}

impl PortState {
    /// Returns whether its bond is without it.
    pub(crate) fn is_lost(self) -> bool {
        matches!(self, Self::NoAnswer | Self::NoCarrier | Self::Down)
    }

    /// Returns whether its bond counts it as up.
    pub(crate) fn counts(self) -> bool {
        matches!(self, Self::Up | Self::GoingDown)
    }
}

/// The aggregator in use of an 802.3ad bond.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AggregatorStatus {
    /// Its number within the bond.
    pub id: u16,
    /// How many ports are in it.
    pub ports: u16,
    /// The system at the other end; none while none was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_mac: Option<Mac>,
}

/// A finding, as `podbond doctor` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingStatus {
    /// How bad it is.
    pub severity: Severity,
    /// The name of its kind, which stays the same from release to release.
    pub code: String,
    /// What it is about.
    pub object: ObjectStatus,
    /// What is wrong: the part of a sentence that follows the object.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectStatus {
    /// What kind of object: `port`, `pf`, `bond` and others.
    pub kind: String,
    /// Its names: several of ports.
    pub names: Vec<String>,
}

impl From<&Finding> for FindingStatus {
    fn from(finding: &Finding) -> Self {
        let (object, names) = (finding.object.kind().to_owned(), finding.object.names());
        Self {
            severity: finding.severity,
            code: finding.code().to_owned(),
            object: ObjectStatus { kind: object, names },
            reason: finding.reason.clone(),
            remedy: finding.remedy().to_owned(),
        }
    }
}

/// Returns the value of the annotation: a JSON list. A pod can give a bond any number of ports; where the text would
/// be too long for an annotation the findings are left out, then the ports.
pub fn annotation(bonds: &[BondStatus]) -> String {
    let mut bonds = bonds.to_vec();
    let shorten: [fn(&mut BondStatus); 2] =
        [|bond| bond.findings.clear(), |bond| bond.ports.clear()];
    let mut text = to_text(&bonds);
    for shorten in shorten {
        if text.len() <= MAX_BYTES {
            break;
        }
        bonds.iter_mut().for_each(shorten);
        text = to_text(&bonds);
    }
    text
}

fn to_text(bonds: &[BondStatus]) -> String {
    // Names, numbers and texts are always JSON.
    serde_json::to_string(bonds).unwrap_or_default()
}

/// Returns the bonds of an annotation's value; none where another release or somebody else wrote it so that it cannot
/// be read.
pub fn from_annotation(text: &str) -> Option<Vec<BondStatus>> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bond, port};
    use super::*;

    #[test]
    fn annotation_is_read_as_it_was_written() {
        let bonds = [bond("net3", Some("net2"), [port("net1", 0), port("net2", 1)])];
        let text = annotation(&bonds);
        assert_eq!(from_annotation(&text).unwrap(), bonds);
        assert_eq!(
            text,
            r#"[{"interface":"net3","mode":"active-backup","state":"up","activePort":"net2","ports":[{"interface":"net1","state":"up","pci":"0000:01:10.0","pf":"pf0","vf":0},{"interface":"net2","state":"up","pci":"0000:02:10.0","pf":"pf1","vf":0}],"findings":[]}]"#
        );
        assert_eq!(annotation(&[]), "[]");
        assert_eq!(from_annotation("what is this"), None);
    }

    #[test]
    fn what_a_later_release_adds_is_passed_over() {
        let text = r#"[{"interface":"net3","mode":"802.3ad","state":"up","since":7}]"#;
        assert_eq!(from_annotation(text).unwrap()[0].mode, BondMode::Lacp);
    }

    #[test]
    fn annotation_has_a_limit() {
        let ports: Vec<PortStatus> = (0..2000).map(|n| port(&format!("p{n}"), 0)).collect();
        let text = annotation(&[BondStatus { ports, ..bond("net3", None, []) }]);
        assert!(text.len() < 200, "{}", text.len());
    }
}
