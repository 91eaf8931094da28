//! All networks of a pod by one call of the meta-plugin, as a runtime makes it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::node::{Call, Netns, Snapshot, bond_config, words};

const ARGS: &str = "IgnoreUnknown=1;K8S_POD_NAMESPACE=demo;K8S_POD_NAME=bondpod1";

fn config(delegates: &Value) -> Value {
    json!({"type": "multus", "cniVersion": "1.0.0", "name": "all", "delegates": delegates})
}

/// Two bonds, the first of them the pod's own network.
fn two_bonds() -> Value {
    let over = |links: [&str; 2], ipam: &Value| {
        let links = links.map(|name| json!({ "name": name }));
        let name = format!("over-{}", links[0]["name"].as_str().unwrap());
        bond_config(&json!({"links": links, "ipam": ipam, "name": name}))
    };
    let ipam = json!({"type": "host-local", "subnet": "10.56.217.0/24"});
    json!([over(["net1", "net2"], &ipam), over(["port3", "port4"], &Value::Null)])
}

fn run(command: &str, netns: &Netns, args: &str, config: &Value) -> Result<Value, Value> {
    let path = netns.path();
    let call = Call { plugin: "podbond", command, container: "c1", netns: &path, ifname: "eth0" };
    call.run_as(Command::new("/usr/local/bin/podbond").env("CNI_ARGS", args), &config.to_string())
}

/// The configuration of a CHECK.
fn after(config: &Value, result: Value) -> Value {
    let mut config = config.clone();
    config["prevResult"] = result;
    config
}

fn pod(name: &str) -> Netns {
    let netns = Netns::with_links(name);
    for port in ["port3", "port4"] {
        netns.ip(&format!("link add {port} type dummy"));
    }
    // net1 is the name of the second network's bond.
    netns.ip("link set net1 down");
    netns.ip("link set net1 name port1");
    netns
}

fn networks() -> Value {
    let mut networks = two_bonds();
    networks[0]["links"][0]["name"] = "port1".into();
    networks
}

#[test]
fn runtime_gets_the_first_networks_result() {
    let before = Snapshot::take();
    let netns = pod("meta");
    let links = netns.links();
    let result = run("ADD", &netns, ARGS, &config(&networks())).unwrap();
    assert_eq!(result["cniVersion"], "1.0.0");
    assert_eq!(result["interfaces"][0]["name"], "eth0");
    assert!(words(&result["ips"][0]["address"]).starts_with("10.56.217."), "{result}");
    assert_eq!(netns.link("port1")["master"], "eth0");
    assert_eq!(netns.link("port3")["master"], "net1");
    // What was made is known from the records, whatever the configuration has become.
    run("DEL", &netns, ARGS, &config(&json!([]))).unwrap();
    run("DEL", &netns, ARGS, &config(&json!([]))).unwrap();
    assert_eq!(netns.links(), links);
    drop(netns);
    assert_eq!(Snapshot::take(), before);
}

/// Promise: del-damaged-state
#[test]
fn pod_with_unreadable_or_lost_records_is_deleted_by_its_configuration() {
    let before = Snapshot::take();
    let netns = pod("meta-lost");
    // Ports are left up where no record tells that they were down.
    for port in ["port1", "port3", "port4"] {
        netns.ip(&format!("link set {port} up"));
    }
    let links = netns.links();
    let files = ["/var/lib/podbond/attachments/c1:eth0", "/run/podbond/attachments/c1:net1"];
    for lose in [
        |files: &[&str]| fs::write(files[1], "{").unwrap(),
        |files: &[&str]| files.iter().for_each(|file| fs::remove_file(file).unwrap()),
    ] {
        let result = run("ADD", &netns, ARGS, &config(&networks())).unwrap();
        let after = after(&config(&networks()), result);
        run("CHECK", &netns, ARGS, &after).unwrap();
        lose(&files);
        run("CHECK", &netns, ARGS, &after).unwrap_err();
        run("DEL", &netns, ARGS, &config(&networks())).unwrap();
        assert_eq!(netns.links(), links);
        assert!(files.iter().all(|file| !Path::new(file).exists()));
    }
    drop(netns);
    assert_eq!(Snapshot::take(), before);
}

#[test]
fn refused_network_undoes_those_before_it() {
    let before = Snapshot::take();
    let netns = pod("meta-refused");
    let links = netns.links();
    let mut networks = networks();
    networks[1]["links"][1]["name"] = "port9".into();
    let error = run("ADD", &netns, ARGS, &config(&networks)).unwrap_err();
    assert!(words(&error["msg"]).contains("port9"), "{error}");
    assert_eq!(netns.links(), links);
    drop(netns);
    assert_eq!(Snapshot::take(), before);
}

/// Promise: status-reasons
#[test]
fn status_reports_what_hinders_any_network() {
    let netns = pod("meta-status");
    let status = |networks: &Value| {
        let mut config = config(networks);
        config["cniVersion"] = "1.1.0".into();
        run("STATUS", &netns, ARGS, &config)
    };
    let mut networks = networks();
    // One address for a pod, in a version that has no STATUS.
    networks[0]["ipam"]["subnet"] = "10.56.218.0/30".into();
    status(&networks).unwrap();
    run("ADD", &netns, ARGS, &config(&networks)).unwrap();
    networks[1]["ipam"] = json!({"type": "not-installed"});
    let error = status(&networks).unwrap_err();
    assert_eq!(error["code"], 50, "{error}");
    for expected in
        ["no address is left in ipam", "plugin \"not-installed\" is not in /opt/cni/bin"]
    {
        assert!(words(&error["msg"]).contains(expected), "{error}");
    }
    run("DEL", &netns, ARGS, &config(&networks)).unwrap();
}

#[test]
fn first_network_gets_what_the_runtime_asks_for() {
    let netns = pod("meta-asks");
    let (mac, other) = ("02:00:00:00:00:07", "02:00:00:00:00:08");
    let mut config = config(&networks());
    config["runtimeConfig"] = json!({ "mac": mac });
    for network in config["delegates"].as_array_mut().unwrap() {
        network["capabilities"] = json!({ "mac": true });
        network["failOverMac"] = 0.into();
    }
    let result = run("ADD", &netns, ARGS, &config).unwrap();
    assert_eq!(result["interfaces"][0]["mac"], mac);
    assert_ne!(netns.link("net1")["address"], mac);
    run("DEL", &netns, ARGS, &config).unwrap();
    // The older way, which goes to the first network alone as well.
    config.as_object_mut().unwrap().remove("runtimeConfig");
    let args = format!("{ARGS};MAC={other};IP=10.56.217.77");
    let result = run("ADD", &netns, &args, &config).unwrap();
    assert_eq!(result["interfaces"][0]["mac"], other);
    assert_eq!(result["ips"][0]["address"], "10.56.217.77/24");
    assert_ne!(netns.link("net1")["address"], other);
    run("CHECK", &netns, &args, &after(&config, result)).unwrap();
    run("DEL", &netns, &args, &config).unwrap();
}

#[test]
fn missing_parameter_of_a_call_is_named() {
    let netns = pod("meta-lacks");
    let error = run("ADD", &netns, "IgnoreUnknown=1", &config(&networks())).unwrap_err();
    assert!(words(&error["msg"]).starts_with("CNI_ARGS: K8S_POD_NAMESPACE and"), "{error}");
    let error = run("ADD", &netns, ARGS, &config(&json!([]))).unwrap_err();
    assert!(words(&error["msg"]).starts_with("field delegates is missing"), "{error}");
}
