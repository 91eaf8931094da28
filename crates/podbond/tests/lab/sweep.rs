//! What pods leave that went away without their DEL, and how `podbond gc` takes it back.

use std::fs::{self, File};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::node::{
    Call, Netns, Snapshot, WithNetworks, apply, bond_config, failed, ip, pod, podbond, succeeded,
    words,
};

const NETWORKS: &str = "demo/sriovnet1, demo/sriovnet2, demo/bond-net1";

/// How long the kernel may take to give the links of a namespace back that is gone.
const PATIENCE: Duration = Duration::from_mins(1);

/// What `podbond gc` says that it found, each as `object: what: done`.
fn gc(arguments: &[&str]) -> Vec<String> {
    let arguments: Vec<&str> = ["gc", "-o", "json"].iter().chain(arguments).copied().collect();
    let rows: Vec<Value> = serde_json::from_str(&succeeded(&podbond(&arguments))).unwrap();
    let told = |row: &Value| {
        format!("{}: {}: {}", words(&row["object"]), words(&row["what"]), words(&row["done"]))
    };
    rows.iter().map(told).collect()
}

/// The objects of what was found, and nothing else may have become of them.
fn objects(found: &[String], done: &str) -> Vec<String> {
    assert!(found.iter().all(|line| line.ends_with(&format!(": {done}"))), "{found:#?}");
    found.iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect()
}

/// How many links of VFs are on the node.
fn vfs_at_home() -> usize {
    let links: Vec<Value> = serde_json::from_str(&ip("-j -d link show")).unwrap();
    links.iter().filter(|link| link["parentbus"] == "pci" && link["vfinfo_list"].is_null()).count()
}

/// Removes a namespace with all that is in it, as if nobody had known of it.
fn vanish(netns: &str, vfs: usize) {
    ip(&format!("netns del {netns}"));
    let end = Instant::now() + PATIENCE;
    while vfs_at_home() < vfs {
        assert!(Instant::now() < end, "{} of {vfs} VFs are back", vfs_at_home());
        sleep(Duration::from_millis(100));
    }
}

const DOOMED: &str = "/var/lib/podbond/manifests/pods/demo/doomed.json";

#[test]
fn a_pod_that_vanished_is_swept_and_the_pod_beside_it_is_not_touched() {
    let networks = WithNetworks::new();
    succeeded(&apply(&pod("beside", NETWORKS)));
    let (before, vfs) = (Snapshot::take(), vfs_at_home());
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

#[test]
fn another_namespace_at_the_path_of_one_that_is_gone_is_not_its_pods() {
    let networks = WithNetworks::new();
    let (before, vfs) = (Snapshot::take(), vfs_at_home());
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

#[test]
fn what_plugins_made_for_a_runtime_is_swept_by_their_own_records_and_the_incumbents() {
    let networks = WithNetworks::new();
    let (before, vfs) = (Snapshot::take(), vfs_at_home());
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
    let [bond, net1, net2] = &found[..] else { panic!("{found:?}") };
    assert_eq!(bond, "net3 of container c1");
    assert_eq!([net1, net2], [&format!("VF {}", vf("pf0", 3)), &format!("VF {}", vf("pf1", 3))]);
    assert_eq!(objects(&gc(&[]), "removed"), found);
    assert_eq!(Snapshot::take(), before);
    assert_eq!(gc(&[]), [""; 0]);
    networks.end();
}

fn call<'c>(plugin: &'c str, ifname: &'c str) -> Call<'c> {
    Call { plugin, command: "ADD", container: "c1", netns: "/run/netns/swept", ifname }
}

#[test]
fn claims_and_holds_of_the_dead_go_and_those_of_the_living_stay() {
    let networks = WithNetworks::new();
    let before = Snapshot::take();
    let alive = Netns::with_links("alive");
    let claims = Path::new("/var/lib/cni/sriov/pci");
    let holds = Path::new("/var/lib/podbond/vfs");
    for dir in [claims, holds] {
        fs::create_dir_all(dir).unwrap();
    }
    for (index, netns) in [(1, "/run/netns/dead".to_owned()), (2, alive.path())] {
        fs::write(claims.join(vf("pf0", index)), &netns).unwrap();
        let hold = json!({
            "version": 1, "pod": "demo/p", "interface": "net1", "netns": netns,
            "container_id": format!("c{index}"),
        });
        fs::write(holds.join(format!("{}.json", vf("pf1", index))), hold.to_string()).unwrap();
    }
    let expected = [format!("VF {}", vf("pf0", 1)), format!("VF {}", vf("pf1", 1))];
    assert_eq!(objects(&gc(&[]), "removed"), expected);
    assert!(claims.join(vf("pf0", 2)).exists());
    assert!(holds.join(format!("{}.json", vf("pf1", 2))).exists());
    drop(alive);
    assert_eq!(objects(&gc(&[]), "removed").len(), 2);
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

#[test]
fn files_that_say_nothing_go_once_nobody_can_be_at_them() {
    let networks = WithNetworks::new();
    let before = Snapshot::take();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_hours(24);
    let place = |path: &str, when: SystemTime| {
        let path = Path::new(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "{").unwrap();
        File::options().write(true).open(path).unwrap().set_modified(when).unwrap();
    };
    let unfinished = "/var/lib/podbond/vfs/.0000:01:10.0.json.new";
    let torn = "/var/lib/podbond/attachments/c9/net1.json";
    let (torn_now, being_written) =
        ("/var/lib/podbond/bond/c9:net3", "/var/lib/podbond/bond/.x.new");
    place(unfinished, long_ago);
    place(torn, long_ago);
    place(torn_now, SystemTime::now());
    place(being_written, SystemTime::now());
    let lease = Path::new("/var/lib/cni/networks/lost/10.1.2.3");
    fs::create_dir_all(lease.parent().unwrap()).unwrap();
    fs::write(lease, "c9\r\nnet1").unwrap();
    let stranger = lease.with_file_name("10.1.2.4");
    fs::write(&stranger, "c8\r\nnet1").unwrap();

    let found = gc(&[]);
    let removed = [format!("{torn}: "), format!("{unfinished}: "), "10.1.2.3: ".to_owned()];
    for object in &removed {
        let is_it = |line: &&String| line.starts_with(object) && line.ends_with(": removed");
        assert_eq!(found.iter().filter(is_it).count(), 1, "{object}: {found:#?}");
    }
    let left: Vec<_> = found.iter().filter(|line| line.ends_with(": left")).collect();
    assert!(left.len() == 1 && left[0].starts_with(torn_now), "{found:#?}");
    for stays in [torn_now, being_written] {
        fs::remove_file(stays).unwrap();
    }
    fs::remove_file(stranger).unwrap();
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

#[test]
fn what_cannot_be_taken_away_is_told_and_keeps_nothing_else() {
    let networks = WithNetworks::new();
    let (before, vfs) = (Snapshot::take(), vfs_at_home());
    succeeded(&apply(&pod("doomed", NETWORKS)));
    let dir = Path::new("/var/lib/podbond/attachments");
    let sandbox = fs::read_dir(dir).unwrap().next().unwrap().unwrap().path();
    vanish("demo.doomed", vfs);
    let eth0 = sandbox.join("eth0.json");
    let whole = fs::read_to_string(&eth0).unwrap();
    let mut record: Value = serde_json::from_str(&whole).unwrap();
    record["configs"][0]["type"] = "no-such-plugin".into();
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
