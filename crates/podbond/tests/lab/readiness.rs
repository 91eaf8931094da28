//! STATUS: whether ADD could be served, and if not, why.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::node::{
    Call, Netns, Snapshot, WithNetworks, apply, bond_config, ip, pod, podbond, remove_vfs,
    succeeded, sweep, words,
};

/// STATUS of a plugin with this configuration.
fn status(plugin: &str, config: &Value) -> Result<Value, Value> {
    let mut config = config.clone();
    config["cniVersion"] = json!("1.1.0");
    Call { plugin, command: "STATUS", container: "", netns: "", ifname: "" }.run(&config)
}

/// STATUS answers with this code and these words.
#[track_caller]
fn not_ready(plugin: &str, config: &Value, code: u32, expected: &[&str]) {
    let error = status(plugin, config).unwrap_err();
    assert_eq!(error["code"], code, "{error}");
    let message = words(&error["msg"]);
    for words in expected {
        assert!(message.contains(words), "{words:?} is not in: {message}");
    }
}

fn run(command: &str) {
    let words: Vec<&str> = command.split_whitespace().collect();
    succeeded(&Command::new(words[0]).args(&words[1..]).output().unwrap());
}

fn sriov(changes: &Value) -> Value {
    let mut config = json!({"type": "sriov", "name": "sriovnet1"});
    config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    config
}

/// Promise: status-reasons
#[test]
fn status_of_a_bond_needs_driver_records_and_ipam_plugin() {
    let before = Snapshot::take();
    let config = bond_config(&json!({}));
    status("bond", &config).unwrap();
    not_ready("bond", &bond_config(&json!({"mode": "no-such"})), 7, &["mode: "]);
    let absent = bond_config(&json!({"ipam": {"type": "not-installed"}}));
    not_ready("bond", &absent, 50, &["network bond-net1: not ready for ADD", "not-installed"]);

    fs::create_dir_all("/var/lib/podbond/attachments").unwrap();
    run("mount -t tmpfs -o ro none /var/lib/podbond/attachments");
    not_ready(
        "bond",
        &config,
        50,
        &["cannot be recorded: cannot write /var/lib/podbond/attachments/"],
    );
    not_ready("bond", &absent, 50, &["cannot be recorded", "not-installed"]);
    run("umount /var/lib/podbond/attachments");

    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let modules = format!("/lib/modules/{}/modules.dep", release.trim());
    run("modprobe -r bonding");
    status("bond", &config).unwrap();
    run(&format!("mount --bind /dev/null {modules}"));
    not_ready("bond", &config, 50, &["has no bonding driver, neither loaded nor as a module"]);
    run(&format!("umount {modules}"));
    status("bond", &config).unwrap();
    assert_eq!(Snapshot::take(), before);
}

/// Promise: status-reasons
#[test]
fn status_of_a_bond_reports_an_exhausted_range() {
    let netns = Netns::with_links("full");
    let config = bond_config(&json!({"ipam": {"type": "host-local", "subnet": "10.9.0.0/30"}}));
    status("bond", &config).unwrap();
    let path = netns.path();
    let call = |command| {
        Call { plugin: "bond", command, container: "c1", netns: &path, ifname: "bond0" }
            .run(&config)
            .unwrap()
    };
    call("ADD");
    not_ready("bond", &config, 50, &["no address is left in ipam"]);
    call("DEL");
    status("bond", &config).unwrap();
}

/// Promise: status-reasons
#[test]
fn status_of_a_vf_needs_it_present_and_free() {
    sweep();
    remove_vfs();
    not_ready("sriov", &sriov(&json!({})), 50, &["this node has no VF"]);
    let networks = WithNetworks::with_new_vfs();
    let vf = |number: u32| {
        let vf = fs::canonicalize(format!("/sys/class/net/pf0/device/virtfn{number}")).unwrap();
        vf.file_name().unwrap().to_string_lossy().into_owned()
    };
    status("sriov", &sriov(&json!({}))).unwrap();
    not_ready("sriov", &sriov(&json!({"vlan": 9999})), 7, &["vlan: 9999"]);
    let absent = sriov(&json!({"deviceID": "0000:7f:1f.7"}));
    not_ready("sriov", &absent, 50, &["0000:7f:1f.7 is no VF of this node"]);

    succeeded(&apply(&pod("ready", "demo/sriovnet1")));
    let held: Vec<String> = (0..4).map(vf).collect();
    let held = held.iter().filter(|vf| status("sriov", &sriov(&json!({"deviceID": vf}))).is_err());
    let held: Vec<&String> = held.collect();
    assert_eq!(held.len(), 1);
    let taken = sriov(&json!({"deviceID": held[0]}));
    not_ready(
        "sriov",
        &taken,
        50,
        &[held[0], "is held by net1 of pod demo/ready", "/run/netns/demo.ready"],
    );
    status("sriov", &sriov(&json!({}))).unwrap();

    // As when somebody takes the PF's VFs away: those of its pods are cut off.
    let numvfs = "/sys/class/net/pf0/device/sriov_numvfs";
    let before = fs::read_to_string(numvfs).unwrap();
    fs::write(numvfs, "0").unwrap();
    not_ready(
        "sriov",
        &sriov(&json!({})),
        51,
        &[held[0], "is gone, which was given to net1 of pod demo/ready"],
    );
    fs::write(numvfs, before.trim()).unwrap();
    ip("link set pf0 up");
    succeeded(&podbond(&["delete", "pod", "ready", "-n", "demo"]));
    status("sriov", &sriov(&json!({}))).unwrap();
    drop(networks);
    sweep();
}
