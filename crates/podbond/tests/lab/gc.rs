//! GC as a runtime calls it: attachments of its network that are not valid any more go, and no others.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::node::{Call, HostRules, Netns, Snapshot, WithNetworks, bond_config, ip};

fn call(command: &str, container: &str, netns: &str, config: &Value) -> Result<Value, Value> {
    Call { plugin: "bond", command, container, netns, ifname: "bond0" }.run(config)
}

/// A bond of this network.
fn network(name: &str, changes: &Value) -> Value {
    let mut config = bond_config(changes);
    config["name"] = json!(name);
    config
}

/// The GC of a network, of whose attachments those of these containers are valid.
fn gc(config: &Value, valid: &[&str]) -> Result<Value, Value> {
    let valid: Vec<Value> =
        valid.iter().map(|id| json!({"containerID": id, "ifname": "bond0"})).collect();
    let mut config = config.clone();
    config["cniVersion"] = json!("1.1.0");
    config["cni.dev/valid-attachments"] = json!(valid);
    call("GC", "", "", &config)
}

/// Promise: gc-own-network
#[test]
fn gc_removes_what_is_not_valid_and_nothing_else() {
    let before = Snapshot::take();
    let pods = ["gc1", "gc2", "gc3"].map(Netns::with_links);
    let links = pods.each_ref().map(Netns::links);
    // Made by a configuration that knows no GC.
    let (ours, other) = (network("ours", &json!({})), network("other", &json!({})));
    for ((id, config), pod) in [("c1", &ours), ("c2", &ours), ("c3", &other)].iter().zip(&pods) {
        call("ADD", id, &pod.path(), config).unwrap();
    }
    let added = pods.each_ref().map(Netns::links);
    gc(&ours, &["c1", "c2"]).unwrap();
    assert_eq!(pods.each_ref().map(Netns::links), added);

    gc(&ours, &["c1"]).unwrap();
    assert_eq!(pods[1].links(), links[1]);
    assert_eq!((pods[0].links(), pods[2].links()), (added[0].clone(), added[2].clone()));
    let leases = |network: &str| {
        let leases = fs::read_dir(format!("/var/lib/cni/networks/{network}")).unwrap();
        let names = leases.map(|lease| lease.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("10.")).count()
    };
    assert_eq!((leases("ours"), leases("other")), (1, 1));

    gc(&ours, &[]).unwrap();
    gc(&other, &[]).unwrap();
    assert_eq!(pods.each_ref().map(Netns::links), links);
    drop(pods);
    assert_eq!(Snapshot::take(), before);
}

#[test]
fn gc_restores_host_links_of_a_namespace_that_is_gone() {
    let networks = WithNetworks::vfs_alone();
    let _rules = HostRules::allow_all();
    let vfs = ["pf0", "pf1"].map(|pf| {
        let links = fs::read_dir(format!("/sys/class/net/{pf}/device/virtfn0/net")).unwrap();
        links.map(|link| link.unwrap().file_name().into_string().unwrap()).next().unwrap()
    });
    for vf in &vfs {
        ip(&format!("link set {vf} up"));
    }
    let before = Snapshot::take();
    let links: Vec<Value> = vfs.iter().map(|vf| json!({ "name": vf })).collect();
    let config = network("ours", &json!({"linksInContainer": false, "links": links}));
    let netns = Netns::with_links("gone");
    call("ADD", "c1", &netns.path(), &config).unwrap();
    let record = Path::new("/var/lib/podbond/attachments/c1:bond0");
    drop(netns);
    gc(&config, &["c1"]).unwrap();
    assert!(record.exists());
    gc(&config, &[]).unwrap();
    assert!(!record.exists());
    assert_eq!(Snapshot::take(), before);
    for vf in &vfs {
        ip(&format!("link set {vf} down"));
    }
    networks.end();
}

/// Promise: gc-own-network
#[test]
fn gc_releases_the_lease_of_a_vf() {
    let networks = WithNetworks::new();
    let before = Snapshot::take();
    let plugins = tempfile::tempdir().unwrap();
    let ipam = plugins.path().join("idle");
    let script = "#!/bin/sh\n[ $CNI_COMMAND = GC ] || exec /usr/lib/cni/host-local\n";
    fs::write(&ipam, script).unwrap();
    fs::set_permissions(&ipam, fs::Permissions::from_mode(0o755)).unwrap();
    let vf = fs::read_link("/sys/class/net/pf0/device/virtfn0").unwrap();
    let mut config = json!({
        "cniVersion": "1.0.0", "name": "ours", "type": "sriov", "vlan": 7,
        "deviceID": vf.file_name().unwrap().to_str(),
        "ipam": {"type": "idle", "subnet": "10.99.0.0/24", "dataDir": plugins.path()},
    });
    let netns = Netns::with_links("idle");
    let sriov = |command, config: &Value| {
        // An interface with a hyphen, which stands between it and the container in a file's name.
        let ifname = "uplink-a";
        let call =
            Call { plugin: "sriov", command, container: "c-1", netns: &netns.path(), ifname };
        let program = &mut Command::new("/opt/cni/bin/sriov");
        call.run_with_path(plugins.path().to_str().unwrap(), program, &config.to_string())
    };
    sriov("ADD", &config).unwrap();
    let lease = plugins.path().join("ours/10.99.0.2");
    assert!(lease.exists());
    config["cniVersion"] = "1.1.0".into();
    config["cni.dev/valid-attachments"] = json!([{"containerID": "c-1", "ifname": "uplink-a"}]);
    sriov("GC", &config).unwrap();
    assert!(lease.exists() && netns.link("uplink-a")["ifname"] == "uplink-a");
    config["cni.dev/valid-attachments"] = json!([]);
    sriov("GC", &config).unwrap();
    assert!(!lease.exists());
    drop(netns);
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

/// Promise: gc-own-network
#[test]
fn unreadable_record_hinders_no_gc() {
    let before = Snapshot::take();
    let pods = ["gc1", "gc2"].map(Netns::with_links);
    let links = pods.each_ref().map(Netns::links);
    let config = network("ours", &json!({}));
    for (id, pod) in ["c1", "c2"].iter().zip(&pods) {
        call("ADD", id, &pod.path(), &config).unwrap();
    }
    // A record that the kernel refuses to read.
    let record = Path::new("/var/lib/podbond/attachments/c1:bond0");
    let whole = fs::read(record).unwrap();
    fs::remove_file(record).unwrap();
    fs::create_dir(record).unwrap();
    let bonded = pods[0].links();
    gc(&config, &[]).unwrap();
    assert_eq!(pods[0].links(), bonded);
    assert_eq!(pods[1].links(), links[1]);
    fs::remove_dir(record).unwrap();
    fs::write(record, whole).unwrap();
    gc(&config, &[]).unwrap();
    assert_eq!(pods[0].links(), links[0]);
    drop(pods);
    assert_eq!(Snapshot::take(), before);
}
