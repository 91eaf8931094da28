//! What the crate does with real namespaces and routes: run by `cargo xtask test` as root, in the
//! virtual machine.
#![allow(clippy::unwrap_used, reason = "a panic is the report of a failure")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command as Process;
use std::sync::Mutex;

use podbond_api::{NETWORKS_ANNOTATION, Nad, ObjectKey, Pod, ResourceName};
use podbond_attach::{
    Added, Attacher, Chain, Device, DeviceInfoFiles, Devices, Error, Sandbox, Source, annotation,
    default_network,
};
use podbond_cni::{CniResult, ContainerId, Delegates, Failure, Lookup, Plugin, Request, Version};
use podbond_kernel::NamedNetns;
use podbond_names::PciAddress;
use podbond_record::Records;
use serde_json::{Value, json};

/// iproute2's `ip`: its output, and a panic when it fails.
fn ip(arguments: &str) -> String {
    let output = Process::new("ip").args(arguments.split_whitespace()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {words}");
    String::from_utf8(output.stdout).unwrap()
}

/// Makes one end of a veth pair inside of the pod. Network `10.88.0` gives it `10.88.0.2/24` and
/// `fd00:88::2/64`, and default routes by `.1` and `::1`, eth0's of a protocol. Its DEL notes whether
/// there was a namespace.
struct Veth {
    protocol: &'static str,
    deleted_in: Mutex<Vec<Option<String>>>,
}

impl Default for Veth {
    fn default() -> Self {
        Self { protocol: "boot", deleted_in: Mutex::default() }
    }
}

fn name_of(netns: &Path) -> String {
    netns.file_name().unwrap().to_str().unwrap().to_owned()
}

impl Plugin for Veth {
    fn name(&self) -> &'static str {
        "veth"
    }

    fn add(&self, request: &Request, _: &Delegates<'_>) -> Result<CniResult, Failure> {
        let netns = request.netns.as_ref().unwrap();
        let (pod, link) = (name_of(netns), &request.ifname);
        let subnet = &request.config.name;
        ip(&format!("-n {pod} link add {link} type veth peer name p{link}"));
        ip(&format!("-n {pod} link set p{link} up"));
        ip(&format!("-n {pod} link set {link} up"));
        let protocol = if link.as_str() == "eth0" { self.protocol } else { "boot" };
        ip(&format!("-n {pod} addr add {subnet}.2/24 dev {link}"));
        ip(&format!("-n {pod} route append default via {subnet}.1 dev {link} proto {protocol}"));
        let v6 = format!("fd00:{}:", subnet.split('.').nth(1).unwrap());
        ip(&format!("-n {pod} addr add {v6}:2/64 dev {link} nodad"));
        ip(&format!("-n {pod} -6 route append default via {v6}:1 dev {link} proto {protocol}"));
        let result = json!({
            "interfaces": [{"name": link, "sandbox": netns}],
            "ips": [{
                "address": format!("{subnet}.2/24"), "gateway": format!("{subnet}.1"),
                "interface": 0,
            }],
            "routes": [{"dst": "0.0.0.0/0"}],
        });
        CniResult::from_value(&result, Version::V1_0_0)
    }

    fn del(&self, request: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        let pod = request.netns.as_deref().map(name_of);
        if let Some(pod) = &pod {
            ip(&format!("-n {pod} link del {}", request.ifname));
        }
        self.deleted_in.lock().unwrap().push(pod);
        Ok(())
    }

    fn check(&self, _: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        unreachable!("the attacher does not check")
    }
}

struct Nads;

impl Source for Nads {
    fn nad(&self, key: &ObjectKey) -> Result<Option<Nad>, Failure> {
        let config = json!({"cniVersion": "1.0.0", "name": "10.1.0", "type": "veth"});
        Ok(Some(Nad {
            key: key.clone(),
            annotations: BTreeMap::new(),
            resource: None,
            config: Some(config.to_string()),
        }))
    }
}

struct NoDevices;

impl Devices for NoDevices {
    fn choose(&self, _: &ResourceName) -> Result<Device, Failure> {
        unreachable!("no network here has a resource")
    }

    fn choose_this(&self, _: PciAddress) -> Result<Device, Failure> {
        unreachable!("no network here names a device")
    }
}

/// A pod with eth0 and net1, which asks for these gateways.
struct Node {
    state: tempfile::TempDir,
    veth: Veth,
    sandbox: Sandbox,
    name: &'static str,
}

impl Node {
    fn new(name: &'static str) -> Self {
        if let Some(left) = NamedNetns::find(name).unwrap() {
            left.remove().unwrap();
        }
        let netns = NamedNetns::create(name).unwrap().path().to_owned();
        let container_id = ContainerId::try_from(name.to_owned()).unwrap();
        let pod = serde_json::from_value(json!({"namespace": "demo", "name": "pod"})).unwrap();
        let sandbox = Sandbox { pod, container_id, netns, meta_network: None };
        let state = tempfile::tempdir().unwrap();
        let eth0 = r#"{"cniVersion": "1.0.0", "name": "10.88.0", "type": "veth"}"#;
        std::fs::write(state.path().join("a.conf"), eth0).unwrap();
        Self { state, veth: Veth::default(), sandbox, name }
    }

    fn with<T>(&self, act: impl FnOnce(&Attacher<'_>) -> T) -> T {
        act(&Attacher {
            delegates: &Delegates::new(&[&self.veth], Lookup::PathThenBuiltin),
            devices: &NoDevices,
            records: &self.records(),
            path: &[],
            device_info: &DeviceInfoFiles::default(),
        })
    }

    fn add(&self, networks: &str) -> Result<Added, Error> {
        let pod = Pod {
            key: "demo/pod".parse().unwrap(),
            uid: None,
            annotations: [(NETWORKS_ANNOTATION.to_owned(), networks.to_owned())].into(),
        };
        let default = default_network(self.state.path()).unwrap();
        let chain = Chain::resolve(&pod, &Nads, default.as_ref()).unwrap();
        self.with(|attacher| attacher.add(&self.sandbox, &chain))
    }

    fn delete(&self) -> Vec<Error> {
        self.with(|attacher| attacher.delete(&self.sandbox.container_id, || None))
    }

    fn remove_netns(&self) {
        NamedNetns::find(self.name).unwrap().unwrap().remove().unwrap();
    }

    /// The gateway and link of each default route of a family, `-4` or `-6`.
    fn default_routes(&self, family: &str) -> Vec<String> {
        let shown = ip(&format!("-n {} {family} route show default", self.name));
        let words: Vec<&str> = shown.split_whitespace().collect();
        // An IPv6 route with several next hops has a line for each of them.
        let of = words.windows(4).filter(|words| words[0] == "via" && words[2] == "dev");
        of.map(|words| format!("{} {}", words[1], words[3])).collect()
    }

    fn deleted_in(&self) -> Vec<Option<String>> {
        std::mem::take(&mut *self.veth.deleted_in.lock().unwrap())
    }

    fn records(&self) -> Records {
        Records::new(&self.state.path().join("lib"), &self.state.path().join("run"))
    }

    fn has_records(&self) -> bool {
        let (records, unreadable) = self.records().all().unwrap();
        assert_eq!(unreadable, []);
        !records.is_empty()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Ok(Some(netns)) = NamedNetns::find(self.name) {
            netns.remove().unwrap();
        }
    }
}

#[test]
fn new_namespace_at_the_same_path_is_another_one() {
    let node = Node::new("attach-new");
    node.add("a").unwrap();
    let message = node.add("a").unwrap_err().to_string();
    assert!(message.contains("interface eth0 for network 10.88.0: container"), "{message}");
    assert_eq!(node.deleted_in(), []);

    node.remove_netns();
    NamedNetns::create(node.name).unwrap();
    node.add("a").unwrap();
    // The old attachments were not looked for in the new namespace.
    assert_eq!(node.deleted_in(), [None, None]);

    assert_eq!(node.delete(), []);
    assert_eq!(node.deleted_in(), [Some(node.name.to_owned()), Some(node.name.to_owned())]);
    assert!(!node.has_records());
}

#[test]
fn delete_succeeds_where_the_namespace_is_gone() {
    let node = Node::new("attach-gone");
    node.add("a").unwrap();
    node.remove_netns();
    assert_eq!(node.delete(), []);
    assert_eq!(node.deleted_in(), [None, None]);
    assert!(!node.has_records());
    let message = node.add("a").unwrap_err().to_string();
    assert!(message.contains("attach-gone is not a network namespace"), "{message}");
}

#[test]
fn default_routes_add_up_without_default_route_key() {
    let node = Node::new("attach-beside");
    node.add("a").unwrap();
    assert_eq!(node.default_routes("-4"), ["10.88.0.1 eth0", "10.1.0.1 net1"]);
}

#[test]
fn default_route_is_set_through_its_attachment() {
    let node = Node::new("attach-route");
    let added = node.add(r#"[{"name": "a", "default-route": ["10.1.0.7"]}]"#).unwrap();
    assert_eq!(node.default_routes("-4"), ["10.1.0.7 net1"]);
    let written: Value = serde_json::from_str(&annotation(&added.statuses)).unwrap();
    let wanted = json!([
        {"name": "10.88.0", "interface": "eth0", "ips": ["10.88.0.2"], "default": true, "dns": {}},
        {"name": "demo/a", "interface": "net1", "ips": ["10.1.0.2"], "dns": {},
         "gateway": ["10.1.0.7"]},
    ]);
    assert_eq!(written, wanted);
    assert_eq!(node.delete(), []);
    assert_eq!(node.default_routes("-4"), [""; 0]);
}

#[test]
fn each_address_family_has_its_own_default_route() {
    let node = Node::new("attach-families");
    node.add(r#"[{"name": "a", "default-route": ["fd00:1::7"]}]"#).unwrap();
    assert_eq!(node.default_routes("-4").len(), 2);
    assert_eq!(node.default_routes("-6"), ["fd00:1::7 net1"]);
}

#[test]
fn default_route_of_any_protocol_is_replaced() {
    // As routing daemons and router advertisements add them. The kernel joins both of IPv6.
    for (name, protocol) in [("attach-static", "static"), ("attach-ra", "ra")] {
        let mut node = Node::new(name);
        node.veth.protocol = protocol;
        node.add(r#"[{"name": "a", "default-route": ["10.1.0.7", "fd00:1::7"]}]"#).unwrap();
        assert_eq!(node.default_routes("-4"), ["10.1.0.7 net1"]);
        assert_eq!(node.default_routes("-6"), ["fd00:1::7 net1"]);
        assert_eq!(node.delete(), []);
    }
}

#[test]
fn unreachable_gateway_undoes_the_chain() {
    let node = Node::new("attach-unreachable");
    let error = node.add(r#"[{"name": "a", "default-route": ["192.0.2.1"]}]"#).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("interface net1 for network demo/a: default-route cannot"),
        "{message}"
    );
    assert_eq!(node.deleted_in().len(), 2);
    let links = ip(&format!("-n {} -o link show type veth", node.name));
    assert!(links.is_empty(), "{links}");
    assert!(!node.has_records());
}
