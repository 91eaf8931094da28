//! Pods and interfaces for tests.

use podbond_kernel::{LinkFunction, LinkState};
use serde_json::Value;

use super::report::{BondStatus, InterfaceStatus, PodStatus, PortStatus};

/// Returns an interface that is up.
pub(super) fn interface(name: &str) -> InterfaceStatus {
    InterfaceStatus {
        name: name.parse().unwrap(),
        state: LinkState::Up,
        carrier: true,
        mac: None,
        mtu: 1500,
        addresses: vec!["fe80::1/64".to_owned()],
        function: None,
        vlan: None,
        bond: None,
        port: None,
    }
}

/// Returns a bond net3.
pub(super) fn bond(mode: &'static str, active_port: Option<&str>) -> InterfaceStatus {
    let active_port = active_port.map(|name| name.parse().unwrap());
    let findings = Vec::new();
    InterfaceStatus {
        bond: Some(BondStatus { mode, active_port, aggregator: None, findings }),
        ..interface("net3")
    }
}

/// Returns a port of the bond net3.
pub(super) fn port(name: &str, pf: &str) -> InterfaceStatus {
    InterfaceStatus {
        function: Some(LinkFunction {
            pci: "0000:01:10.0".parse().unwrap(),
            pf: Some(pf.parse().unwrap()),
            vf: Some(0),
        }),
        port: Some(PortStatus {
            bond: Some("net3".parse().unwrap()),
            active: false,
            counts_as_up: true,
            link_failures: 0,
            lacp: None,
        }),
        ..interface(name)
    }
}

/// Returns the pod demo/bondpod1 with these interfaces.
pub(super) fn pod(interfaces: impl IntoIterator<Item = InterfaceStatus>) -> PodStatus {
    PodStatus {
        title: "demo/bondpod1".to_owned(),
        namespace: "demo".to_owned(),
        name: "bondpod1".to_owned(),
        netns: Some("/run/netns/demo.bondpod1".to_owned()),
        interfaces: interfaces.into_iter().collect(),
        network_status: Value::Null,
    }
}
