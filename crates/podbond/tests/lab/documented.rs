//! The documented case and its relatives, over real VFs, as a person applies them.

use std::process::Command;

use serde_json::{Value, json};

use crate::cables::{Switch, carrying, plug, pull, until};
use crate::node::{
    EXAMPLES, Snapshot, WithNetworks, apply, bond_config, in_pod, interface, ip, nad, pod, podbond,
    status, succeeded, sweep, words,
};

/// A VF finds carrier some time after it is opened, and what is sent before is lost.
fn wait_for_ports(name: &str) {
    carrying(name, &["net1", "net2"]);
}

/// SriovNetworks whose VFs are trusted, and may thus take the address of a bond.
pub(crate) fn trusted_networks() -> String {
    let network = |number: u8| {
        format!(
            "apiVersion: sriovnetwork.openshift.io/v1\nkind: SriovNetwork\nmetadata:\n  \
             name: trusted{number}\n  namespace: demo\nspec:\n  resourceName: sriovnic{number}\n  \
             trust: 'on'\n---\n"
        )
    };
    network(1) + &network(2)
}

#[test]
fn documented_manifests_give_the_documented_pod() {
    sweep();
    let before = Snapshot::take();
    succeeded(&podbond(&["plan", "-f", EXAMPLES]));
    assert_eq!(Snapshot::take(), before, "a plan changes nothing");

    succeeded(&podbond(&["apply", "-f", EXAMPLES]));
    let pod = status("bondpod1");
    assert_eq!(interface(&pod, "net3")["bond"]["mode"], "active-backup");
    assert!(words(&interface(&pod, "net3")["addresses"][0]).starts_with("10.56.217."), "{pod}");
    for (port, pf) in [("net1", "pf0"), ("net2", "pf1")] {
        let port = interface(&pod, port);
        assert_eq!(port["port"]["bond"], "net3");
        assert_eq!(port["function"]["pf"], pf);
    }
    assert!(words(&interface(&pod, "eth0")["addresses"][0]).starts_with("10.88.0."), "{pod}");
    let default = in_pod("bondpod1", &["ip", "route", "show", "default"]);
    assert!(default.starts_with("default via 10.56.217.1 dev net3"), "{default}");
    wait_for_ports("bondpod1");
    in_pod("bondpod1", &["ping", "-c", "2", "-i", "0.2", "-W", "5", "-I", "net3", "10.56.217.1"]);

    let links = in_pod("bondpod1", &["ls", "/sys/class/net"]);
    assert_eq!(
        links.split_whitespace().collect::<Vec<_>>(),
        ["bonding_masters", "eth0", "lo", "net1", "net2", "net3"]
    );

    let entries = pod["networkStatus"].as_array().unwrap();
    let names: Vec<String> = entries.iter().map(|entry| words(&entry["name"])).collect();
    assert_eq!(names, ["default", "demo/sriovnet1", "demo/sriovnet2", "demo/bond-net1"]);
    assert_eq!(entries[3]["interface"], "net3");
    assert_eq!(entries[3]["gateway"], json!(["10.56.217.1"]));

    succeeded(&podbond(&["delete", "-f", EXAMPLES]));
    assert_eq!(Snapshot::take(), before);
}

#[test]
fn applying_again_reports_no_change() {
    let networks = WithNetworks::new();
    succeeded(&podbond(&["apply", "-f", EXAMPLES]));
    wait_for_ports("bondpod1");
    let (first, pod) = (Snapshot::take(), status("bondpod1"));
    let said = succeeded(&podbond(&["apply", "-f", EXAMPLES]));
    assert!(said.lines().all(|line| line.ends_with("unchanged")), "{said}");
    assert_eq!((Snapshot::take(), status("bondpod1")), (first, pod));
    networks.end();
}

#[test]
fn annotation_gives_the_bond_its_name() {
    let networks = WithNetworks::new();
    let annotation = "demo/sriovnet1, demo/sriovnet2, demo/bond-net1@bond0";
    succeeded(&apply(&pod("named", annotation)));
    let named = status("named");
    assert_eq!(interface(&named, "net1")["port"]["bond"], "bond0");
    succeeded(&podbond(&["delete", "pod", "named", "-n", "demo"]));
    networks.end();
}

#[test]
fn trusted_vfs_are_bonded_in_every_documented_mode() {
    let networks = WithNetworks::new();
    succeeded(&apply(&trusted_networks()));
    let before = Snapshot::take();
    for mode in ["balance-rr", "active-backup", "balance-xor"] {
        for fail_over_mac in [0, 1] {
            let changes = json!({"mode": mode, "failOverMac": fail_over_mac});
            let bond = nad("trusted-bond", &bond_config(&changes).to_string());
            succeeded(&apply(
                &(bond + &pod("trusted", "demo/trusted1, demo/trusted2, demo/trusted-bond")),
            ));
            let up = status("trusted");
            assert_eq!(interface(&up, "net3")["bond"]["mode"], mode);
            succeeded(&podbond(&["delete", "pod", "trusted", "-n", "demo"]));
            succeeded(&podbond(&["delete", "nad", "trusted-bond", "-n", "demo"]));
            assert_eq!(Snapshot::take(), before, "{mode} {fail_over_mac}");
        }
    }
    for network in ["trusted1", "trusted2"] {
        succeeded(&podbond(&["delete", "nad", network, "-n", "demo"]));
    }
    networks.end();
}

#[test]
fn bond_fails_over_and_back() {
    let networks = WithNetworks::new();
    succeeded(&apply(&pod("failing", "demo/sriovnet1, demo/sriovnet2, demo/bond-net1")));
    // Puts both cables back, also when the test fails with one out.
    let _switch = Switch::wired("bridge");
    let active = || interface(&status("failing"), "net3")["bond"]["activePort"].clone();
    // Whichever VF finds its carrier first.
    let first = until("a first active port", active, Value::is_string);
    let [own, other] = if first == "net1" { [0, 1] } else { [1, 0] };
    pull(own);
    until("the other port active", active, |active| active.is_string() && *active != first);
    in_pod("failing", &["ping", "-c", "2", "-i", "0.2", "-W", "5", "-I", "net3", "10.56.217.1"]);
    plug(own);
    pull(other);
    until("the first port active again", active, |active| *active == first);
    plug(other);
    succeeded(&podbond(&["delete", "pod", "failing", "-n", "demo"]));
    networks.end();
}

#[test]
fn network_with_its_own_device_needs_no_policy() {
    let networks = WithNetworks::new();
    let pci = succeeded(
        &Command::new("readlink").arg("/sys/class/net/pf0/device/virtfn3").output().unwrap(),
    );
    let pci = pci.trim().rsplit('/').next().unwrap().to_owned();
    let config = json!({"type": "sriov", "cniVersion": "0.3.1", "name": "own", "deviceID": pci});
    succeeded(&apply(&(nad("own", &config.to_string()) + &pod("owner", "demo/own"))));
    assert_eq!(interface(&status("owner"), "net1")["function"]["pci"], pci);
    succeeded(&podbond(&["delete", "pod", "owner", "-n", "demo"]));
    succeeded(&podbond(&["delete", "nad", "own", "-n", "demo"]));
    networks.end();
}

/// Promise: del-namespace-gone
#[test]
fn vfs_are_restored_when_the_pods_namespace_vanished() {
    let networks = WithNetworks::new();
    let before = Snapshot::take();
    succeeded(&apply(&pod("vanished", "demo/sriovnet1, demo/sriovnet2, demo/bond-net1")));
    ip("netns del demo.vanished");
    let said = podbond(&["exec", "-n", "demo", "vanished", "--", "true"]);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("its network namespace is gone"), "{said}");
    succeeded(&podbond(&["delete", "pod", "vanished", "-n", "demo"]));
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

/// Promise: killed-apply-repeated
#[test]
fn pod_whose_namespace_vanished_is_created_by_applying_again() {
    let networks = WithNetworks::new();
    let manifest = pod("again", "demo/sriovnet1, demo/sriovnet2, demo/bond-net1");
    succeeded(&apply(&manifest));
    ip("netns del demo.again");
    succeeded(&apply(&manifest));
    assert_eq!(interface(&status("again"), "net2")["port"]["bond"], "net3");
    succeeded(&podbond(&["delete", "pod", "again", "-n", "demo"]));
    networks.end();
}

#[test]
fn status_is_a_table_of_at_most_100_columns() {
    let networks = WithNetworks::new();
    succeeded(&apply(&pod("bondpod1", "demo/sriovnet1, demo/sriovnet2, demo/bond-net1")));
    let table = succeeded(&podbond(&["status"]));
    assert!(table.contains("net3  active-backup"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    networks.end();
    assert_eq!(succeeded(&podbond(&["status"])).trim(), "no pods here");
}
