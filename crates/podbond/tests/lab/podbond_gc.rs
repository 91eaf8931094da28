//! What pods leave that went away without their DEL, and how `podbond gc` takes it back.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::node::{
    Call, Netns, Snapshot, WithNetworks, apply, bond_config, failed, ip, pod, podbond, succeeded,
    words,
};

const NETWORKS: &str = "demo/sriovnet1, demo/sriovnet2, demo/bond-net1";

/// How long the kernel may take to give the links of a namespace back that is gone.
const RETURN_TIMEOUT: Duration = Duration::from_mins(1);

/// What `podbond gc` says that it found, each as `object: what: done`.
fn gc(arguments: &[&str]) -> Vec<String> {
    let arguments: Vec<&str> = ["gc", "-o", "json"].iter().chain(arguments).copied().collect();
    let rows: Vec<Value> = serde_json::from_str(&succeeded(&podbond(&arguments))).unwrap();
    let row_text = |row: &Value| {
        format!("{}: {}: {}", words(&row["object"]), words(&row["what"]), words(&row["done"]))
    };
    rows.iter().map(row_text).collect()
}

/// The objects of what was found, and nothing else may have become of them.
fn objects(found: &[String], done: &str) -> Vec<String> {
    assert!(found.iter().all(|line| line.ends_with(&format!(": {done}"))), "{found:#?}");
    found.iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect()
}

/// How many links of VFs are on the node.
fn vfs_on_node() -> usize {
    let links: Vec<Value> = serde_json::from_str(&ip("-j -d link show")).unwrap();
    links.iter().filter(|link| link["parentbus"] == "pci" && link["vfinfo_list"].is_null()).count()
}

/// Removes a namespace with all that is in it, as if nobody had known of it.
fn vanish(netns: &str, vfs: usize) {
    ip(&format!("netns del {netns}"));
    let end = Instant::now() + RETURN_TIMEOUT;
    while vfs_on_node() < vfs {
        assert!(Instant::now() < end, "{} of {vfs} VFs are back", vfs_on_node());
        sleep(Duration::from_millis(100));
    }
}

const DOOMED: &str = "/var/lib/podbond/manifests/pods/demo/doomed.json";

/// Promise: podbond-gc
#[test]
fn vanished_pod_is_removed_and_the_one_beside_it_is_not() {
    let networks = WithNetworks::new();
    succeeded(&apply(&pod("beside", NETWORKS)));
    let (before, vfs) = (Snapshot::take(), vfs_on_node());
    assert_eq!(gc(&[]), [""; 0], "everything here is somebody's");
    succeeded(&apply(&pod("doomed", NETWORKS)));
    vanish("demo.doomed", vfs);

    let left = Snapshot::take();
    let expected =
        ["net3", "net2", "net1", "eth0"].map(|link| format!("{link} of pod demo/doomed"));
    let foreseen = gc(&["--dry-run"]);
    assert_eq!(objects(&foreseen, "to-do"), expected);
    assert_eq!(Snapshot::take(), left, "a dry run changes nothing");
    let text = succeeded(&podbond(&["gc", "--dry-run"]));
    assert!(text.starts_with("OBJECT") && text.lines().all(|line| line.len() <= 100), "{text}");

    let said = succeeded(&podbond(&["gc"]));
    assert_eq!(said.matches("  removed").count(), 4, "{said}");
    assert!(said.contains("pod demo/doomed stays known"), "{said}");
    assert_eq!(Snapshot::take().without(DOOMED), before);
    assert_eq!(succeeded(&podbond(&["gc"])), "nothing to do\n");

    succeeded(&podbond(&["check", "beside", "-n", "demo"]));
    assert_eq!(succeeded(&apply(&pod("doomed", NETWORKS))).trim(), "Pod demo/doomed created");
    for name in ["doomed", "beside"] {
        succeeded(&podbond(&["delete", "pod", name, "-n", "demo"]));
    }
    networks.end();
}

/// Promise: podbond-gc
#[test]
fn another_namespace_at_the_same_path_is_not_the_pods() {
    let networks = WithNetworks::new();
    let (before, vfs) = (Snapshot::take(), vfs_on_node());
    succeeded(&apply(&pod("doomed", NETWORKS)));
    vanish("demo.doomed", vfs);
    // As after a reboot, when somebody has made a namespace of the same name.
    let other = Netns::with_links("demo.doomed");
    let links = other.links();
    assert_eq!(objects(&gc(&[]), "removed").len(), 4);
    assert_eq!(other.links(), links);
    drop(other);
    assert_eq!(Snapshot::take().without(DOOMED), before);
    succeeded(&podbond(&["delete", "pod", "doomed", "-n", "demo"]));
    networks.end();
}

/// A VF's PCI address.
fn vf(pf: &str, index: u8) -> String {
    let link = format!("/sys/class/net/{pf}/device/virtfn{index}");
    let device = fs::canonicalize(link).unwrap();
    device.file_name().unwrap().to_string_lossy().into_owned()
}

/// Promise: podbond-gc
#[test]
fn attachments_of_a_vanished_runtime_pod_are_removed() {
    let networks = WithNetworks::new();
    let (before, vfs) = (Snapshot::take(), vfs_on_node());
    ip("netns add swept");
    for (ifname, pf) in [("net1", "pf0"), ("net2", "pf1")] {
        let config = json!({
            "cniVersion": "0.3.1", "name": format!("sriov-{pf}"), "type": "sriov", "trust": "on",
            "deviceID": vf(pf, 3), "ipam": {"type": "host-local", "subnet": "10.77.0.0/24"},
        });
        call("sriov", ifname).run(&config).unwrap();
    }
    call("bond", "net3").run(&bond_config(&json!({}))).unwrap();
    // What is left of it is as sriov-cni leaves it.
    fs::remove_file("/var/lib/podbond/attachments/c1:net2").unwrap();

    assert_eq!(gc(&[]), [""; 0], "its namespace is there");
    vanish("swept", vfs);
    let found = objects(&gc(&["--dry-run"]), "to-do");
    let vf = format!("VF {}", vf("pf1", 3));
    assert_eq!(found, ["net3 of container c1", "net1 of container c1", &vf]);
    assert_eq!(objects(&gc(&[]), "removed"), found);
    assert_eq!(Snapshot::take(), before);
    assert_eq!(gc(&[]), [""; 0]);
    networks.end();
}

fn call<'c>(plugin: &'c str, ifname: &'c str) -> Call<'c> {
    Call { plugin, command: "ADD", container: "c1", netns: "/run/netns/swept", ifname }
}

/// Promise: podbond-gc
#[test]
fn claims_of_dead_pods_go_and_those_of_living_ones_stay() {
    let networks = WithNetworks::new();
    let before = Snapshot::take();
    let alive = Netns::with_links("alive");
    let claims = Path::new("/var/lib/cni/sriov/pci");
    fs::create_dir_all(claims).unwrap();
    for (index, netns) in [(1, "/run/netns/dead".to_owned()), (2, alive.path())] {
        fs::write(claims.join(vf("pf0", index)), &netns).unwrap();
    }
    assert_eq!(objects(&gc(&[]), "removed"), [format!("VF {}", vf("pf0", 1))]);
    assert!(claims.join(vf("pf0", 2)).exists());
    drop(alive);
    assert_eq!(objects(&gc(&[]), "removed").len(), 1);
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

/// Promise: podbond-gc
#[test]
fn unreadable_records_go_and_old_leases_are_listed() {
    let networks = WithNetworks::new();
    let before = Snapshot::take();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_hours(24);
    let place = |path: &str, when: SystemTime| {
        let path = Path::new(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "{").unwrap();
        File::options().write(true).open(path).unwrap().set_modified(when).unwrap();
    };
    let unfinished = "/var/lib/podbond/attachments/.c9:net1.new";
    let torn = "/var/lib/podbond/attachments/c9:net1";
    let being_written = "/var/lib/podbond/attachments/.c9:net2.new";
    let (old, new) = ("/var/lib/cni/networks/lost/10.1.2.3", "/var/lib/cni/networks/lost/10.1.2.4");
    place(unfinished, long_ago);
    place(torn, SystemTime::now());
    place(being_written, SystemTime::now());
    for (lease, when) in [(old, long_ago), (new, SystemTime::now())] {
        place(lease, when);
        fs::write(lease, "c8\r\nnet1").unwrap();
        File::options().write(true).open(lease).unwrap().set_modified(when).unwrap();
    }
    let found = gc(&[]);
    let expected = [
        format!("{torn}: record that cannot be read: removed"),
        format!(
            "{old}: lease from before the boot, of no record: remove it if its pod is gone: left"
        ),
    ];
    assert_eq!(found, expected);
    assert!(!Path::new(unfinished).exists() && Path::new(being_written).exists());
    for stays in [being_written, old, new] {
        fs::remove_file(stays).unwrap();
    }
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

/// Promise: podbond-gc
#[test]
fn failure_of_one_orphan_stops_no_other() {
    let networks = WithNetworks::new();
    let (before, vfs) = (Snapshot::take(), vfs_on_node());
    succeeded(&apply(&pod("doomed", NETWORKS)));
    let dir = fs::read_dir("/var/lib/podbond/attachments").unwrap();
    let mut files = dir.map(|entry| entry.unwrap().path());
    let eth0 = files.find(|path| path.to_str().unwrap().ends_with(":eth0")).unwrap();
    vanish("demo.doomed", vfs);
    let whole = fs::read_to_string(&eth0).unwrap();
    let mut record: Value = serde_json::from_str(&whole).unwrap();
    record["chain"]["configs"][0]["type"] = "no-such-plugin".into();
    fs::write(&eth0, record.to_string()).unwrap();

    let said = failed(&podbond(&["gc"]));
    assert!(
        said.contains("eth0 of pod demo/doomed: ") && said.contains("no-such-plugin"),
        "{said}"
    );
    let found = gc(&["--dry-run"]);
    assert_eq!(objects(&found, "to-do"), ["eth0 of pod demo/doomed"]);
    fs::write(&eth0, whole).unwrap();
    assert_eq!(objects(&gc(&[]), "removed"), ["eth0 of pod demo/doomed"]);
    succeeded(&podbond(&["delete", "pod", "doomed", "-n", "demo"]));
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

/// As in a container that does not get the node's mounts: a namespace that is made later is an empty
/// file there.
///
/// Promise: namespace-unknown
#[test]
fn gc_that_does_not_see_the_nodes_mounts_removes_nothing() {
    let before = Snapshot::take();
    let first = Netns::with_links("seen");
    let mut hidden = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", "read go; podbond gc -o json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It has mounts of its own by the time that it waits.
    sleep(Duration::from_secs(1));
    let living = Netns::with_links("hidden");
    let path = living.path();
    let call =
        |command| Call { plugin: "bond", command, container: "c1", netns: &path, ifname: "bond0" };
    let config = bond_config(&json!({"ipam": {"type": "host-local", "subnet": "10.77.0.0/24"}}));
    call("ADD").run(&config).unwrap();
    let added = Snapshot::take();
    hidden.stdin.take().unwrap().write_all(b"\n").unwrap();
    let output = hidden.wait_with_output().unwrap();
    assert_eq!(succeeded(&output).trim(), "[]");
    assert_eq!(Snapshot::take(), added);
    call("DEL").run(&config).unwrap();
    drop((first, living));
    assert_eq!(Snapshot::take(), before);
}

/// As in a container where another folder of the node is mounted in the place of the pods' namespaces: that it
/// receives what the node mounts there proves nothing.
///
/// Promise: namespace-unknown
#[test]
fn gc_that_sees_another_folder_of_the_node_removes_nothing() {
    let before = Snapshot::take();
    let living = Netns::with_links("elsewhere");
    let path = living.path();
    let call =
        |command| Call { plugin: "bond", command, container: "c1", netns: &path, ifname: "bond0" };
    let config = bond_config(&json!({"ipam": {"type": "host-local", "subnet": "10.77.0.0/24"}}));
    call("ADD").run(&config).unwrap();
    let added = Snapshot::take();
    let script = "mkdir -p /run/other && mount --bind /run/other /run/netns && podbond gc -o json";
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "slave", "sh", "-c", script])
        .output()
        .unwrap();
    assert_eq!(succeeded(&output).trim(), "[]");
    assert_eq!(Snapshot::take(), added);
    call("DEL").run(&config).unwrap();
    drop(living);
    fs::remove_dir("/run/other").unwrap();
    assert_eq!(Snapshot::take(), before);
}
