//! Links of the node come back from whatever a pod has made of them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::node::{
    Call, HostRules, Netns, Snapshot, WithNetworks, bond_config, has_links, ip, wait_for,
};

fn call<'c>(command: &'c str, netns: &'c str) -> Call<'c> {
    Call { plugin: "bond", command, container: "c1", netns, ifname: "bond0" }
}

fn over(links: [&str; 2]) -> Value {
    let links = links.map(|name| json!({ "name": name }));
    bond_config(&json!({"linksInContainer": false, "links": links, "ipam": null}))
}

/// What `ip` shows of a link of the node beside what a snapshot has.
fn look(name: &str) -> Value {
    let shown: Value = serde_json::from_str(&ip(&format!("-j -d link show dev {name}"))).unwrap();
    let keys = ["promiscuity", "allmulti", "txqlen", "ifalias", "group", "altnames"];
    json!(keys.map(|key| shown[0][key].clone()))
}

/// Links take1 and take2 of the node for as long as the value lives.
struct Links;

impl Links {
    fn new() -> Self {
        Self::remove();
        for name in ["take1", "take2"] {
            ip(&format!("link add {name} type dummy"));
        }
        ip("link property add dev take1 altname own altname shared");
        ip("link set take1 up alias ours txqueuelen 77");
        Self
    }

    fn remove() {
        for name in ["take1", "take2", "stranger"] {
            let _ = Command::new("ip").args(["link", "del", name]).output();
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        Self::remove();
    }
}

/// Promise: port-found-in-pod
#[test]
fn links_come_back_from_whatever_the_pod_made_of_them() {
    let netns = Netns::with_links("reclaimed");
    let _links = Links::new();
    let _rules = HostRules::allow_all();
    let (before, looks) = (Snapshot::take(), ["take1", "take2"].map(look));
    let config = over(["take1", "take2"]);
    for done in [
        &["link set bond0 down", "link set bond0 name other"][..],
        &[
            "link set take1 nomaster",
            "link set take1 down",
            "link set take1 name app0",
            "link property add dev app0 altname take1",
            "link set app0 promisc on allmulticast on txqueuelen 5 alias theirs group 9 mtu 1300",
        ],
        &[
            "link add br0 type bridge",
            "link set take1 nomaster",
            "link set take1 master br0",
            "link set take1 up",
            "link set take2 nomaster",
            "link add link take2 name vlan7 type vlan id 7",
            "link add link vlan7 name vlan8 type vlan id 8",
            "link add link take2 name mac0 type macvlan",
        ],
        &[
            "link add app type bond mode balance-xor",
            "link set take1 nomaster",
            "link set take2 nomaster",
            "link set take1 down",
            "link set take2 down",
            "link set take1 name one",
            "link set one master app",
            "link set take2 master app",
        ],
    ] {
        call("ADD", &netns.path()).run(&config).unwrap();
        for command in done {
            netns.ip(command);
        }
        call("DEL", &netns.path()).run(&config).unwrap();
        assert_eq!(Snapshot::take(), before, "{done:?}");
        assert_eq!(["take1", "take2"].map(look), looks, "{done:?}");
        for left in ["other", "br0", "app"] {
            let _ = Command::new("ip").args(["-n", "reclaimed", "link", "del", left]).output();
        }
    }
    // An altname that another link of the node has by now.
    call("ADD", &netns.path()).run(&config).unwrap();
    ip("link add stranger type dummy");
    ip("link property add dev stranger altname shared");
    call("DEL", &netns.path()).run(&config).unwrap();
    assert_eq!(look("take1")[5], json!(["own"]));
}

/// Promise: port-found-in-pod, vf-comes-back-new
#[test]
fn vf_of_the_node_comes_back_new() {
    let networks = WithNetworks::vfs_alone();
    let _rules = HostRules::allow_all();
    let vfs = ["pf0", "pf1"].map(|pf| {
        let mut links = fs::read_dir(format!("/sys/class/net/{pf}/device/virtfn0/net")).unwrap();
        links.next().unwrap().unwrap().file_name().into_string().unwrap()
    });
    let [first, second] = vfs.each_ref().map(String::as_str);
    ip(&format!("link property add dev {first} altname first-of-pf0"));
    let (netns, elsewhere) = (Netns::with_links("reclaimed"), Netns::with_links("elsewhere"));
    let (before, looks) = (Snapshot::take(), [first, second].map(look));
    let config = over([first, second]);
    call("ADD", &netns.path()).run(&config).unwrap();
    netns.ip(&format!("link set {first} nomaster"));
    netns.ip(&format!("link set {first} down"));
    netns.ip(&format!("link set {first} name app0"));
    netns.ip("link set app0 promisc on txqueuelen 5 alias theirs");
    netns.ip("link add link app0 name vlan7 type vlan id 7");
    netns.ip("link set vlan7 netns elsewhere");
    netns.ip(&format!("link set {second} nomaster"));
    netns.ip(&format!("link set {second} netns elsewhere"));
    call("DEL", &netns.path()).run(&config).unwrap();
    wait_for("the VFs are back", || has_links("pf0", 1) && has_links("pf1", 1));
    assert_eq!(Snapshot::take(), before);
    assert_eq!([first, second].map(look), looks);
    assert!(elsewhere.link("vlan7").is_null());
    ip(&format!("link property del dev {first} altname first-of-pf0"));
    drop((netns, elsewhere));
    networks.end();
}

/// The kernel takes names that are no UTF-8.
/// Promise: port-found-in-pod
#[test]
fn links_come_back_from_names_that_nobody_can_read() {
    let netns = Netns::with_links("reclaimed");
    let _links = Links::new();
    let _rules = HostRules::allow_all();
    let (before, looks) = (Snapshot::take(), ["take1", "take2"].map(look));
    let config = over(["take1", "take2"]);
    call("ADD", &netns.path()).run(&config).unwrap();
    for number in 1..50 {
        // Names that the kernel would give them.
        netns.ip(&format!("link add dev{number} type dummy"));
    }
    for (name, bytes) in [("bond0", b"x\xff".as_slice()), ("take1", b"\xfe"), ("take2", b"\xc3")] {
        netns.ip(&format!("link set {name} down"));
        let renamed = Command::new("ip")
            .args(["-n", "reclaimed", "link", "set", name, "name"])
            .arg(OsStr::from_bytes(bytes))
            .status();
        assert!(renamed.unwrap().success(), "{name}");
    }
    call("DEL", &netns.path()).run(&config).unwrap();
    assert_eq!(Snapshot::take(), before);
    assert_eq!(["take1", "take2"].map(look), looks);
}
