//! DEL succeeds, whatever has become of what ADD made, and leaves nothing: for bonds, over links of
//! the pod and of the node.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::damage::Damage;
use crate::node::{Call, HostRules, Netns, Snapshot, bond_config, ip, words};

fn call<'c>(command: &'c str, netns: &'c str) -> Call<'c> {
    Call { plugin: "bond", command, container: "c-del", netns, ifname: "bond0" }
}

fn record() -> PathBuf {
    PathBuf::from("/var/lib/podbond/attachments/c-del:bond0")
}

/// Two dummy links of the node, which bonds may take.
struct HostLinks {
    _rules: HostRules,
}

impl HostLinks {
    fn new() -> Self {
        for link in ["port1", "port2"] {
            let _ = Command::new("ip").args(["link", "del", link]).output();
            ip(&format!("link add {link} type dummy"));
        }
        Self { _rules: HostRules::allow_all() }
    }
}

impl Drop for HostLinks {
    fn drop(&mut self) {
        for link in ["port1", "port2"] {
            let _ = Command::new("ip").args(["link", "del", link]).output();
        }
    }
}

fn over_host_links() -> Value {
    bond_config(&json!({
        "linksInContainer": false, "links": [{"name": "port1"}, {"name": "port2"}],
    }))
}

/// Promise: del-spares-others
#[test]
fn late_del_takes_no_bond_from_the_next_pod_at_the_same_path() {
    let before = Snapshot::take();
    let netns = Netns::with_links("late");
    let (path, config) = (netns.path(), bond_config(&json!({})));
    call("ADD", &path).run(&config).unwrap();
    call("DEL", &path).run(&config).unwrap();
    let next = |command| Call { container: "c-next", ..call(command, &path) };
    next("ADD").run(&config).unwrap();
    let links = netns.links();
    call("DEL", &path).run(&config).unwrap();
    assert_eq!(netns.links(), links);
    next("DEL").run(&config).unwrap();
    drop(netns);
    assert_eq!(Snapshot::take(), before);
    // Its namespace vanished, and its record is still there.
    let netns = Netns::with_links("late");
    call("ADD", &path).run(&config).unwrap();
    drop(netns);
    let netns = Netns::with_links("late");
    next("ADD").run(&config).unwrap();
    let links = netns.links();
    call("DEL", &path).run(&config).unwrap();
    assert_eq!(netns.links(), links);
    assert!(!record().exists());
    next("DEL").run(&config).unwrap();
    drop(netns);
    assert_eq!(Snapshot::take(), before);
}

/// Promise: del-repeated
#[test]
fn bond_that_was_changed_is_deleted() {
    // What happened meanwhile in the pod, and which of its links are gone since.
    let cases: [(&str, &[&str], &[&str]); 7] = [
        ("nothing", &[], &[]),
        ("a port gone", &["link del net1"], &["net1"]),
        ("all ports gone", &["link del net1", "link del net2"], &["net1", "net2"]),
        ("the bond gone", &["link del bond0", "link set net1 up", "link set net2 up"], &[]),
        ("a port released", &["link set net2 nomaster", "link set net2 up"], &[]),
        ("the bond down", &["link set bond0 down"], &[]),
        ("the addresses gone", &["addr flush dev bond0"], &[]),
    ];
    let before = Snapshot::take();
    for version in ["0.3.1", "1.0.0"] {
        for (what, meanwhile, gone) in cases {
            let config = bond_config(&json!({ "cniVersion": version }));
            let netns = Netns::with_links("deleted");
            let mut links = netns.links();
            links.retain(|name, _| !gone.contains(&name.as_str()));
            call("ADD", &netns.path()).run(&config).unwrap();
            for command in meanwhile {
                netns.ip(command);
            }
            for _ in 0..2 {
                // Without prevResult, which later versions give.
                let deleted = call("DEL", &netns.path()).run(&config);
                assert_eq!(deleted, Ok(Value::Null), "{version}: {what}");
                assert_eq!(netns.links(), links, "{version}: {what}");
            }
            drop(netns);
            assert_eq!(Snapshot::take(), before, "{version}: {what}");
        }
    }
}

/// Promise: del-repeated
#[test]
fn del_of_an_absent_bond_succeeds() {
    let before = Snapshot::take();
    let netns = Netns::with_links("never");
    let links = netns.links();
    for path in [netns.path().as_str(), "/run/netns/no-such", "/proc/0/ns/net", ""] {
        call("DEL", path).run(&bond_config(&json!({}))).unwrap();
        call("DEL", path).run(&over_host_links()).unwrap();
    }
    assert_eq!(netns.links(), links);
    drop(netns);
    assert_eq!(Snapshot::take(), before);
}

/// Promise: del-damaged-state
#[test]
fn bond_with_a_damaged_record_is_deleted() {
    let _links = HostLinks::new();
    let before = Snapshot::take();
    for config in [bond_config(&json!({})), over_host_links()] {
        for damage in Damage::ALL {
            let netns = Netns::with_links("damaged");
            let links = netns.links();
            call("ADD", &netns.path()).run(&config).unwrap();
            damage.befall(&record());
            assert_eq!(call("DEL", &netns.path()).run(&config), Ok(Value::Null), "{damage:?}");
            assert_eq!(netns.links(), links, "{damage:?}");
            drop(netns);
            assert_eq!(Snapshot::take(), before, "{damage:?}");
            assert!(!record().exists(), "{damage:?}");
        }
    }
}

/// Promise: del-damaged-state
#[test]
fn bond_with_a_damaged_record_is_deleted_without_its_namespace() {
    let before = Snapshot::take();
    for damage in Damage::ALL {
        let netns = Netns::with_links("damaged");
        let path = netns.path();
        call("ADD", &path).run(&bond_config(&json!({}))).unwrap();
        damage.befall(&record());
        drop(netns);
        call("DEL", &path).run(&bond_config(&json!({}))).unwrap();
        assert_eq!(Snapshot::take(), before, "{damage:?}");
        assert!(!record().exists(), "{damage:?}");
    }
}

/// Promise: del-name-taken
#[test]
fn host_link_whose_name_is_taken_returns_under_another() {
    let links = HostLinks::new();
    ip("link set port1 up");
    ip("link set port2 up");
    let netns = Netns::with_links("taken");
    call("ADD", &netns.path()).run(&over_host_links()).unwrap();
    let index = |port: &str| netns.link(port)["ifindex"].to_string();
    let indices = ["port1", "port2"].map(index);
    // A link that is hot-plugged, with both names.
    ip("link add port1 type dummy");
    ip("link property add dev port1 altname port2");
    call("DEL", &netns.path()).run(&over_host_links()).unwrap();
    let of_node: Vec<Value> = serde_json::from_str(&ip("-j link show")).unwrap();
    let is_up = |name: &str| {
        let link = of_node.iter().find(|link| link["ifname"] == name).unwrap();
        link["flags"].as_array().unwrap().contains(&json!("UP"))
    };
    let came = indices.map(|index| format!("dev{index}"));
    assert!(is_up(&came[0]) && is_up(&came[1]) && !is_up("port1"), "{of_node:?}");
    for name in came {
        ip(&format!("link del {name}"));
    }
    assert!(!record().exists());
    drop((links, netns));
}

/// As bond-cni makes it: without a record, its ports up, and links of the node moved in.
///
/// Promise: del-of-replaced-plugins
#[test]
fn bond_of_bond_cni_is_deleted() {
    let _links = HostLinks::new();
    let before = Snapshot::take();
    for (config, in_pod) in [(bond_config(&json!({})), true), (over_host_links(), false)] {
        let netns = Netns::with_links("bond-cni");
        let links = netns.links();
        let ports = if in_pod { ["net1", "net2"] } else { ["port1", "port2"] };
        netns.ip("link add bond0 type bond mode active-backup miimon 100 fail_over_mac 1");
        for port in ports {
            if !in_pod {
                ip(&format!("link set {port} netns {}", netns.path()));
            }
            netns.ip(&format!("link set {port} down"));
            netns.ip(&format!("link set {port} master bond0"));
        }
        netns.ip("link set bond0 up");
        let lease = Call { plugin: "host-local", ..call("ADD", "/run/netns/bond-cni") };
        let answer = lease.run(&config).unwrap();
        let address = words(&answer["ips"][0]["address"]);
        netns.ip(&format!("addr add {address} dev bond0"));
        call("DEL", &netns.path()).run(&config).unwrap();
        assert_eq!(netns.links(), links, "{config}");
        drop(netns);
        assert_eq!(Snapshot::take(), before, "{config}");
    }
}

/// All that is in the kernel is restored; what cannot be written is reported, and done once it can.
///
/// Promise: del-read-only-state
#[test]
fn read_only_state_directory_keeps_no_link_in_the_pod() {
    let _links = HostLinks::new();
    let before = Snapshot::take();
    let netns = Netns::with_links("read-only");
    let links = netns.links();
    call("ADD", &netns.path()).run(&over_host_links()).unwrap();
    // With a lease that cannot be given back, which stays recorded.
    let mounts = ReadOnly::new(&["/var/lib/podbond", "/var/lib/cni"]);
    assert_eq!(call("DEL", &netns.path()).run(&over_host_links()), Ok(Value::Null));
    assert_eq!(netns.links(), links);
    drop(mounts);
    assert!(record().exists());
    let mounts = ReadOnly::new(&["/var/lib/podbond"]);
    let error = call("DEL", &netns.path()).run(&over_host_links()).unwrap_err();
    assert!(words(&error["msg"]).contains("Read-only file system"), "{error}");
    assert_eq!(netns.links(), links);
    drop(mounts);
    call("DEL", &netns.path()).run(&over_host_links()).unwrap();
    drop(netns);
    assert_eq!(Snapshot::take(), before);
}

/// Directories that are read-only for as long as this lives.
pub(crate) struct ReadOnly(Vec<String>);

impl ReadOnly {
    pub(crate) fn new(dirs: &[&str]) -> Self {
        let run = |arguments: &[&str]| {
            let status = Command::new("mount").args(arguments).status().unwrap();
            assert!(status.success(), "mount {arguments:?}");
        };
        let hidden = Self(dirs.iter().map(ToString::to_string).collect());
        for dir in dirs {
            assert!(Path::new(dir).is_dir(), "{dir}");
            run(&["-o", "bind", dir, dir]);
            run(&["-o", "remount,bind,ro", dir, dir]);
        }
        hidden
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        for dir in &self.0 {
            let _ = Command::new("umount").arg(dir).status();
        }
    }
}
