//! The NAD of a `SriovNetwork`, key by key as the SR-IOV operator writes it.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use podbond_api::{Nad, Object, read_manifests, render};
use serde_json::{Value, json};

/// A network `net` in namespace `ops` with `spec` as its further fields, rendered.
fn nad(spec: &str) -> Nad {
    let manifest = format!(
        "apiVersion: sriovnetwork.openshift.io/v1\n\
         kind: SriovNetwork\n\
         metadata: {{name: net, namespace: ops}}\n\
         spec:\n  resourceName: sriovnic1\n{spec}"
    );
    match read_manifests(&manifest, "test").unwrap().as_slice() {
        [Object::SriovNetwork(network)] => render(network),
        other => panic!("not one network: {other:?}"),
    }
}

fn config(spec: &str) -> Value {
    serde_json::from_str(&nad(spec).config.unwrap()).unwrap()
}

/// What every configuration holds, with `more` added or in its place.
fn with(more: Value) -> Value {
    let mut config = json!({
        "cniVersion": "1.0.0", "name": "net", "type": "sriov",
        "vlan": 0, "vlanQoS": 0, "ipam": {},
    });
    let (Value::Object(all), Value::Object(more)) = (&mut config, more) else { panic!() };
    all.extend(more);
    config
}

#[test]
fn minimal_network_renders_to_this_text() {
    assert_eq!(
        nad("").config.unwrap(),
        r#"{"cniVersion":"1.0.0","name":"net","type":"sriov","vlan":0,"vlanQoS":0,"ipam":{}}"#
    );
}

#[test]
fn only_given_fields_are_rendered() {
    let cases = [
        ("  vlan: 100", json!({"vlan": 100})),
        ("  vlan: 7\n  vlanQoS: 5", json!({"vlan": 7, "vlanQoS": 5})),
        ("  vlan: 7\n  vlanProto: 802.1q", json!({"vlan": 7, "vlanProto": "802.1q"})),
        ("  vlan: 7\n  vlanProto: 802.1AD", json!({"vlan": 7, "vlanProto": "802.1ad"})),
        ("  vlanProto: \"\"", json!({})),
        ("  spoofChk: \"on\"", json!({"spoofchk": "on"})),
        ("  spoofChk: off", json!({"spoofchk": "off"})),
        ("  spoofChk: ~", json!({})),
        ("  trust: on", json!({"trust": "on"})),
        ("  trust: true", json!({"trust": "on"})),
        ("  trust: \"off\"", json!({"trust": "off"})),
        ("  linkState: auto", json!({"link_state": "auto"})),
        ("  linkState: enable", json!({"link_state": "enable"})),
        ("  linkState: disable", json!({"link_state": "disable"})),
        ("  minTxRate: 0", json!({"min_tx_rate": 0})),
        ("  minTxRate: 10\n  maxTxRate: 100", json!({"min_tx_rate": 10, "max_tx_rate": 100})),
        ("  minTxRate: 10\n  maxTxRate: 0", json!({"min_tx_rate": 10, "max_tx_rate": 0})),
        (
            "  capabilities: '{\"mac\": true, \"ips\": true}'",
            json!({"capabilities": {"mac": true, "ips": true}}),
        ),
        ("  logLevel: debug", json!({"logLevel": "debug"})),
        ("  logFile: /var/log/sriov.log", json!({"logFile": "/var/log/sriov.log"})),
        (
            "  ipam: |\n    {\n      \"type\": \"host-local\",\n      \"subnet\": \"10.56.217.0/24\"\n    }",
            json!({"ipam": {"type": "host-local", "subnet": "10.56.217.0/24"}}),
        ),
    ];
    for (spec, more) in cases {
        assert_eq!(config(spec), with(more), "{spec}");
    }
}

#[test]
fn meta_plugins_follow_the_sriov_plugin() {
    let spec = "  trust: \"on\"\n  metaPlugins: |\n    {\"type\": \"tuning\", \"sysctl\": {\"a\": \"1\"}},\n    {\"type\": \"vrf\", \"vrfname\": \"blue\"}";
    assert_eq!(
        config(spec),
        json!({
            "cniVersion": "1.0.0",
            "name": "net",
            "plugins": [
                {"type": "sriov", "vlan": 0, "trust": "on", "vlanQoS": 0, "ipam": {}},
                {"type": "tuning", "sysctl": {"a": "1"}},
                {"type": "vrf", "vrfname": "blue"},
            ],
        })
    );
}

#[test]
fn nad_is_in_network_namespace() {
    assert_eq!(nad("").key.to_string(), "ops/net");
    assert_eq!(nad("  networkNamespace: demo").key.to_string(), "demo/net");
}

#[test]
fn annotations_name_resource_and_owner() {
    let nad = nad("  networkNamespace: demo");
    let annotations: Vec<_> =
        nad.annotations.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(
        annotations,
        [
            ("k8s.v1.cni.cncf.io/resourceName", "openshift.io/sriovnic1"),
            (
                "sriovnetwork.openshift.io/owner-ref",
                "SriovNetwork.sriovnetwork.openshift.io/ops/net"
            ),
        ]
    );
    assert_eq!(nad.resource.unwrap().as_str(), "sriovnic1");
}
