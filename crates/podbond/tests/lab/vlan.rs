//! A VLAN interface on a bond.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::node::{
    Call, Netns, Snapshot, WithNetworks, apply, bond_config, interface, ip, nad, pod, podbond,
    status, succeeded, words,
};

/// Longer than a VF needs to find carrier again after its PF went down and up.
const TIMEOUT: Duration = Duration::from_mins(1);

fn call<'c>(command: &'c str, netns: &'c str) -> Call<'c> {
    Call { plugin: "bond", command, container: "c1", netns, ifname: "net3" }
}

fn config(changes: &Value) -> Value {
    let mut config = bond_config(&json!({"cniVersion": "1.1.0", "vlan": 100}));
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

fn within_timeout(mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + TIMEOUT;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn vlan_interface_is_removed_with_its_bond_by_del() {
    let before = Snapshot::take();
    let netns = Netns::with_links("vlan");
    netns.ip("link set net2 mtu 1400");
    let (path, links) = (netns.path(), netns.links());
    for (changes, protocol) in [
        (json!({"mtu": null}), "802.1Q"),
        (json!({"mtu": 1300, "vlanProto": "802.1ad", "vlan": "4094"}), "802.1ad"),
    ] {
        let config = config(&changes);
        let result = call("ADD", &path).run(&config).unwrap();
        let (vlan, bond) = (netns.link("net3"), netns.link("net3-bond"));
        let data = &vlan["linkinfo"]["info_data"];
        let id = changes["vlan"].as_str().map_or(100, |id| id.parse().unwrap());
        assert_eq!((&data["id"], &data["protocol"]), (&json!(id), &json!(protocol)));
        assert_eq!(vlan["link"], "net3-bond");
        assert_eq!(bond["linkinfo"]["info_kind"], "bond");
        let mtu = changes["mtu"].as_u64().unwrap_or(1400);
        assert_eq!((&vlan["mtu"], &bond["mtu"]), (&json!(mtu), &json!(mtu)));

        let interfaces = result["interfaces"].as_array().unwrap();
        assert_eq!(interfaces.len(), 1);
        assert_eq!((&interfaces[0]["name"], &interfaces[0]["mtu"]), (&json!("net3"), &json!(mtu)));
        assert_eq!(interfaces[0]["mac"], vlan["address"]);
        let has_v4 = |link: &Value| {
            let all = link["addr_info"].as_array().unwrap();
            all.iter().any(|address| address["family"] == "inet")
        };
        assert!(has_v4(&vlan) && !has_v4(&bond));
        assert!(netns.ip("route show default").contains("dev net3 "));

        // The driver changes the bond's address at a fail-over, and the kernel that of the VLAN.
        netns.ip("link set net1 down");
        let address = netns.link("net2")["address"].clone();
        let fails_over = within_timeout(|| netns.link("net3-bond")["address"] == address);
        assert!(fails_over, "{}", netns.link("net3-bond"));
        assert_eq!(netns.link("net3")["address"], address);

        call("DEL", &path).run(&config).unwrap();
        assert_eq!(netns.links(), links, "{changes}");
        call("DEL", &path).run(&config).unwrap();
        assert_eq!(netns.links(), links, "{changes}");
    }
    drop(netns);
    assert_eq!(Snapshot::take(), before);
}

/// Promise: check-names-differences
#[test]
fn check_compares_the_vlan_interface_and_the_bond() {
    let netns = Netns::with_links("vlan-check");
    let path = netns.path();
    let mut config = config(&json!({}));
    config["prevResult"] = call("ADD", &path).run(&config).unwrap();
    call("CHECK", &path).run(&config).unwrap();
    let check_error = |config: &Value| words(&call("CHECK", &path).run(config).unwrap_err()["msg"]);
    netns.ip("link set net2 nomaster");
    netns.ip("link set net3 mtu 1400");
    let said = check_error(&config);
    assert!(said.contains("net2 is no port of net3-bond"), "{said}");
    assert!(said.contains("mtu of net3 is 1400, not 1500"), "{said}");
    netns.ip("link del net3");
    netns.ip("link add link net3-bond name net3 type vlan id 101");
    let said = check_error(&config);
    assert!(said.contains("net3 is vlan 101, not vlan 100; net3 is down"), "{said}");
    netns.ip("link del net3");
    assert!(check_error(&config).contains("net3 is gone"));
    call("DEL", &path).run(&config).unwrap();
    assert_eq!(netns.link("net3-bond"), Value::Null);
}

/// Promise: failed-add-leaves-nothing
#[test]
fn failed_add_leaves_neither_bond_nor_vlan_interface() {
    let netns = Netns::with_links("vlan-failed");
    let (path, links, node) = (netns.path(), netns.links(), Snapshot::take());
    let ipam = json!({"type": "host-local", "subnet": "10.56.217.0/33"});
    let failing = config(&json!({"ipam": ipam}));
    call("ADD", &path).run(&failing).unwrap_err();
    assert_eq!((netns.links(), Snapshot::take()), (links.clone(), node));

    // The name of the bond below is another link's: that link is not taken away either.
    netns.ip("link add net3-bond type bond mode balance-rr");
    let (links, node) = (netns.links(), Snapshot::take());
    let error = call("ADD", &path).run(&config(&json!({}))).unwrap_err();
    assert!(words(&error["msg"]).contains("would be called net3-bond, and the pod has"), "{error}");
    call("DEL", &path).run(&config(&json!({}))).unwrap();
    assert_eq!((netns.links(), Snapshot::take()), (links, node));
}

#[test]
fn removed_vlan_interface_or_bond_hinders_no_del() {
    let before = Snapshot::take();
    let netns = Netns::with_links("vlan-gone");
    let (path, links) = (netns.path(), netns.links());
    for command in ["link del net3", "link del net3-bond"] {
        call("ADD", &path).run(&config(&json!({}))).unwrap();
        netns.ip(command);
        call("DEL", &path).run(&config(&json!({}))).unwrap();
        assert_eq!(netns.links(), links, "{command}");
    }
    // With the namespace.
    call("ADD", &path).run(&config(&json!({}))).unwrap();
    drop(netns);
    call("DEL", &path).run(&config(&json!({}))).unwrap();
    assert_eq!(Snapshot::take(), before);
}

/// A VLAN on the switch, with the gateway's address, for as long as the value lives.
struct SwitchVlan;

impl SwitchVlan {
    fn new() -> Self {
        drop(Self);
        ip("-n switch link add link br0 name br0.100 type vlan id 100");
        ip("-n switch addr add 10.57.0.1/24 dev br0.100");
        ip("-n switch link set br0.100 up");
        Self
    }
}

impl Drop for SwitchVlan {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["-n", "switch", "link", "del", "br0.100"]).output();
    }
}

/// Whether the switch answers through the pod's interface within the time that a card may need.
fn answers(pod: &str) -> bool {
    let ping = ["ping", "-c", "1", "-W", "1", "-I", "net3", "10.57.0.1"];
    let arguments = [&["exec", "-n", "demo", pod, "--"][..], &ping].concat();
    within_timeout(|| podbond(&arguments).status.success())
}

#[test]
fn tagged_traffic_over_vfs_survives_a_fail_over() {
    let networks = WithNetworks::new();
    let _vlan = SwitchVlan::new();
    let ipam = json!({"type": "host-local", "subnet": "10.57.0.0/24", "rangeStart": "10.57.0.10"});
    let config = config(&json!({"name": "tagged", "cniVersion": "0.3.1", "ipam": ipam}));
    let manifest = nad("tagged", &config.to_string())
        + &pod("tagged", "demo/sriovnet1, demo/sriovnet2, demo/tagged");
    let file = "/tmp/tagged.yaml";
    std::fs::write(file, &manifest).unwrap();
    let plan = succeeded(&podbond(&["plan", "-f", file]));
    assert!(plan.contains("create vlan 100 net3 (pod) on net3-bond mtu 1500"), "{plan}");
    succeeded(&apply(&manifest));

    let pod = status("tagged");
    let vlan = json!({"id": 100, "protocol": "802.1q", "on": "net3-bond"});
    assert_eq!(interface(&pod, "net3")["vlan"], vlan);
    assert_eq!(interface(&pod, "net3-bond")["bond"]["mode"], "active-backup");
    assert_eq!(interface(&pod, "net1")["port"]["bond"], "net3-bond");
    assert_eq!(pod["networkStatus"][3]["interface"], "net3");
    let text = succeeded(&podbond(&["status", "-n", "demo", "tagged"]));
    assert!(text.contains("net3@net3-bond  vlan 100"), "{text}");
    assert!(answers("tagged"), "{text}");

    let active = words(&interface(&pod, "net3-bond")["bond"]["activePort"]);
    let pf = words(&interface(&pod, &active)["function"]["pf"]);
    ip(&format!("link set {pf} down"));
    let after = answers("tagged");
    let failed_over = status("tagged");
    ip(&format!("link set {pf} up"));
    assert!(after, "{failed_over}");
    assert_ne!(interface(&failed_over, "net3-bond")["bond"]["activePort"], active);

    succeeded(&podbond(&["delete", "pod", "tagged", "-n", "demo"]));
    succeeded(&podbond(&["delete", "nad", "tagged", "-n", "demo"]));
    networks.end();
}
