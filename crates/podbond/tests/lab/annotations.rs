//! What a pod asks for by its annotations beside the names of networks, as `podbond apply` meets it: default
//! routes, another default network, keys that nobody takes, networks whose configuration is the node's.

use std::fs;

use serde_json::{Value, json};

use crate::node::{apply, failed, in_pod, interface, nad, podbond, status, succeeded, words};

/// A network that makes a veth pair, with a default route of its own.
fn bridge(subnet: &str, changes: &Value) -> Value {
    let mut config = json!({
        "cniVersion": "1.0.0", "name": format!("net-{subnet}"), "type": "bridge", "bridge": "br-asked",
        "isGateway": true,
        "ipam": {"type": "host-local", "subnet": format!("{subnet}.0/24"),
                 "routes": [{"dst": "0.0.0.0/0"}]},
    });
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

fn pod(annotations: &Value) -> String {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "asks", "namespace": "demo", "annotations": annotations},
    });
    format!("{pod}\n---\n")
}

fn networks(list: &Value) -> Value {
    json!({"k8s.v1.cni.cncf.io/networks": list.to_string()})
}

/// The pod and the bridge, removed when the value is dropped.
struct Asks;

impl Drop for Asks {
    fn drop(&mut self) {
        let _ = podbond(&["delete", "pod", "asks", "-n", "demo"]);
        for name in ["a", "b"] {
            let _ = podbond(&["delete", "networkattachmentdefinition", name, "-n", "demo"]);
        }
        let _ = std::process::Command::new("ip").args(["link", "del", "br-asked"]).output();
    }
}

fn default_routes() -> Vec<String> {
    let routes = in_pod("asks", &["ip", "-4", "route", "show", "default"]);
    routes.lines().map(|line| line.trim().to_owned()).collect()
}

/// Promise: default-route-chosen
#[test]
fn empty_default_route_leaves_that_of_its_network_alone() {
    let _asks = Asks;
    let manifest = nad("a", &bridge("10.61.1", &json!({})).to_string());
    let beside = networks(&json!([{"name": "a"}]));
    succeeded(&apply(&(manifest.clone() + &pod(&beside))));
    assert_eq!(default_routes().len(), 2);
    succeeded(&podbond(&["delete", "pod", "asks", "-n", "demo"]));

    let chosen = networks(&json!([{"name": "a", "default-route": []}]));
    succeeded(&apply(&(manifest + &pod(&chosen))));
    assert_eq!(default_routes(), ["default via 10.61.1.1 dev net1"]);
    let pod = status("asks");
    let gateways: Vec<&Value> =
        pod["networkStatus"].as_array().unwrap().iter().map(|entry| &entry["gateway"]).collect();
    assert_eq!(gateways, [&Value::Null, &json!(["10.61.1.1"])]);
}

#[test]
fn empty_default_route_without_one_of_the_network_changes_nothing_and_is_told() {
    let _asks = Asks;
    let plain = bridge("10.61.2", &json!({"ipam": {}, "isGateway": false}));
    let chosen = networks(&json!([{"name": "a", "default-route": []}]));
    let output = apply(&(nad("a", &plain.to_string()) + &pod(&chosen)));
    succeeded(&output);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("default-route is [], and its network gives it no default"), "{told}");
    assert!(default_routes()[0].contains("dev eth0"));
}

#[test]
fn default_network_of_the_annotation_is_eth0() {
    let _asks = Asks;
    let manifest = nad("a", &bridge("10.61.3", &json!({})).to_string());
    let mut annotations = networks(&json!([]));
    annotations["v1.multus-cni.io/default-network"] = "demo/a".into();
    succeeded(&apply(&(manifest + &pod(&annotations))));
    let pod = status("asks");
    assert!(words(&interface(&pod, "eth0")["addresses"][0]).starts_with("10.61.3."), "{pod}");
    let entry = &pod["networkStatus"][0];
    assert_eq!((&entry["name"], &entry["default"]), (&json!("demo/a"), &json!(true)));
}

/// Promise: annotation-told
#[test]
fn what_has_no_effect_is_told_or_refused_as_the_administrator_says() {
    let _asks = Asks;
    let manifest = nad("a", &bridge("10.61.4", &json!({})).to_string());
    let mut annotations =
        networks(&json!([{"name": "a", "ips": ["10.61.4.77"], "vlan": 7, "com.example.x": 1}]));
    annotations["k8s.v1.cni.cncf.io/network"] = "a".into();
    let manifest = manifest + &pod(&annotations);
    let file = "/etc/podbond/config.toml";
    fs::create_dir_all("/etc/podbond").unwrap();
    fs::write(file, "[networks]\nundeclared-capability = \"refuse\"\n").unwrap();
    let refused = failed(&apply(&manifest));
    fs::remove_file(file).unwrap();
    for part in ["pod demo/asks", "net1 (demo/a): ips has no effect", "undeclared-capability"] {
        assert!(refused.contains(part), "{refused}");
    }
    let output = apply(&manifest);
    succeeded(&output);
    let told = String::from_utf8_lossy(&output.stderr);
    for part in [
        "net1 (demo/a): ips has no effect",
        "net1 (demo/a): vlan is a key that nobody knows",
        "annotation k8s.v1.cni.cncf.io/network has no effect",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("com.example.x"), "{told}");
}

#[test]
fn nad_without_configuration_has_that_of_the_node() {
    let _asks = Asks;
    let file = "/etc/cni/net.d/90-b.conf";
    let manifest = json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "b", "namespace": "demo"},
    });
    let manifest = format!("{manifest}\n---\n") + &pod(&networks(&json!([{"name": "b"}])));
    let refused = failed(&apply(&manifest));
    assert!(refused.contains("demo/b: spec.config is missing"), "{refused}");
    fs::write(file, bridge("10.61.5", &json!({"name": "b"})).to_string()).unwrap();
    let output = apply(&manifest);
    fs::remove_file(file).unwrap();
    succeeded(&output);
    let pod = status("asks");
    assert!(words(&interface(&pod, "net1")["addresses"][0]).starts_with("10.61.5."), "{pod}");
}
