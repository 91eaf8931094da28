//! The bond plugin as a runtime calls it, over links that are in the pod or on the host.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::node::{Call, HostRules, Netns, Snapshot, bond_config, ip, words};

fn call<'c>(command: &'c str, netns: &'c str) -> Call<'c> {
    Call { plugin: "bond", command, container: "c1", netns, ifname: "bond0" }
}

/// Takes the driver out of the kernel; this stands in modprobe.d when it is loaded again.
fn unload_bonding(options: &str) {
    fs::create_dir_all("/etc/modprobe.d").unwrap();
    fs::write("/etc/modprobe.d/bonding.conf", options).unwrap();
    let unloaded = Command::new("modprobe").args(["-r", "bonding"]).status().unwrap();
    assert!(unloaded.success() && !Path::new("/sys/module/bonding").exists());
}

/// Promise: no-bond-of-the-driver
#[test]
fn first_bond_leaves_no_bond0_on_the_node() {
    let before = Snapshot::take();
    let netns = Netns::with_links("first");
    let links = netns.links();
    for options in ["", "options bonding max_bonds=2 mode=802.3ad\n"] {
        unload_bonding(options);
        call("ADD", &netns.path()).run(&bond_config(&json!({"ipam": null}))).unwrap();
        assert_eq!(fs::read_to_string("/sys/class/net/bonding_masters").unwrap().trim(), "");
        assert_eq!(netns.link("bond0")["linkinfo"]["info_data"]["mode"], "active-backup");
        call("DEL", &netns.path()).run(&bond_config(&json!({"ipam": null}))).unwrap();
        assert_eq!(netns.links(), links);
    }
    // Who bars the driver has barred it from podbond too.
    unload_bonding("blacklist bonding\n");
    let error = call("ADD", &netns.path()).run(&bond_config(&json!({"ipam": null}))).unwrap_err();
    fs::remove_file("/etc/modprobe.d/bonding.conf").unwrap();
    assert!(words(&error["msg"]).contains("modprobe bonding"), "{error}");
    assert!(!Path::new("/sys/module/bonding").exists());
    drop(netns);
    assert_eq!(Snapshot::take(), before);
    let loaded = Command::new("modprobe").args(["bonding", "max_bonds=0"]).status().unwrap();
    assert!(loaded.success());
}

#[test]
fn documented_configuration_gives_the_documented_result() {
    let before = Snapshot::take();
    let netns = Netns::with_links("documented");
    let links = netns.links();
    let result = call("ADD", &netns.path()).run(&bond_config(&json!({}))).unwrap();
    assert_eq!(result["cniVersion"], "0.3.1");
    assert_eq!(result["interfaces"].as_array().unwrap().len(), 1);
    assert_eq!(result["interfaces"][0]["name"], "bond0");
    assert_eq!(result["interfaces"][0]["sandbox"], netns.path());
    assert_eq!(result["ips"][0]["interface"], 0);
    assert_eq!(result["ips"][0]["version"], "4");
    assert_eq!(result["ips"][0]["gateway"], "10.56.217.1");
    assert_eq!(result["routes"][0]["dst"], "0.0.0.0/0");

    let bond = netns.link("bond0");
    let data = &bond["linkinfo"]["info_data"];
    assert_eq!(bond["address"], result["interfaces"][0]["mac"]);
    assert_eq!((&data["mode"], &data["miimon"]), (&json!("active-backup"), &json!(100)));
    assert_eq!(data["fail_over_mac"], "active");
    assert_eq!(netns.link("net1")["master"], "bond0");
    assert_eq!(netns.link("net2")["master"], "bond0");
    let address =
        format!("{}/{}", words(&bond["addr_info"][0]["local"]), bond["addr_info"][0]["prefixlen"]);
    assert_eq!(result["ips"][0]["address"], address);
    assert!(netns.ip("route show default").contains("via 10.56.217.1 dev bond0"));

    call("DEL", &netns.path()).run(&bond_config(&json!({}))).unwrap();
    call("DEL", &netns.path()).run(&bond_config(&json!({}))).unwrap();
    // The ports too are up again, which the driver closes when it frees them.
    assert_eq!(netns.links(), links);
    drop(netns);
    assert_eq!(Snapshot::take(), before);
}

#[test]
fn default_route_of_another_network_stays() {
    let netns = Netns::with_links("routes");
    netns.ip("link add eth0 type dummy");
    netns.ip("addr add 10.88.0.2/24 dev eth0");
    netns.ip("link set eth0 up");
    netns.ip("route add default via 10.88.0.1");
    call("ADD", &netns.path()).run(&bond_config(&json!({}))).unwrap();
    let routes = netns.ip("route show default");
    assert!(routes.starts_with("default via 10.56.217.1 dev bond0"), "{routes}");
    assert!(routes.contains("default via 10.88.0.1 dev eth0"), "{routes}");
    call("DEL", &netns.path()).run(&bond_config(&json!({}))).unwrap();
    assert!(netns.ip("route show default").starts_with("default via 10.88.0.1 dev eth0"));
}

#[test]
fn every_mode_is_set_by_name_and_by_number() {
    let netns = Netns::with_links("modes");
    let modes = [
        "balance-rr",
        "active-backup",
        "balance-xor",
        "broadcast",
        "802.3ad",
        "balance-tlb",
        "balance-alb",
    ];
    for (number, mode) in modes.iter().enumerate() {
        for given in [json!(mode), json!(number), json!(number.to_string())] {
            let config = bond_config(&json!({"mode": given, "ipam": null}));
            call("ADD", &netns.path()).run(&config).unwrap();
            assert_eq!(netns.link("bond0")["linkinfo"]["info_data"]["mode"], *mode);
            call("DEL", &netns.path()).run(&config).unwrap();
        }
    }
}

#[test]
fn bond_takes_any_number_of_ports_and_the_smallest_mtu() {
    let netns = Netns::with_links("ports");
    let mut links = vec![json!({"name": "net1"}), json!({"name": "net2"})];
    for number in 3..=16 {
        netns.ip(&format!("link add net{number} type dummy"));
        links.push(json!({ "name": format!("net{number}") }));
    }
    netns.ip("link set net9 mtu 1400");
    let config = bond_config(&json!({"links": links, "mtu": null}));
    call("ADD", &netns.path()).run(&config).unwrap();
    assert_eq!(netns.link("bond0")["mtu"], 1400);
    assert!((1..=16).all(|number| netns.link(&format!("net{number}"))["master"] == "bond0"));
    call("DEL", &netns.path()).run(&config).unwrap();
    assert_eq!(netns.link("net1")["mtu"], 1500);
}

#[test]
fn host_links_are_moved_in_and_restored() {
    let _rules = HostRules::allow_all();
    ip("link add port1 type dummy");
    ip("link add port2 type dummy");
    ip("link set port1 mtu 1600 up");
    let before = Snapshot::take();
    let netns = Netns::with_links("moved");
    let config = bond_config(
        &json!({"linksInContainer": false, "links": [{"name": "port1"}, {"name": "port2"}]}),
    );
    call("ADD", &netns.path()).run(&config).unwrap();
    assert_eq!(netns.link("port1")["master"], "bond0");
    call("DEL", &netns.path()).run(&config).unwrap();
    drop(netns);
    assert_eq!(Snapshot::take(), before);
    ip("link del port1");
    ip("link del port2");
}

/// Promise: del-config-changed
#[test]
fn del_with_a_changed_configuration_releases_all() {
    let _rules = HostRules::allow_all();
    for port in ["port1", "port2", "port3"] {
        ip(&format!("link add {port} type dummy"));
    }
    let before = Snapshot::take();
    let netns = Netns::with_links("changed");
    let of = |second: &str, subnet: &str| {
        bond_config(&json!({
            "linksInContainer": false, "links": [{"name": "port1"}, {"name": second}],
            "ipam": {"type": "host-local", "subnet": subnet, "dataDir": format!("/run/{second}")},
        }))
    };
    call("ADD", &netns.path()).run(&of("port2", "10.99.1.0/24")).unwrap();
    let leases = || fs::read_dir("/run/port2/bond-net1").unwrap().flatten();
    let is_lease = |file: &fs::DirEntry| file.file_name().to_string_lossy().starts_with("10.99.");
    assert_eq!(leases().filter(is_lease).count(), 1);
    call("DEL", &netns.path()).run(&of("port3", "10.99.2.0/24")).unwrap();
    assert_eq!(leases().filter(is_lease).count(), 0);
    drop(netns);
    assert_eq!(Snapshot::take(), before);
    for port in ["port1", "port2", "port3"] {
        ip(&format!("link del {port}"));
    }
    fs::remove_dir_all("/run/port2").unwrap();
}

/// Promise: del-spares-others
#[test]
fn del_after_a_refused_add_changes_no_link_of_the_pod() {
    let _rules = HostRules::allow_all();
    let netns = Netns::with_links("untouched");
    // The pod's links have the names of the node's: neither may be taken for the other.
    ip("link add net1 type dummy");
    ip("link add net2 type dummy");
    let (node, links) = (Snapshot::take(), netns.links());
    for changes in [
        json!({"linksInContainer": false}),
        json!({"mode": "no-such"}),
        json!({"links": [{"name": "net1"}, {"name": "a/b"}]}),
        json!({"ipam": {"type": "bond"}}),
        json!({"ipam": "host-local"}),
        json!({"runtimeConfig": {"ips": ["nonsense"]}}),
    ] {
        let config = bond_config(&changes);
        call("ADD", &netns.path()).run(&config).unwrap_err();
        call("DEL", &netns.path()).run(&config).unwrap();
        assert_eq!(Snapshot::take(), node, "{changes}");
        assert_eq!(netns.links(), links, "{changes}");
    }
    ip("link del net1");
    ip("link del net2");
}

/// Promise: del-own-namespace
#[test]
fn nodes_own_namespace_is_refused_and_left_unchanged() {
    let before = Snapshot::take();
    let config = bond_config(&json!({"links": [{"name": "pf0"}, {"name": "pf1"}]}));
    let error = call("ADD", "/proc/1/ns/net").run(&config).unwrap_err();
    assert!(words(&error["msg"]).contains("the node's own network namespace"), "{error}");
    assert_eq!(Snapshot::take(), before);
    // Also as when the pod's process has died and its number is a daemon's now.
    for in_pod in [true, false] {
        let links = [json!({"name": "pf0"}), json!({"name": "pf1"})];
        let config = bond_config(&json!({"linksInContainer": in_pod, "links": links}));
        assert_eq!(call("DEL", "/proc/1/ns/net").run(&config), Ok(Value::Null));
        assert_eq!(Snapshot::take(), before);
    }
}

/// Promise: failed-add-leaves-nothing
#[test]
fn refusing_ipam_plugin_leaves_neither_bond_nor_lease() {
    let netns = Netns::with_links("refused");
    let (node, links) = (Snapshot::take(), netns.links());
    for ipam in [
        json!({"type": "host-local", "subnet": "10.56.217.0/33"}),
        json!({"type": "static", "addresses": [{"address": "nonsense"}]}),
        json!({"type": "not-installed"}),
    ] {
        let error =
            call("ADD", &netns.path()).run(&bond_config(&json!({ "ipam": ipam }))).unwrap_err();
        assert!(error["code"].is_u64() && !words(&error["msg"]).is_empty(), "{error}");
        assert_eq!(Snapshot::take(), node, "{ipam}");
        assert_eq!(netns.links(), links, "{ipam}");
    }
}

#[test]
fn foreign_ipam_plugin_is_called_by_exec() {
    let netns = Netns::with_links("static");
    let ipam = json!({"type": "static", "addresses": [
        {"address": "10.56.217.77/24", "gateway": "10.56.217.1"}, {"address": "fd00:56::77/64"}]});
    let config = bond_config(&json!({"cniVersion": "1.0.0", "ipam": ipam, "ipv6Dad": false}));
    let result = call("ADD", &netns.path()).run(&config).unwrap();
    let addresses: Vec<String> =
        result["ips"].as_array().unwrap().iter().map(|ip| words(&ip["address"])).collect();
    assert_eq!(addresses, ["10.56.217.77/24", "fd00:56::77/64"]);
    let shown = netns.ip("addr show dev bond0");
    assert!(shown.contains("10.56.217.77/24") && shown.contains("fd00:56::77/64"), "{shown}");
    assert!(!shown.contains("fd00:56::77/64 scope global tentative"), "{shown}");
    call("DEL", &netns.path()).run(&config).unwrap();
}

#[test]
fn del_releases_the_lease_when_the_namespace_is_gone() {
    let before = Snapshot::take();
    let netns = Netns::with_links("gone");
    let path = netns.path();
    call("ADD", &path).run(&bond_config(&json!({}))).unwrap();
    drop(netns);
    call("DEL", &path).run(&bond_config(&json!({}))).unwrap();
    assert_eq!(Snapshot::take(), before);
}

/// Promise: check-names-differences
#[test]
fn check_reports_every_difference() {
    let netns = Netns::with_links("check");
    let config = bond_config(&json!({"cniVersion": "1.0.0"}));
    let result = call("ADD", &netns.path()).run(&config).unwrap();
    let mut with_result = config.clone();
    with_result["prevResult"] = result;
    call("CHECK", &netns.path()).run(&with_result).unwrap();
    netns.ip("link set net2 nomaster");
    netns.ip("addr flush dev bond0");
    let error = call("CHECK", &netns.path()).run(&with_result).unwrap_err();
    let msg = words(&error["msg"]);
    assert!(
        msg.contains("net2 is no port of bond0") && msg.contains("address 10.56.217."),
        "{msg}"
    );
    call("DEL", &netns.path()).run(&with_result).unwrap();
}

#[test]
fn result_has_the_form_of_each_version() {
    let netns = Netns::with_links("versions");
    for version in ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let config = bond_config(&json!({ "cniVersion": version }));
        let result = call("ADD", &netns.path()).run(&config).unwrap();
        assert_eq!(result["cniVersion"], version);
        let address = match version {
            "0.1.0" | "0.2.0" => &result["ip4"]["ip"],
            _ => &result["ips"][0]["address"],
        };
        assert!(words(address).starts_with("10.56.217."), "{result}");
        assert_eq!(
            result["interfaces"][0]["mtu"],
            if version == "1.1.0" { json!(1500) } else { Value::Null }
        );
        call("DEL", &netns.path()).run(&config).unwrap();
    }
}
