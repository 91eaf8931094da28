//! The bond plugin over VFs of the node: hardware, which outlives the pod's namespace.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use serde_json::{Value, json};

use crate::node::{
    Call, HostRules, Netns, Snapshot, WithNetworks, bond_config, has_links, ip, wait_for,
};

fn call<'c>(command: &'c str, netns: &'c str) -> Call<'c> {
    Call { plugin: "bond", command, container: "c1", netns, ifname: "bond0" }
}

/// The first VF of each PF, up.
fn vfs() -> [String; 2] {
    let vfs = ["pf0", "pf1"].map(|pf| {
        let links = fs::read_dir(format!("/sys/class/net/{pf}/device/virtfn0/net")).unwrap();
        links.map(|link| link.unwrap().file_name().into_string().unwrap()).next().unwrap()
    });
    for vf in &vfs {
        ip(&format!("link set {vf} up"));
    }
    vfs
}

fn over(vfs: &[String; 2], changes: &Value) -> Value {
    let links = vfs.each_ref().map(|vf| json!({ "name": vf }));
    let mut config = bond_config(&json!({"linksInContainer": false, "links": links}));
    config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    config
}

/// Promise: del-namespace-gone
#[test]
fn vfs_with_the_bonds_mac_return_with_their_own() {
    let networks = WithNetworks::vfs_alone();
    let _rules = HostRules::allow_all();
    let trust = |trust: &str| {
        for pf in ["pf0", "pf1"] {
            ip(&format!("link set {pf} vf 0 trust {trust}"));
        }
    };
    trust("on");
    let vfs = vfs();
    let before = Snapshot::take();
    let one_address = json!({"mode": "balance-xor", "failOverMac": 0});
    let config = over(&vfs, &one_address);
    let netns = Netns::with_links("one");
    let path = netns.path();
    call("ADD", &path).run(&config).unwrap();
    let [first, second] = vfs.each_ref().map(|vf| netns.link(vf)["address"].clone());
    assert_eq!(first, second);
    call("DEL", &path).run(&config).unwrap();
    // Undone, and then deleted.
    let mut refused = config.clone();
    refused["ipam"] = json!({"type": "host-local", "subnet": "10.56.217.0/33"});
    call("ADD", &path).run(&refused).unwrap_err();
    call("DEL", &path).run(&refused).unwrap();
    drop(netns);
    assert_eq!(Snapshot::take(), before);
    // With the namespace gone.
    let netns = Netns::with_links("one");
    call("ADD", &path).run(&config).unwrap();
    drop(netns);
    call("DEL", &path).run(&config).unwrap();
    assert_eq!(Snapshot::take(), before);
    for vf in &vfs {
        ip(&format!("link set {vf} down"));
    }
    trust("off");
    networks.end();
}

/// Promise: killed-sequences, del-namespace-gone, del-namespace-kept
#[test]
fn hardware_links_of_a_vanished_namespace_are_restored() {
    let networks = WithNetworks::vfs_alone();
    let _rules = HostRules::allow_all();
    let vfs = vfs();
    let before = Snapshot::take();
    let netns = Netns::with_links("vanished");
    let path = netns.path();
    let config = over(&vfs, &json!({}));
    call("ADD", &path).run(&config).unwrap();
    assert_eq!(netns.link(&vfs[0])["master"], "bond0");
    // What the pod has done to them ends with them.
    netns.ip(&format!("link set {} promisc on alias the-pods txqueuelen 77", vfs[0]));
    drop(netns);
    call("DEL", &path).run(&config).unwrap();
    assert_eq!(Snapshot::take(), before);
    let link: Value = serde_json::from_str(&ip(&format!("-d -j link show {}", vfs[0]))).unwrap();
    assert_eq!((&link[0]["promiscuity"], &link[0]["ifalias"]), (&json!(0), &json!(null)));
    assert_ne!(link[0]["txqlen"], 77);
    // So they are when the container is added again by another configuration.
    let netns = Netns::with_links("vanished");
    call("ADD", &path).run(&config).unwrap();
    drop(netns);
    let netns = Netns::with_links("again");
    call("ADD", &netns.path()).run(&bond_config(&json!({}))).unwrap();
    call("DEL", &netns.path()).run(&bond_config(&json!({}))).unwrap();
    drop(netns);
    assert_eq!(Snapshot::take(), before);
    // A process keeps the namespace whose name is gone: DEL waits, warns and succeeds. The links come back
    // once the process ends, down.
    let netns = Netns::with_links("vanished");
    call("ADD", &path).run(&config).unwrap();
    let mut keeper = keep(&netns);
    drop(netns);
    call("DEL", &path).run(&config).unwrap();
    assert!(!Path::new("/var/lib/podbond/attachments/c1:bond0").exists());
    keeper.kill().and_then(|()| keeper.wait()).unwrap();
    wait_for("the VFs are back", || has_links("pf0", 1) && has_links("pf1", 1));
    for vf in &vfs {
        ip(&format!("link set {vf} up"));
    }
    assert_eq!(Snapshot::take(), before);
    // The next bond takes them, before the DEL of the one whose namespace is gone.
    let netns = Netns::with_links("vanished");
    call("ADD", &path).run(&config).unwrap();
    drop(netns);
    wait_for("the VFs are back", || has_links("pf0", 1) && has_links("pf1", 1));
    let next = Netns::with_links("next");
    let next_path = next.path();
    let of_next = |command| Call { container: "c2", ..call(command, &next_path) };
    of_next("ADD").run(&config).unwrap();
    let links = next.links();
    call("DEL", &path).run(&config).unwrap();
    assert_eq!(next.links(), links);
    of_next("DEL").run(&config).unwrap();
    drop(next);
    assert_eq!(Snapshot::take(), before);
    // Another pod has them, which no record names, and keeps them.
    let (netns, next) = (Netns::with_links("vanished"), Netns::with_links("next"));
    call("ADD", &path).run(&config).unwrap();
    drop(netns);
    wait_for("the VFs are back", || has_links("pf0", 1) && has_links("pf1", 1));
    for vf in &vfs {
        ip(&format!("link set {vf} netns next"));
    }
    let links = next.links();
    call("DEL", &path).run(&config).unwrap();
    assert_eq!(next.links(), links);
    drop(next);
    wait_for("the VFs are back", || has_links("pf0", 1) && has_links("pf1", 1));
    for vf in &vfs {
        ip(&format!("link set {vf} down"));
    }
    networks.end();
}

/// A process that does not end, in a namespace.
fn keep(netns: &Netns) -> Child {
    let own = fs::read_link("/proc/self/ns/net").unwrap();
    let name = netns.path();
    let name = name.rsplit('/').next().unwrap();
    let keeper = Command::new("ip").args(["netns", "exec", name, "sleep", "600"]).spawn().unwrap();
    let there = format!("/proc/{}/ns/net", keeper.id());
    wait_for("a process is in the namespace", || {
        fs::read_link(&there).is_ok_and(|there| there != own)
    });
    keeper
}
