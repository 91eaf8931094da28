//! What is read from a manifest, and how each wrong field is reported.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use podbond_api::{
    DeviceType, Error, LinkType, Management, Object, PciId, SriovNetworkNodePolicy, read_manifests,
};

fn policy_text(spec: &str) -> String {
    format!(
        "apiVersion: sriovnetwork.openshift.io/v1\n\
         kind: SriovNetworkNodePolicy\n\
         metadata: {{name: p, namespace: ops}}\n\
         spec:\n{spec}\n"
    )
}

fn policy(spec: &str) -> SriovNetworkNodePolicy {
    match read_manifests(&policy_text(spec), "test").unwrap().as_slice() {
        [Object::SriovNetworkNodePolicy(policy)] => policy.clone(),
        other => panic!("not one policy: {other:?}"),
    }
}

fn refusal(text: &str) -> String {
    match read_manifests(text, "m.yaml") {
        Err(error) => error.to_string(),
        Ok(objects) => panic!("was accepted: {objects:?}\n{text}"),
    }
}

const NAD: &str = "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n";

#[test]
fn documents_and_lists_are_read_in_order() {
    let text = r#"
# A comment alone is no document.
---
apiVersion: v1
kind: Namespace
metadata: {name: demo}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: a}
- apiVersion: v1
  kind: PodList
  items:
  - apiVersion: v1
    kind: Pod
    metadata: {name: b, namespace: demo}
---
{"apiVersion": "apps/v1", "kind": "Deployment",
	"metadata": {"name": "d", "namespace": "demo"}}
---
"#;
    let names: Vec<_> = read_manifests(text, "test")
        .unwrap()
        .into_iter()
        .map(|object| match object {
            Object::Other { kind, name } => format!("not looked at: {kind} {name}"),
            Object::Pod(pod) => format!("Pod {}", pod.key),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        names,
        [
            "not looked at: Namespace demo",
            "Pod default/a",
            "Pod demo/b",
            "not looked at: Deployment demo/d"
        ]
    );
    assert_eq!(read_manifests("", "test").unwrap(), []);
}

#[test]
fn merge_keys_are_followed() {
    let text =
        policy_text("  <<: &base {resourceName: r, numVfs: 2}\n  nicSelector: {vendor: \"8086\"}");
    let objects = read_manifests(&text, "test").unwrap();
    let [Object::SriovNetworkNodePolicy(policy)] = &objects[..] else { panic!("{objects:?}") };
    assert_eq!((policy.resource_name.as_str(), policy.num_vfs), ("r", 2));
}

#[test]
fn quoted_config_need_not_be_indented() {
    let text = format!(
        "{NAD}metadata: {{name: n}}\nspec:\n  config: '{{\n  \"type\": \"bond\",\n\n  \"links\": []\n  }}'\n"
    );
    assert!(read_manifests(&text, "test").is_ok());
}

#[test]
fn policy_fields_are_read() {
    let policy = policy(
        "  resourceName: nic_1\n  nodeSelector: {zone: \"a\"}\n  priority: 99\n  numVfs: 8\n  \
         mtu: 9000\n  deviceType: vfio-pci\n  linkType: ETH\n  externallyManaged: true\n  \
         needVhostNet: true\n  excludeTopology: true\n  eSwitchMode: legacy\n  nicSelector:\n    \
         vendor: \"15b3\"\n    deviceID: \"101d\"\n    rootDevices: [\"0000:3b:00.0\"]\n    \
         pfNames: [ens1f0np0, \"ens1f1np1#2-5\"]\n",
    );
    assert_eq!(policy.key.to_string(), "ops/p");
    assert_eq!(policy.node_selector["zone"], "a");
    assert_eq!((policy.priority, policy.num_vfs, policy.mtu), (99, 8, Some(9000)));
    assert_eq!(policy.device_type, DeviceType::VfioPci);
    assert_eq!(policy.link_type, Some(LinkType::Ethernet));
    assert_eq!(policy.management, Management::External);
    assert!(policy.need_vhost_net && policy.exclude_topology && !policy.is_rdma);
    let nics = policy.nic_selector;
    assert_eq!((nics.vendor, nics.device_id), (Some(PciId(0x15b3)), Some(PciId(0x101d))));
    assert_eq!(nics.root_devices[0].to_string(), "0000:3b:00.0");
    assert_eq!(nics.pf_names[1].vfs.unwrap().indices(), 2..=5);
}

#[test]
fn missing_policy_fields_have_the_operators_defaults() {
    let policy = policy("  resourceName: r\n  numVfs: 1\n  nicSelector: {pfNames: [pf0]}");
    assert_eq!((policy.priority, policy.mtu, policy.link_type), (0, None, None));
    assert_eq!(policy.device_type, DeviceType::Netdevice);
    assert_eq!(policy.management, Management::Managed);
}

#[test]
fn wrong_policy_field_is_named() {
    let base = [("resourceName", "r"), ("numVfs", "4"), ("nicSelector", "{pfNames: [pf0]}")];
    let cases = [
        ("resourceName", "a.b", "spec.resourceName is wrong: resource name \"a.b\" is malformed"),
        ("resourceName", "~", "spec.resourceName is missing: write"),
        ("numVfs", "0", "spec.numVfs is 0: write a whole number from 1 to 65535"),
        ("numVfs", "\"4\"", "spec.numVfs is \"4\": write a whole number"),
        ("numVfs", "1.5", "spec.numVfs is 1.5"),
        ("numVfs", "~", "spec.numVfs is missing"),
        ("priority", "100", "spec.priority is 100: write a whole number from 0 to 99"),
        ("priority", "-1", "spec.priority is -1"),
        ("mtu", "0", "spec.mtu is 0"),
        ("deviceType", "uio", "spec.deviceType is \"uio\": write `netdevice` or `vfio-pci`"),
        ("linkType", "wifi", "spec.linkType is \"wifi\": write one of `ETH`, `eth`"),
        ("eSwitchMode", "switchdev", "spec.eSwitchMode is switchdev, which podbond does not"),
        ("vdpaType", "virtio", "spec.vdpaType"),
        ("isRdma", "\"yes\"", "spec.isRdma is \"yes\": write true or false"),
        ("isRdma", "true\n  deviceType: vfio-pci", "spec.isRdma is true, but spec.deviceType is"),
        ("nodeSelector", "{zone: 1}", "spec.nodeSelector[\"zone\"] is 1: write it in quotes"),
        ("nicSelector", "{}", "spec.nicSelector is missing: write at least one of vendor"),
        ("nicSelector", "{vendor: \"\", pfNames: []}", "spec.nicSelector is missing"),
        ("nicSelector", "[pf0]", "spec.nicSelector is [\"pf0\"]: write a map of fields"),
        ("nicSelector", "{vendor: 8086}", "spec.nicSelector.vendor is 8086: write it in quotes"),
        ("nicSelector", "{vendor: intel}", "spec.nicSelector.vendor is \"intel\": write four"),
        ("nicSelector", "{rootDevices: [\"3b:00\"]}", "spec.nicSelector.rootDevices[0] is wrong"),
        ("nicSelector", "{pfNames: [a, \"b#1\"]}", "spec.nicSelector.pfNames[1] is \"b#1\""),
        ("nicSelector", "{pfNames: [\"b#0-4\"]}", "pfNames[0] is \"b#0-4\", but spec.numVfs is 4"),
        ("nicSelector", "{pfNames: pf0}", "spec.nicSelector.pfNames is \"pf0\": write a list"),
        ("nicSelector", "{netFilter: x}", "spec.nicSelector.netFilter is \"x\", which podbond"),
    ];
    for (field, value, expected) in cases {
        let others = base.iter().filter(|(name, _)| *name != field);
        let lines: Vec<_> = others
            .chain([&(field, value)])
            .map(|(name, value)| format!("  {name}: {value}"))
            .collect();
        let message = refusal(&policy_text(&lines.join("\n")));
        assert!(message.contains(expected), "{field}: {value}: {message}");
        assert!(message.starts_with("m.yaml: SriovNetworkNodePolicy ops/p: "), "{message}");
    }
}

#[test]
fn wrong_network_field_is_named() {
    let cases = [
        ("vlan: 4095", "spec.vlan is 4095: write a whole number from 0 to 4094"),
        ("vlan: 1\n  vlanQoS: 8", "spec.vlanQoS is 8"),
        ("vlanQoS: 3", "spec.vlanQoS is 3, but spec.vlan is 0: set spec.vlan"),
        ("vlanProto: 802.1ad", "spec.vlanProto is 802.1ad, but spec.vlan is 0"),
        ("vlanProto: 802.1x", "spec.vlanProto is \"802.1x\": write one of `802.1"),
        ("spoofChk: maybe", "spec.spoofChk is \"maybe\": write `on` or `off`"),
        ("trust: 1", "spec.trust is 1: write `on` or `off`"),
        ("linkState: up", "spec.linkState is \"up\": write one of `auto`, `enable`, `disable`"),
        ("linkState: true", "spec.linkState is true"),
        ("minTxRate: 200\n  maxTxRate: 100", "spec.minTxRate is 200 Mbit/s, but spec.maxTxRate"),
        ("maxTxRate: 1G", "spec.maxTxRate is \"1G\""),
        ("networkNamespace: Demo", "spec.networkNamespace is wrong: namespace \"Demo\""),
        (
            "ipam: '{\"type\": }'",
            "spec.ipam is not JSON: expected value at line 1, column 10, near",
        ),
        ("ipam: '[]'", "spec.ipam is []: write a JSON object in braces"),
        ("ipam: {type: static}", "spec.ipam is {\"type\":\"static\"}: write a text"),
        ("capabilities: mac", "spec.capabilities is not JSON"),
        ("metaPlugins: '{\"sysctl\": {}}'", "spec.metaPlugins[0].type is missing"),
        ("metaPlugins: '[{\"type\": \"x\"}]'", "without brackets around them"),
        ("logLevel: loud", "spec.logLevel is \"loud\": write one of `panic`, `error`"),
    ];
    for (field, expected) in cases {
        let message = refusal(&format!(
            "apiVersion: sriovnetwork.openshift.io/v1\nkind: SriovNetwork\n\
             metadata: {{name: n, namespace: demo}}\nspec:\n  resourceName: r\n  {field}\n"
        ));
        assert!(message.contains(expected), "{field}: {message}");
        assert!(message.starts_with("m.yaml: SriovNetwork demo/n: "), "{message}");
    }
}

#[test]
fn wrong_nad_field_is_named() {
    let config =
        "spec:\n  config: |\n    {\n      \"type\": \"bond\",\n      \"mtu\": 15x0\n    }\n";
    let message = refusal(&format!("{NAD}metadata: {{name: b, namespace: demo}}\n{config}"));
    assert!(
        message.starts_with("m.yaml: NetworkAttachmentDefinition demo/b: spec.config is not JSON")
    );
    assert!(message.contains("at line 3, column 12, near"), "{message}");
    for (rest, expected) in [
        ("metadata: {name: b}\nspec: {config: {type: bond}}", "spec.config is {\"type\":\"bond\"}"),
        ("metadata: {name: B_1}\nspec: {config: '{}'}", "metadata.name is wrong: object name"),
        ("metadata: {}\nspec: {config: '{}'}", "metadata.name is missing"),
        ("metadata: {name: b, namespace: a.b}", "metadata.namespace is wrong"),
        (
            "metadata: {name: b, annotations: {k8s.v1.cni.cncf.io/resourceName: a/b/}}",
            "metadata.annotations[\"k8s.v1.cni.cncf.io/resourceName\"] is \"a/b/\": write prefix/name",
        ),
        ("metadata: {name: b, annotations: {a: true}}", "metadata.annotations[\"a\"] is true"),
    ] {
        let message = refusal(&format!("{NAD}{rest}\n"));
        assert!(message.contains(expected), "{rest}: {message}");
    }
}

#[test]
fn yaml_error_has_file_line_and_column() {
    let error = read_manifests("a: 1\n---\nb: [1\nc: 2\n", "dir/m.yaml").unwrap_err();
    assert!(matches!(error, Error::Syntax { line: 4, column: 2, .. }), "{error:?}");
    assert!(error.to_string().starts_with("dir/m.yaml:4:2: the text is not YAML: "), "{error}");
    let twice = refusal("kind: Pod\nkind: Pod\n");
    assert!(twice.contains("duplicate entry with key \"kind\""), "{twice}");
}

#[test]
fn document_without_object_is_reported_by_number() {
    for (text, expected) in [
        ("---\n---\nkind: Pod\n", "m.yaml: document 2: apiVersion is missing: write"),
        ("apiVersion: v1\nmetadata: {name: a}\n", "m.yaml: document 1: kind is missing"),
        ("- a\n", "m.yaml: document 1: content is [\"a\"]: write a Kubernetes object"),
        ("apiVersion: v1\nkind: List\nitems: [{kind: Pod}]", "document 1: items[0].apiVersion is"),
        ("kind: Pod\n? [a]\n: 1\n", "document 1: content is YAML that JSON"),
        ("apiVersion: v2\nkind: Pod\nmetadata: {name: a}", "Pod a: apiVersion is \"v2\": write v1"),
    ] {
        let message = refusal(text);
        assert!(message.contains(expected), "{text:?}: {message}");
    }
}

/// Promise: input-limits
#[test]
fn exponential_aliases_are_refused() {
    // Each level stands for ten of the one below it.
    let mut levels = "a0: &a0 [x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        levels.extend([format!("a{level}: &a{level} [{below}]\n")]);
    }
    let message = read_manifests(&levels, "f").unwrap_err().to_string();
    assert!(message.contains("repetition limit exceeded"), "{message}");
}

#[test]
fn deep_nesting_is_refused() {
    let deep = format!("a: {}1{}\n", "[".repeat(500), "]".repeat(500));
    let message = read_manifests(&deep, "f").unwrap_err().to_string();
    assert!(message.contains("recursion limit exceeded"), "{message}");
}
