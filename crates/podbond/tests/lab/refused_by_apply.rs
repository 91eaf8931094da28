//! Bad input to `podbond apply`: an error that names object, field and remedy, an exit status that is
//! not 0, and nothing changed.

use serde_json::{Value, json};

use crate::node::{
    Snapshot, WithNetworks, apply, apply_as_nobody, bond_config, failed, ip, nad, pod, podbond,
    succeeded,
};

const NETWORKS: &str = "demo/sriovnet1, demo/sriovnet2, demo/bad";

/// A NAD `bad` and a pod that asks for it after the two VFs.
fn with_bond(changes: &Value) -> String {
    nad("bad", &bond_config(changes).to_string()) + &pod("refused", NETWORKS)
}

fn policy(spec: &Value) -> String {
    let manifest = json!({
        "apiVersion": "sriovnetwork.openshift.io/v1", "kind": "SriovNetworkNodePolicy",
        "metadata": {"name": "bad", "namespace": "demo"}, "spec": spec,
    });
    manifest.to_string()
}

/// Applies what must be refused with these words, and compares the node before and after.
fn refused(manifest: &str, expected: &[&str]) {
    let before = Snapshot::take();
    let said = failed(&apply(manifest));
    for word in expected {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    assert_eq!(Snapshot::take(), before, "{said}");
}

/// Promise: bad-input-changes-nothing
#[test]
fn impossible_bond_is_refused_before_any_change() {
    let networks = WithNetworks::new();
    let cases = [
        (json!({"mode": "active_backup"}), vec!["demo/refused", "mode", "active-backup (1)"]),
        (json!({"links": [{"name": "net1"}]}), vec!["demo/refused", "links", "at least two"]),
        (json!({"links": [{"name": "net1"}, {"name": "net1"}]}), vec!["links", "net1", "twice"]),
        (json!({"links": [{"name": "net1"}, {"name": "net9"}]}), vec!["links", "net9"]),
        (json!({"mtu": 9000}), vec!["mtu", "9000", "1500"]),
        (json!({"ipam": {"type": "host-local", "subnet": "10.56.217.0/33"}}), vec!["net3", "/33"]),
        (json!({"miimon": -5}), vec!["miimon", "-5"]),
        (
            json!({"ipam": {"type": "not-installed"}}),
            vec!["demo/refused", "not-installed", "CNI_PATH"],
        ),
        (json!({"miimon": "soon"}), vec!["miimon", "soon"]),
        (json!({"mode": "balance-xor"}), vec!["balance-xor", "net2", "trust"]),
        (json!({"mode": "balance-rr"}), vec!["balance-rr", "net2", "trust"]),
        (json!({"failOverMac": 0}), vec!["failOverMac", "net1, net2", "set failOverMac to 1"]),
    ];
    for (changes, expected) in cases {
        refused(&with_bond(&changes), &expected);
    }
    networks.end();
}

#[test]
fn allow_untrusted_warns_instead_of_refusing() {
    let networks = WithNetworks::new();
    let manifest = with_bond(&json!({"mode": "balance-xor", "allowUntrusted": true}));
    let said = succeeded(&podbond_plan(&manifest));
    assert!(said.contains("warning: port net2: mode balance-xor"), "{said}");
    networks.end();
}

fn podbond_plan(manifest: &str) -> std::process::Output {
    let file = "/tmp/plan.yaml";
    std::fs::write(file, manifest).unwrap();
    podbond(&["plan", "-f", file])
}

#[test]
fn annotations_that_cannot_be_met_are_refused() {
    let networks = WithNetworks::new();
    let cases = [
        (
            "demo/bond-net1, demo/sriovnet1, demo/sriovnet2",
            vec!["net1", "bond itself", "before the bond's"],
        ),
        ("demo/sriovnet1, demo/nowhere", vec!["nowhere in namespace demo", "demo/refused"]),
        ("demo/sriovnet1@a-name-of-17-char", vec!["a-name-of-17-char", "15"]),
        ("demo/sriovnet1@net2, demo/sriovnet2", vec!["net2"]),
        ("demo/Sriovnet1", vec!["Sriovnet1"]),
    ];
    for (annotation, expected) in cases {
        refused(&pod("refused", annotation), &expected);
    }
    networks.end();
}

#[test]
fn malformed_json_is_reported_with_line_and_column() {
    refused(&nad("bad", "{\n \"type\": \"bond\",,\n}"), &["demo/bad", "config", "line 2"]);
    refused("kind: Pod\nmetadata: [\n", &["standard input:3:1"]);
}

#[test]
fn function_that_is_no_vf_or_held_is_refused() {
    let networks = WithNetworks::new();
    let own = |pci: &str| {
        let config =
            json!({"type": "sriov", "cniVersion": "0.3.1", "name": "own", "deviceID": pci});
        nad("own", &config.to_string()) + &pod("refused", "demo/own")
    };
    let address = |link: &str| {
        let path = std::fs::canonicalize(format!("/sys/class/net/pf0/device/{link}")).unwrap();
        path.file_name().unwrap().to_string_lossy().into_owned()
    };
    let pf = std::fs::canonicalize("/sys/class/net/pf0/device").unwrap();
    refused(&own(&pf.file_name().unwrap().to_string_lossy()), &["VF"]);
    refused(&own("0000:7f:10.0"), &["0000:7f:10.0"]);
    succeeded(&apply(&pod("holder", "demo/sriovnet1")));
    refused(&own(&address("virtfn0")), &["demo/holder"]);
    succeeded(&podbond(&["delete", "pod", "holder", "-n", "demo"]));
    networks.end();
}

#[test]
fn resource_without_a_free_vf_names_its_holders() {
    let networks = WithNetworks::new();
    for number in 1..=4 {
        succeeded(&apply(&pod(&format!("holder{number}"), "demo/sriovnet1")));
    }
    refused(&pod("refused", "demo/sriovnet1"), &["sriovnic1", "demo/holder1", "demo/holder4"]);
    refused_deletion();
    for number in 1..=4 {
        succeeded(&podbond(&["delete", "pod", &format!("holder{number}"), "-n", "demo"]));
    }
    networks.end();
}

/// Policies stay while a pod holds a VF of theirs, and are not created again under it.
fn refused_deletion() {
    let before = Snapshot::take();
    let namespace = "openshift-sriov-network-operator";
    let said = failed(&podbond(&["delete", "policy", "policy-pf0", "-n", namespace]));
    assert!(said.contains("demo/holder1"), "{said}");
    assert_eq!(Snapshot::take(), before);
    let spec = |more: Value| {
        let mut spec =
            json!({"resourceName": "sriovnic1", "numVfs": 4, "nicSelector": {"pfNames": ["pf0"]}});
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        policy(&spec)
            .replace("\"bad\"", "\"policy-pf0\"")
            .replace("\"demo\"", &format!("\"{namespace}\""))
    };
    refused(&spec(json!({"numVfs": 5})), &["policy-pf0", "numVfs", "demo/holder"]);
    refused(&spec(json!({"mtu": 9000})), &["policy-pf0", "mtu", "demo/holder"]);
}

#[test]
fn policy_that_no_card_can_meet_is_refused() {
    crate::node::sweep();
    let spec = |pf: &str, vfs: u16| {
        policy(&json!({"resourceName": "r", "numVfs": vfs, "nicSelector": {"pfNames": [pf]}}))
    };
    refused(&spec("ens9f9", 2), &["demo/bad", "nicSelector", "pf0"]);
    refused(&spec("pf0", 8), &["demo/bad", "numVfs", "8", "7"]);
    refused(&spec("pf0", 0), &["demo/bad", "numVfs"]);
    let empty = policy(&json!({"resourceName": "r", "numVfs": 1, "nicSelector": {}}));
    refused(&empty, &["demo/bad", "nicSelector"]);
}

#[test]
fn foreign_namespace_of_the_pods_name_is_left_unchanged() {
    ip("netns add demo.refused");
    refused(&pod("refused", ""), &["demo/refused", "ip netns del"]);
    ip("netns del demo.refused");
}

#[test]
fn failed_pod_is_undone_and_hinders_no_other() {
    let networks = WithNetworks::new();
    let ipam = json!({"type": "static", "addresses": [{"address": "nonsense"}]});
    succeeded(&apply(&nad("bad", &bond_config(&json!({ "ipam": ipam })).to_string())));
    let before = Snapshot::take();
    let next = pod("next", "demo/sriovnet1, demo/sriovnet2, demo/bond-net1");
    let applied = apply(&(pod("failing", NETWORKS) + "---\n" + &next));
    assert_eq!(applied.status.code(), Some(1));
    assert!(failed(&applied).contains("demo/failing"), "{applied:?}");
    assert!(String::from_utf8_lossy(&applied.stdout).contains("Pod demo/next created"));
    succeeded(&podbond(&["delete", "pod", "next", "-n", "demo"]));
    assert_eq!(Snapshot::take(), before);
    succeeded(&podbond(&["delete", "nad", "bad", "-n", "demo"]));
    networks.end();
}

#[test]
fn missing_root_rights_are_reported_with_a_remedy() {
    let before = Snapshot::take();
    let said = failed(&apply_as_nobody(&pod("refused", "demo/none")));
    assert!(said.contains("run it as root"), "{said}");
    assert_eq!(Snapshot::take(), before);
}
