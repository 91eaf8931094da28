//! All networks of a pod by one call of the meta-plugin, as a runtime makes it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
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

/// Plugins of others: `older` is Debian's ptp, which knows no GC, `newer` the same with one that keeps what it
/// is given.
fn foreign_plugins() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let add = |name: &str, script: &str| {
        let file = dir.path().join(name);
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    };
    add(
        "newer",
        r#"#!/bin/sh
[ $CNI_COMMAND = GC ] && exec cat >$0.gc
sed 's/"1[.]1[.]0"/"1.0.0"/g' | exec /usr/lib/cni/ptp
"#,
    );
    add("older", "#!/bin/sh\n[ $CNI_COMMAND = GC ] && exec cat >$0.gc\nexec /usr/lib/cni/ptp\n");
    dir
}

/// Promise: gc-forwarded
#[test]
fn gc_reaches_each_network_with_what_is_valid_of_it() {
    let before = Snapshot::take();
    let plugins = foreign_plugins();
    let path = format!("{}:/opt/cni/bin", plugins.path().display());
    let leases = plugins.path().join("leases");
    let network = |name: &str, version: &str, subnet: &str| {
        json!({
            "cniVersion": version, "name": name, "type": name,
            "ipam": {"type": "host-local", "subnet": subnet, "dataDir": leases},
        })
    };
    let mut bond = bond_config(&json!({
        "cniVersion": "1.1.0", "name": "ours", "links": [{"name": "port3"}, {"name": "port4"}],
        "ipam": {"type": "host-local", "subnet": "10.62.3.0/24", "dataDir": leases},
    }));
    bond["miimon"] = "100".into();
    let mut config = config(&json!([
        network("newer", "1.1.0", "10.62.1.0/24"),
        network("older", "1.0.0", "10.62.2.0/24"),
        bond,
    ]));
    config["cniVersion"] = "1.1.0".into();
    let call = |command: &str, container: &str, netns: &str, config: &Value| {
        let call = Call { plugin: "podbond", command, container, netns, ifname: "eth0" };
        let mut process = Command::new("/usr/local/bin/podbond");
        let args = format!("{ARGS};K8S_POD_INFRA_CONTAINER_ID={container}");
        call.run_with_path(&path, process.env("CNI_ARGS", args), &config.to_string())
    };
    let pods = [("kept", pod("meta-kept")), ("gone", pod("meta-gone"))];
    for (id, netns) in &pods {
        netns.ip("link del net2");
        call("ADD", id, &netns.path(), &config).unwrap();
    }
    // Of a pod whose record is lost.
    let lost = leases.join("ours/10.62.3.99");
    fs::write(&lost, "lost\r\nnet2").unwrap();
    let held = |network: &str| {
        let names = fs::read_dir(leases.join(network)).unwrap();
        let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("10.")).count()
    };
    assert_eq!(["newer", "older", "ours"].map(held), [2, 2, 3]);

    let mut gc = config.clone();
    gc["cni.dev/valid-attachments"] = json!([{"containerID": "kept", "ifname": "eth0"}]);
    call("GC", "", "", &gc).unwrap();
    // The pod that the runtime does not name is gone, and the lost lease of our own IPAM plugin.
    assert_eq!(["newer", "older", "ours"].map(held), [1, 1, 1]);
    assert!(!lost.exists());
    assert_eq!(pods[0].1.link("port3")["master"], "net2");
    assert_eq!(pods[1].1.link("net2"), Value::Null);
    let given = fs::read(plugins.path().join("newer.gc")).unwrap();
    let given: Value = serde_json::from_slice(&given).unwrap();
    let kept = json!([{"containerID": "kept", "ifname": "eth0"}]);
    assert_eq!((&given["cni.dev/valid-attachments"], &given["name"]), (&kept, &json!("newer")));
    assert!(!plugins.path().join("older.gc").exists());

    call("DEL", "kept", &pods[0].1.path(), &config).unwrap();
    drop(pods);
    assert_eq!(Snapshot::take(), before);
}
