//! Bonds for tests.

use podbond_bond::Severity;
use podbond_kernel::{BondMode, LinkFunction};

use super::status::{BondState, BondStatus, FindingStatus, ObjectStatus, PortState, PortStatus};

/// Returns a bond that is up.
pub(crate) fn bond(
    name: &str,
    active: Option<&str>,
    ports: impl IntoIterator<Item = PortStatus>,
) -> BondStatus {
    BondStatus {
        interface: name.parse().unwrap(),
        mode: BondMode::ActiveBackup,
        state: BondState::Up,
        mac: None,
        active_port: active.map(|name| name.parse().unwrap()),
        aggregator: None,
        ports: ports.into_iter().collect(),
        findings: Vec::new(),
    }
}

/// Returns a port that is up: VF 0 of a PF.
pub(crate) fn port(name: &str, pf: u8) -> PortStatus {
    let function = LinkFunction {
        pci: format!("0000:0{}:10.0", pf + 1).parse().unwrap(),
        pf: Some(format!("pf{pf}").parse().unwrap()),
        vf: Some(0),
    };
    PortStatus {
        interface: name.parse().unwrap(),
        state: PortState::Up,
        mac: None,
        function: Some(function),
        aggregator: None,
    }
}

/// Returns the same in another state.
pub(crate) fn is(state: PortState, port: PortStatus) -> PortStatus {
    PortStatus { state, ..port }
}

/// Returns a warning.
pub(crate) fn finding(code: &str, kind: &str, name: &str) -> FindingStatus {
    FindingStatus {
        severity: Severity::Warning,
        code: code.to_owned(),
        object: ObjectStatus { kind: kind.to_owned(), names: vec![name.to_owned()] },
        reason: format!("it has {code}"),
        remedy: "look at it".to_owned(),
    }
}
