//! What will not survive is reported before that day: by the plan, in the log of an ADD, by the doctor.

use std::fs;
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::documented::trusted_networks;
use crate::node::{
    Call, HostRules, Netns, Snapshot, WithNetworks, apply, bond_config, failed, ip, nad, pod,
    podbond, succeeded, words,
};

/// A NAD `found` with changes of the documented bond, and a pod with these networks before it.
fn manifest(name: &str, networks: &str, changes: &Value) -> String {
    nad("found", &bond_config(changes).to_string()) + &pod(name, &format!("{networks}, demo/found"))
}

fn plan(manifest: &str, arguments: &[&str]) -> Output {
    let file = "/tmp/findings.yaml";
    fs::write(file, manifest).unwrap();
    podbond(&[&["plan", "-f", file], arguments].concat())
}

/// The codes of what the plan finds.
fn planned(manifest: &str) -> Vec<String> {
    let plan: Value = serde_json::from_str(&succeeded(&plan(manifest, &["-o", "json"]))).unwrap();
    let attachments = plan["pods"][0]["attachments"].as_array().unwrap();
    let calls = attachments.iter().flat_map(|attachment| attachment["calls"].as_array().unwrap());
    codes(calls.filter_map(|call| call["findings"].as_array()).flatten())
}

fn codes<'f>(findings: impl Iterator<Item = &'f Value>) -> Vec<String> {
    findings.map(|finding| words(&finding["code"])).collect()
}

/// What the doctor finds of a pod's bond or of a pod, and its exit status.
fn doctored(pod: &str) -> (Vec<String>, Option<i32>) {
    let output = podbond(&["doctor", "-o", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let of_pod = findings.filter(|f| f["pod"] == pod || f["object"]["names"][0] == pod);
    (codes(of_pod), output.status.code())
}

/// The same, once ports have found their carrier, which takes a VF some seconds.
fn doctored_at_last(pod: &str, expected: &[&str], status: i32) {
    let mut last = doctored(pod);
    for _ in 0..300 {
        if last.0 == expected && last.1 == Some(status) {
            return;
        }
        sleep(PAUSE);
        last = doctored(pod);
    }
    panic!("{last:?} is not {expected:?} with status {status}");
}

/// The documented networks, over PFs that have found their carrier after what tests before did.
fn networks() -> WithNetworks {
    let networks = WithNetworks::new();
    let has_carrier = |pf: &str| {
        let carrier = fs::read_to_string(format!("/sys/class/net/{pf}/carrier"));
        carrier.is_ok_and(|carrier| carrier.trim() == "1")
    };
    for pf in ["pf0", "pf1"] {
        ip(&format!("link set {pf} up"));
        assert!(
            (0..300).any(|_| has_carrier(pf) || {
                sleep(PAUSE);
                false
            }),
            "{pf}"
        );
    }
    networks
}

/// What a command said on standard error; it must have succeeded.
fn said(output: &Output) -> String {
    succeeded(output);
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn delete(name: &str) {
    succeeded(&podbond(&["delete", "pod", name, "-n", "demo"]));
}

/// Takes the NAD and all else back.
fn end(networks: WithNetworks) {
    succeeded(&podbond(&["delete", "nad", "found", "-n", "demo"]));
    networks.end();
}

/// Between two looks at what takes its time.
const PAUSE: Duration = Duration::from_millis(200);

const BOTH: &str = "demo/sriovnet1, demo/sriovnet2";

#[test]
fn two_vfs_of_one_pf_are_reported_and_refused_on_request() {
    let networks = networks();
    let twice = "demo/sriovnet1, demo/sriovnet1";
    let shared = manifest("shared", twice, &json!({}));
    assert_eq!(planned(&shared), ["ports-share-a-pf"]);
    let text = succeeded(&plan(&shared, &[]));
    assert!(text.contains("warning: PF pf0: net1, net2 all run over it"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let log = said(&apply(&shared));
    assert!(log.contains("bond: network bond-net1: warning: PF pf0: net1, net2 all run"), "{log}");
    doctored_at_last("demo/shared", &["ports-share-a-pf"], 0);
    let text = succeeded(&podbond(&["doctor"]));
    assert!(text.contains("warning: demo/shared net3: PF pf0: net1, net2 all run"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    delete("shared");

    let good = manifest("good", BOTH, &json!({"requireDistinctPFs": true}));
    assert_eq!(planned(&good), Vec::<String>::new());
    let before = Snapshot::take();
    let refused = manifest("shared", twice, &json!({"requireDistinctPFs": true}));
    for output in [plan(&refused, &[]), apply(&refused)] {
        let said = failed(&output);
        assert!(said.contains("PF pf0: net1, net2 all run over it"), "{said}");
        assert!(said.contains("which requireDistinctPFs forbids"), "{said}");
    }
    assert_eq!(Snapshot::take(), before);
    end(networks);
}

#[test]
fn refused_finding_changes_no_link() {
    networks().end();
    let networks = WithNetworks::vfs_alone();
    let _rules = HostRules::allow_all();
    let netns = Netns::with_links("distinct");
    let vf = |index: u8| {
        let directory = format!("/sys/class/net/pf0/device/virtfn{index}/net");
        let link = fs::read_dir(directory).unwrap().next().unwrap().unwrap().file_name();
        json!({"name": link.into_string().unwrap()})
    };
    let changes = json!({
        "linksInContainer": false, "links": [vf(0), vf(1)], "requireDistinctPFs": true,
        "miimon": 0, "requireCarrier": true,
    });
    ip("link set pf0 down");
    let before = (Snapshot::take(), netns.links());
    let path = netns.path();
    let add = Call { plugin: "bond", command: "ADD", container: "c1", netns: &path, ifname: "b0" };
    let error = add.run(&bond_config(&changes)).unwrap_err();
    let text = words(&error["msg"]);
    for part in ["PF pf0:", "all run over it", "requireDistinctPFs", "it is down", "requireCarrier"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("miimon"), "it is reported and not refused: {text}");
    assert_eq!((Snapshot::take(), netns.links()), before);
    ip("link set pf0 up");
    drop(netns);
    networks.end();
}

#[test]
fn pf_that_is_down_or_a_port_of_the_node_is_reported() {
    let networks = networks();
    let _ = Command::new("ip").args(["link", "del", "uplink"]).output();
    let bond = |changes: Value| manifest("below", BOTH, &changes);
    assert_eq!(planned(&bond(json!({}))), Vec::<String>::new());
    ip("link set pf1 down");
    assert_eq!(planned(&bond(json!({}))), ["pf-down"]);
    ip("link set pf1 up");
    ip("link add uplink type bridge");
    ip("link set pf1 master uplink");
    let found = planned(&bond(json!({})));
    let text = succeeded(&plan(&bond(json!({})), &[]));
    let refused = failed(&plan(&bond(json!({"requireUnsharedPFs": true})), &[]));
    ip("link del uplink");
    // The PF may still be on its way to its carrier.
    assert!(found.contains(&"pf-has-a-master".to_owned()), "{found:?}");
    assert!(text.contains("PF pf1: it is itself a port of the node's bridge uplink"), "{text}");
    assert!(refused.contains("which requireUnsharedPFs forbids"), "{refused}");
    networks.end();
}

#[test]
fn all_findings_of_vfs_and_options_are_reported_at_once() {
    let networks = networks();
    let changes = json!({
        "mode": "balance-rr", "failOverMac": null, "failOverMak": 1, "miimon": 0,
        "lpInterval": 2, "allowUntrusted": true,
    });
    let found = planned(&manifest("many", "demo/sriovnet1, demo/sriovnet1", &changes));
    assert_eq!(
        found,
        [
            "unknown-key",
            "option-without-effect",
            "no-monitoring",
            "ports-share-a-pf",
            "untrusted-shared-mac",
        ]
    );
    networks.end();
}

#[test]
fn second_lacp_bond_over_the_same_pfs_is_reported() {
    let networks = networks();
    succeeded(&apply(&trusted_networks()));
    let lacp = |name: &str| {
        let changes = json!({"mode": "802.3ad", "failOverMac": null});
        manifest(name, "demo/trusted1, demo/trusted2", &changes)
    };
    let reported = |log: &str| log.contains("PF pf0: net3 of pod demo/first runs LACP over it too");
    let log = said(&apply(&lacp("first")));
    assert!(!log.contains("runs LACP"), "{log}");
    assert_eq!(planned(&lacp("second")), ["lacp-twice-on-a-pf", "lacp-twice-on-a-pf"]);
    let log = said(&apply(&lacp("second")));
    assert!(reported(&log), "{log}");
    let (found, status) = doctored("demo/second");
    let twice = found.iter().filter(|code| *code == "lacp-twice-on-a-pf").count();
    assert_eq!((twice, status), (2, Some(4)), "{found:?}");
    delete("first");
    delete("second");
    let log = said(&apply(&lacp("third")));
    assert!(!log.contains("runs LACP"), "{log}");
    delete("third");
    for network in ["trusted1", "trusted2"] {
        succeeded(&podbond(&["delete", "nad", network, "-n", "demo"]));
    }
    end(networks);
}

#[test]
fn doctor_reports_changes_and_pods_that_are_gone() {
    let networks = networks();
    succeeded(&apply(&manifest("patient", BOTH, &json!({}))));
    doctored_at_last("demo/patient", &[], 0);
    let report = podbond(&["doctor", "-o", "json"]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(report["kernel"]["bonding"], "loaded");
    assert_eq!((&report["pfs"][0]["vfs"], &report["pfs"][0]["vfsFree"]), (&json!(4), &json!(3)));
    assert_eq!(report["vfs"][0]["heldBy"], "net1 of pod demo/patient");
    assert_eq!(report["bonds"][0]["ports"][1]["pf"], "pf1");

    ip("-n demo.patient link set net3 type bond miimon 50");
    doctored_at_last("demo/patient", &["bond-differs"], 4);
    let text = String::from_utf8_lossy(&podbond(&["doctor"]).stdout).into_owned();
    assert!(text.contains("error: demo/patient net3: bond net3: miimon is 50, not 100"), "{text}");
    ip("-n demo.patient link del net3");
    doctored_at_last("demo/patient", &["bond-differs"], 4);
    ip("netns del demo.patient");
    doctored_at_last("demo/patient", &["pod-gone"], 0);
    delete("patient");
    end(networks);
}
