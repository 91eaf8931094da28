//! Links of the node come back from whatever a pod has made of them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::node::{
    Call, HostRules, Netns, NodeLinks, Snapshot, WithNetworks, begin, bond_config, has_links, ip,
    podbond, succeeded, wait_for,
};

fn call<'c>(command: &'c str, netns: &'c str) -> Call<'c> {
    Call { plugin: "bond", command, container: "c1", netns, ifname: "bond0" }
}

fn over(links: [&str; 2]) -> Value {
    let links = links.map(|name| json!({ "name": name }));
    bond_config(&json!({"linksInContainer": false, "links": links, "ipam": null}))
}

/// The warnings of DEL; it must succeed.
fn warnings_of_del(netns: &Netns, config: &Value) -> String {
    let mut command = Command::new("/opt/cni/bin/bond");
    let path = netns.path();
    command.envs([
        ("CNI_COMMAND", "DEL"),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_NETNS", path.as_str()),
        ("CNI_IFNAME", "bond0"),
        ("CNI_PATH", "/opt/cni/bin"),
    ]);
    let output = begin(&mut command, &config.to_string()).wait_with_output().unwrap();
    succeeded(&output);
    let lines = String::from_utf8(output.stderr).unwrap();
    lines.lines().filter(|line| line.contains("warning")).collect()
}

/// What `ip` shows of a link of the node beside what a snapshot has.
fn look(name: &str) -> Value {
    let shown: Value = serde_json::from_str(&ip(&format!("-j -d link show dev {name}"))).unwrap();
    let keys = ["promiscuity", "allmulti", "txqlen", "ifalias", "group", "altnames"];
    json!(keys.map(|key| shown[0][key].clone()))
}

/// What a test may leave on the node.
const NAMES: &[&str] = &["take1", "take2", "stranger", "other1", "other2"];

/// Links of the node: one up, with altnames, an alias and a queue of its own, and one down.
fn node_links() -> NodeLinks {
    let links = NodeLinks::new(NAMES, &["take1 type dummy", "take2 type dummy"]);
    ip("link property add dev take1 altname own altname shared");
    ip("link set take1 alias ours txqueuelen 77");
    ip("link set take2 down");
    links
}

/// Promise: port-found-in-pod
#[test]
fn links_come_back_from_whatever_the_pod_made_of_them() {
    let netns = Netns::with_links("reclaimed");
    let _links = node_links();
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

/// Links take1 and take2 of the node, of the kind that `made` gives.
fn links_of_kind(made: fn(&str, &str) -> String) -> NodeLinks {
    NodeLinks::new(NAMES, &[&*made("take1", "other1"), &made("take2", "other2")])
}

fn veth(name: &str, other: &str) -> String {
    format!("{name} type veth peer name {other}")
}

/// Promise: port-not-replaced
#[test]
fn link_of_the_pod_in_the_place_of_a_port_stays_in_the_pod() {
    let _rules = HostRules::allow_all();
    let (_links, config) = (links_of_kind(veth), over(["take1", "take2"]));
    for number in ["1", "2"] {
        ip(&format!("link set other{number} up"));
    }
    let netns = Netns::with_links("reclaimed");
    let before = Snapshot::take();
    // The port is there under another name.
    call("ADD", &netns.path()).run(&config).unwrap();
    let mac = netns.link("take1")["address"].as_str().unwrap().to_owned();
    for command in [
        "link set take1 down",
        "link set take1 name mine",
        &format!("link add take1 address {mac} type veth peer name spy"),
        "link set spy up",
    ] {
        netns.ip(command);
    }
    assert_eq!(warnings_of_del(&netns, &config), "");
    assert_ne!(netns.link("take1"), Value::Null, "the pod's own link has left it");
    assert_eq!(Snapshot::take(), before);
    netns.ip("link del take1");
    // The port is gone, and the other link has its index too.
    call("ADD", &netns.path()).run(&config).unwrap();
    let index = netns.link("take1")["ifindex"].clone();
    netns.ip("link del take1");
    netns.ip(&format!("link add take1 index {index} address {mac} type veth peer name spy"));
    netns.ip("link set spy up");
    let said = warnings_of_del(&netns, &config);
    assert!(said.contains("links: take1 (veth) is not in the pod any more"), "{said}");
    assert_ne!(netns.link("take1"), Value::Null, "the pod's own link has left it");
    let names = ip("-br link");
    assert!(!names.contains("take1") && names.contains("take2@other2"), "{names}");
}

/// Promise: port-not-replaced
#[test]
fn link_that_may_be_another_comes_back_down() {
    let _rules = HostRules::allow_all();
    let config = over(["take1", "take2"]);
    let is_up = |name| {
        let shown: Value = serde_json::from_str(&ip(&format!("-j link show dev {name}"))).unwrap();
        shown[0]["flags"].as_array().unwrap().iter().any(|flag| flag == "UP")
    };
    let _elsewhere = Netns::with_links("elsewhere");
    // Which lead to another namespace, to a link of the node, nowhere.
    for (made, expected) in [
        (
            (|name, other| format!("{name} type veth peer name {other} netns elsewhere"))
                as fn(&str, &str) -> String,
            false,
        ),
        (|name, _| format!("{name} link pf0 type macvlan mode bridge"), true),
        (|name, _| format!("{name} type dummy"), true),
    ] {
        let (_links, netns) = (links_of_kind(made), Netns::with_links("reclaimed"));
        call("ADD", &netns.path()).run(&config).unwrap();
        netns.ip("link set take1 down");
        netns.ip("link set take1 name mine");
        let said = warnings_of_del(&netns, &config);
        assert_eq!(
            said.contains("links: take1 (veth) is back on the node, down"),
            !expected,
            "{said}"
        );
        assert_eq!([is_up("take1"), is_up("take2")], [expected; 2], "{}", made("take1", ""));
    }
}

/// The kernel takes names that are no UTF-8.
/// Promise: port-found-in-pod
#[test]
fn links_come_back_from_names_that_nobody_can_read() {
    let netns = Netns::with_links("reclaimed");
    let _links = node_links();
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

/// Promise: port-found-in-pod
#[test]
fn hidden_port_is_shown_and_comes_back_from_being_up() {
    let netns = Netns::with_links("reclaimed");
    let _links = node_links();
    let _rules = HostRules::allow_all();
    let (before, looks) = (Snapshot::take(), ["take1", "take2"].map(look));
    let config = over(["take1", "take2"]);
    call("ADD", &netns.path()).run(&config).unwrap();
    netns.ip("link set take1 down");
    let hidden = OsStr::from_bytes(b"x\xff");
    for words in
        [&[OsStr::new("take1"), OsStr::new("name"), hidden][..], &[hidden, OsStr::new("up")]]
    {
        let mut command = Command::new("ip");
        command.args(["-n", "reclaimed", "link", "set", "dev"]).args(words);
        succeeded(&command.output().unwrap());
    }
    let status = succeeded(&podbond(&["status"]));
    assert!(status.contains(r"x\xff"), "{status}");
    assert_eq!(warnings_of_del(&netns, &config), "");
    assert_eq!(Snapshot::take(), before);
    assert_eq!(["take1", "take2"].map(look), looks);
    assert_eq!(netns.ip("-br link").lines().count(), 3, "the bond is there still");
}
