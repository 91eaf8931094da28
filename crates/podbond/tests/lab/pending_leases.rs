//! An IPAM plugin that fails, or is gone, keeps no pod from being deleted; its lease stays pending.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::node::{
    Call, Netns, Snapshot, WithNetworks, bond_config, failed, ip, podbond, records, succeeded,
    words,
};

/// Debian's host-local under another name, in a directory of its own. Its DEL fails while a file
/// says so.
struct Unreliable {
    dir: tempfile::TempDir,
}

const LEASES: &str = "/var/lib/cni/networks/bond-net1";

impl Unreliable {
    fn new() -> Self {
        let unreliable = Self { dir: tempfile::tempdir().unwrap() };
        unreliable.install();
        unreliable
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("unreliable")
    }

    fn install(&self) {
        let script = format!(
            "#!/bin/sh\n\
             echo $CNI_COMMAND $CNI_CONTAINERID >>{dir}/calls\n\
             case $CNI_COMMAND in\n\
             GC) exit 0 ;;\n\
             DEL) [ -e {dir}/broken ] && {{ echo server; echo is away; }} >&2 && exit 1 ;;\n\
             esac\n\
             exec /usr/lib/cni/host-local\n",
            dir = self.dir.path().display()
        );
        fs::write(self.program(), script).unwrap();
        fs::set_permissions(self.program(), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn break_down(&self) {
        fs::write(self.dir.path().join("broken"), "").unwrap();
    }

    fn repair(&self) {
        fs::remove_file(self.dir.path().join("broken")).unwrap();
    }

    /// How often it was asked so.
    fn calls(&self, call: &str) -> usize {
        let calls = fs::read_to_string(self.dir.path().join("calls")).unwrap();
        calls.lines().filter(|line| *line == call).count()
    }

    /// A call of the bond plugin, and what it said on standard error.
    fn bond(&self, command: &str, container: &str, netns: &str) -> (Result<Value, Value>, String) {
        self.bond_with(command, container, netns, &json!({}))
    }

    fn bond_with(
        &self,
        command: &str,
        container: &str,
        netns: &str,
        changes: &Value,
    ) -> (Result<Value, Value>, String) {
        let ipam = json!({"type": "unreliable", "subnet": "10.56.217.0/24"});
        let mut config = bond_config(&json!({"cniVersion": "1.0.0", "ipam": ipam}));
        config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let said = self.dir.path().join("said");
        let script = format!("exec /opt/cni/bin/bond 2>{}", said.display());
        let call = Call { plugin: "bond", command, container, netns, ifname: "bond0" };
        let path = format!("/opt/cni/bin:{}", self.dir.path().display());
        let text = config.to_string();
        let answer = call.run_with_path(&path, Command::new("sh").args(["-c", &script]), &text);
        (answer, fs::read_to_string(said).unwrap())
    }
}

/// The attachments whose lease is pending.
fn pending() -> Vec<String> {
    let is_pending = |record: &Value| record["state"] == "ipam-pending";
    records().into_iter().filter(|(_, it)| is_pending(it)).map(|(name, _)| name).collect()
}

/// The containers that have a lease.
fn leased() -> Vec<String> {
    let mut containers = Vec::new();
    for lease in fs::read_dir(LEASES).into_iter().flatten() {
        let lease = lease.unwrap();
        if lease.file_name().to_string_lossy().starts_with("10.") {
            let text = fs::read_to_string(lease.path()).unwrap();
            containers.extend(text.lines().next().map(|id| id.trim().to_owned()));
        }
    }
    containers.sort();
    containers
}

/// Promise: lease-pending, pending-spares-others
#[test]
fn lease_is_pending_until_its_own_del_succeeds() {
    let before = Snapshot::take();
    let (unreliable, netns) = (Unreliable::new(), Netns::with_links("pending"));
    let (path, links) = (netns.path(), netns.links());
    unreliable.bond("ADD", "c1", &path).0.unwrap();
    unreliable.break_down();
    let (answer, said) = unreliable.bond("DEL", "c1", &path);
    answer.unwrap();
    assert_eq!(netns.links(), links);
    assert_eq!((pending(), leased()), (vec!["c1:bond0".to_owned()], vec!["c1".to_owned()]));
    let warnings: Vec<&str> =
        said.lines().filter(|line| line.contains("has not taken back its lease")).collect();
    assert_eq!(warnings.len(), 1, "{said}");
    for word in ["bond-net1", "unreliable", "bond0 of container c1", "is away", "podbond gc"] {
        assert!(warnings[0].contains(word), "{word}: {said}");
    }
    // A second DEL changes nothing, and neither do those whose ADD was refused.
    unreliable.bond("DEL", "c1", &path).0.unwrap();
    unreliable.bond_with("ADD", "c9", &path, &json!({"mode": "no-such"})).0.unwrap_err();
    unreliable.bond_with("DEL", "c9", &path, &json!({"mode": "no-such"})).0.unwrap();
    assert_eq!(pending(), ["c1:bond0"]);

    // Another pod does not pay for it.
    unreliable.repair();
    let calls = unreliable.calls("DEL c1");
    unreliable.bond("ADD", "c2", &path).0.unwrap();
    unreliable.bond("DEL", "c2", &path).0.unwrap();
    assert_eq!((pending(), unreliable.calls("DEL c1")), (vec!["c1:bond0".to_owned()], calls));
    unreliable.bond("DEL", "c1", &path).0.unwrap();
    assert_eq!((pending(), leased()), (vec![], vec![]));
    drop(netns);
    assert_eq!(Snapshot::take(), before);
}

/// Promise: added-again
#[test]
fn recreated_attachment_keeps_its_new_lease() {
    let before = Snapshot::take();
    let (unreliable, netns) = (Unreliable::new(), Netns::with_links("again"));
    let path = netns.path();
    unreliable.bond("ADD", "c1", &path).0.unwrap();
    unreliable.break_down();
    unreliable.bond("DEL", "c1", &path).0.unwrap();
    // It is not made before its own lease is given back.
    let error = unreliable.bond("ADD", "c1", &path).0.unwrap_err();
    assert!(words(&error["msg"]).contains("server"), "{error}");
    unreliable.repair();
    unreliable.bond("ADD", "c1", &path).0.unwrap();
    assert_eq!((pending(), leased()), (vec![], vec!["c1".to_owned()]));
    let gc = json!({"cniVersion": "1.1.0",
        "cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "bond0"}]});
    unreliable.bond_with("GC", "c1", &path, &gc).0.unwrap();
    assert_eq!(leased(), ["c1"]);
    unreliable.bond("DEL", "c1", &path).0.unwrap();
    drop(netns);
    assert_eq!(Snapshot::take(), before);
}

/// Promise: lease-pending, del-ipam-failing
#[test]
fn lease_of_an_ipam_plugin_that_is_gone_is_pending_until_gc_finds_it_again() {
    let before = Snapshot::take();
    let (unreliable, netns) = (Unreliable::new(), Netns::with_links("absent"));
    let path = netns.path();
    unreliable.bond("ADD", "c1", &path).0.unwrap();
    fs::remove_file(unreliable.program()).unwrap();
    drop(netns);
    unreliable.bond("DEL", "c1", &path).0.unwrap();
    assert_eq!(pending(), ["c1:bond0"]);
    let gc = json!({"cniVersion": "1.1.0", "cni.dev/valid-attachments": []});
    let error = unreliable.bond_with("GC", "", "", &gc).0.unwrap_err();
    assert!(words(&error["msg"]).contains("unreliable"), "{error}");
    assert_eq!(pending(), ["c1:bond0"]);
    unreliable.install();
    unreliable.bond_with("GC", "", "", &gc).0.unwrap();
    assert_eq!((pending(), leased(), unreliable.calls("GC")), (vec![], vec![], 1));
    assert_eq!(Snapshot::take(), before);
}

/// The output of a command with `-o json`.
fn json_of(command: &str) -> Value {
    serde_json::from_str(&succeeded(&podbond(&[command, "-o", "json"]))).unwrap()
}

/// The objects of the findings with this code.
fn objects_of(report: &Value, code: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let of_code = findings.filter(|finding| finding["code"] == code);
    of_code.map(|finding| words(&finding["object"]["names"][0])).collect()
}

/// Promise: lease-pending
#[test]
fn pending_lease_is_shown_and_released_by_podbond_gc() {
    let before = Snapshot::take();
    let (unreliable, netns) = (Unreliable::new(), Netns::with_links("shown"));
    unreliable.bond("ADD", "c1", &netns.path()).0.unwrap();
    unreliable.break_down();
    unreliable.bond("DEL", "c1", &netns.path()).0.unwrap();
    for command in ["doctor", "status"] {
        let report = json_of(command);
        let pending = report["pendingLeases"].as_array().unwrap();
        assert_eq!((pending.len(), &pending[0]["container"]), (1, &json!("c1")), "{report}");
        let expected = ["bond0 of container c1 in network bond-net1"];
        assert_eq!(objects_of(&report, "lease-pending"), expected, "{report}");
        let text = succeeded(&podbond(&[command]));
        assert!(text.contains("warning: lease of bond0 of container c1 in"), "{text}");
        assert!(text.contains("`podbond gc`"), "{text}");
    }
    let foreseen = succeeded(&podbond(&["gc", "--dry-run"]));
    assert!(
        foreseen.contains("lease of bond-net1 that its IPAM plugin has not taken back"),
        "{foreseen}"
    );
    let said = failed(&podbond(&["gc"]));
    assert!(said.contains("bond0 of container c1: ") && said.contains("is away"), "{said}");
    assert_eq!((pending(), leased()), (vec!["c1:bond0".to_owned()], vec!["c1".to_owned()]));
    unreliable.repair();
    succeeded(&podbond(&["gc"]));
    assert_eq!((pending(), leased()), (vec![], vec![]));
    assert_eq!(json_of("status")["pendingLeases"], json!([]));
    drop(netns);
    assert_eq!(Snapshot::take(), before);
}

/// Promise: del-ipam-failing
#[test]
fn vf_comes_back_and_its_lease_is_pending() {
    let networks = WithNetworks::new();
    let before = Snapshot::take();
    let vf = fs::canonicalize("/sys/class/net/pf0/device/virtfn0").unwrap();
    let vf = vf.file_name().unwrap().to_string_lossy().into_owned();
    let ipam = json!({"type": "host-local", "subnet": "10.56.217.0/24"});
    let config = json!({"cniVersion": "1.0.0", "name": "bond-net1", "type": "sriov",
        "deviceID": vf, "vlan": 7, "ipam": ipam});
    ip("netns add pending");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let program = dir.path().join("host-local");
    let call = |command, path| {
        let call = Call {
            plugin: "sriov",
            command,
            container: "c1",
            netns: "/run/netns/pending",
            ifname: "net1",
        };
        let program = &mut Command::new("/opt/cni/bin/sriov");
        call.run_with_path(path, program, &config.to_string())
    };
    // With our own host-local, and with Debian's: gone from the CNI_PATH of the ADD too.
    for plugin in ["/opt/cni/bin/host-local", "/usr/lib/cni/host-local"] {
        fs::copy(plugin, &program).unwrap();
        call("ADD", path).unwrap();
        fs::remove_file(&program).unwrap();
        call("DEL", path).unwrap();
        assert_eq!(pending(), ["c1:net1"]);
        assert!(!Path::new("/var/lib/cni/sriov/c1-net1").exists());
        assert_eq!(leased(), ["c1"]);
        fs::copy(plugin, &program).unwrap();
        call("DEL", "/nowhere").unwrap();
        assert_eq!((pending(), leased()), (vec![], vec![]));
    }
    ip("netns del pending");
    assert_eq!(Snapshot::take(), before);
    networks.end();
}
