//! A bond in a list of plugins: before the reference plugins that change an interface, as a runtime
//! calls them and through `apply`, and after a plugin that made another.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::node::{
    Call, Netns, Snapshot, WithNetworks, apply, bond_config, failed, ip, nad, pod, podbond, status,
    succeeded, words,
};

/// A list of plugins for one interface of a pod, called as the specification says.
struct List<'n> {
    netns: &'n Netns,
    configs: Vec<Value>,
}

impl<'n> List<'n> {
    /// The documented bond, changed, and plugins that follow it.
    fn of(netns: &'n Netns, changes: &Value, plugins: &[Value]) -> Self {
        let mut bond = bond_config(changes);
        bond["cniVersion"] = json!("1.0.0");
        let mut configs = vec![bond];
        for plugin in plugins {
            let mut config = plugin.clone();
            config["cniVersion"] = json!("1.0.0");
            config["name"] = json!("bond-net1");
            configs.push(config);
        }
        Self { netns, configs }
    }

    fn call(&self, command: &str, config: &Value, result: &Value) -> Result<Value, Value> {
        let mut config = config.clone();
        if !result.is_null() {
            config["prevResult"] = result.clone();
        }
        let (plugin, netns) = (words(&config["type"]), self.netns.path());
        let call =
            Call { plugin: &plugin, command, container: "c1", netns: &netns, ifname: "bond0" };
        call.run(&config)
    }

    fn add(&self) -> Result<Value, Value> {
        let mut result = Value::Null;
        for config in &self.configs {
            result = self.call("ADD", config, &result)?;
        }
        Ok(result)
    }

    fn check(&self, result: &Value) -> Result<(), Value> {
        self.configs.iter().try_for_each(|config| self.call("CHECK", config, result).map(drop))
    }

    fn del(&self, result: &Value) {
        for config in self.configs.iter().rev() {
            self.call("DEL", config, result).unwrap();
        }
    }
}

/// What the plugins could leave in the pod beside links. The rule for VRFs is the kernel's own, made
/// with a namespace's first VRF and never removed.
fn rules_and_routes(netns: &Netns) -> BTreeSet<String> {
    ["-4 rule", "-6 rule", "-4 route show table all", "-6 route show table all"]
        .iter()
        .flat_map(|show| netns.ip(show).lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| !line.contains("l3mdev-table"))
        .collect()
}

/// Adds, looks, checks and deletes; nothing may be left.
fn runs(name: &str, changes: &Value, plugins: &[Value], look: impl Fn(&Netns, &Value)) {
    let before = Snapshot::take();
    let netns = Netns::with_links(name);
    // Its routes and rules are there before.
    let left = (netns.links(), rules_and_routes(&netns));
    let list = List::of(&netns, changes, plugins);
    let result = list.add().unwrap();
    let interfaces = result["interfaces"].as_array().unwrap();
    assert_eq!((interfaces.len(), &interfaces[0]["name"]), (1, &json!("bond0")), "{result}");
    look(&netns, &result);
    list.check(&result).unwrap();
    list.del(&result);
    assert_eq!((netns.links(), rules_and_routes(&netns)), left);
    drop(netns);
    assert_eq!(Snapshot::take(), before);
}

#[test]
fn tuning_after_a_bond_changes_it_and_check_agrees() {
    let mac = "02:00:00:00:0b:0d";
    let tuning = json!({"type": "tuning", "mtu": 1400, "mac": mac, "allmulti": true,
        "sysctl": {"net.ipv4.conf.bond0.arp_ignore": "1"}});
    // With failOverMac 1 the bond has the active port's address, and the driver ignores any other.
    runs("tuning", &json!({"mtu": null, "failOverMac": 0}), &[tuning], |netns, result| {
        assert_eq!(result["interfaces"][0]["mac"], mac);
        let bond = netns.link("bond0");
        assert_eq!((&bond["address"], &bond["mtu"]), (&json!(mac), &json!(1400)));
        assert!(bond["flags"].to_string().contains("ALLMULTI"), "{bond}");
    });
}

#[test]
fn sbr_after_a_bond_moves_its_routes_to_their_own_table() {
    runs("sbr", &json!({}), &[json!({"type": "sbr"})], |netns, result| {
        let address = words(&result["ips"][0]["address"]);
        let address = address.split('/').next().unwrap();
        let rules = netns.ip("rule");
        assert!(rules.contains(&format!("from {address} lookup 100")), "{rules}");
        let table = netns.ip("route show table 100");
        assert!(table.contains("default via 10.56.217.1 dev bond0"), "{table}");
        assert_eq!(netns.ip("route show default"), "");
    });
}

#[test]
fn vrf_after_a_bond_is_its_master_and_goes_with_it() {
    let ipam = json!({"type": "static", "addresses": [
        {"address": "10.56.217.7/24"}, {"address": "fd00:56::7/64"}]});
    let vrf = json!({"type": "vrf", "vrfname": "blue", "table": 500});
    runs("vrf", &json!({"ipam": ipam}), &[vrf], |netns, _| {
        assert_eq!(netns.link("bond0")["master"], "blue");
        assert_eq!(netns.link("net1")["master"], "bond0");
        let table = netns.ip("route show table 500");
        assert!(table.contains("10.56.217.0/24 dev bond0"), "{table}");
    });
}

#[test]
fn bandwidth_after_a_bond_passes_without_rates_and_refuses_them() {
    let netns = Netns::with_links("bandwidth");
    let left = (Snapshot::take(), netns.links());
    let list = List::of(&netns, &json!({}), &[json!({"type": "bandwidth"})]);
    let result = list.add().unwrap();
    assert_eq!(result["interfaces"][0]["name"], "bond0");
    list.del(&result);
    assert_eq!((Snapshot::take(), netns.links()), left);

    // It shapes the node's end of a veth pair, and a bond is none.
    let shaped = json!({"type": "bandwidth", "ingressRate": 8_000_000, "ingressBurst": 8_000_000});
    let list = List::of(&netns, &json!({}), &[shaped]);
    let error = list.add().unwrap_err();
    assert!(words(&error["msg"]).contains("has no veth peer"), "{error}");
    list.del(&Value::Null);
    assert_eq!((Snapshot::take(), netns.links()), left);
}

#[test]
fn several_plugins_after_a_bond_work_together() {
    let tuning = json!({"type": "tuning", "sysctl": {"net.ipv4.conf.bond0.arp_ignore": "1"}});
    runs("together", &json!({}), &[tuning, json!({"type": "sbr"})], |netns, _| {
        assert!(netns.ip("route show table 100").contains("dev bond0"));
    });
}

#[test]
fn bond_after_another_plugin_adds_to_its_result() {
    let netns = Netns::with_links("second");
    netns.ip("link add first0 type dummy");
    netns.ip("link set first0 up");
    netns.ip("addr add 10.1.0.2/24 dev first0");
    netns.ip("route add 10.2.0.0/16 via 10.1.0.1 dev first0");
    for version in ["0.4.0", "1.0.0", "1.1.0"] {
        let first = json!({
            "cniVersion": version,
            "interfaces": [{"name": "first0", "mac": "02:00:00:00:00:0b", "sandbox": netns.path()}],
            "ips": [{"version": "4", "address": "10.1.0.2/24", "gateway": "10.1.0.1",
                     "interface": 0}],
            "routes": [{"dst": "10.2.0.0/16"}],
            "dns": {"nameservers": ["10.1.0.53"]},
        });
        let mut config = bond_config(&json!({"cniVersion": version}));
        config["prevResult"] = first;
        let path = netns.path();
        let call = |command| Call {
            plugin: "bond",
            command,
            container: "c1",
            netns: &path,
            ifname: "bond0",
        };
        let result = call("ADD").run(&config).unwrap();
        let names: Vec<_> = result["interfaces"].as_array().unwrap().iter().collect();
        assert_eq!(
            (names.len(), &names[0]["name"], &names[1]["name"]),
            (2, &json!("first0"), &json!("bond0"),)
        );
        assert_eq!(result["ips"][0]["interface"], 0);
        assert_eq!(result["ips"][1]["interface"], 1);
        assert_eq!(
            result["routes"],
            json!([{"dst": "10.2.0.0/16", "gw": "10.1.0.1"},
                   {"dst": "0.0.0.0/0", "gw": "10.56.217.1"}])
        );
        assert_eq!(result["dns"]["nameservers"], json!(["10.1.0.53"]));
        config["prevResult"] = result;
        call("CHECK").run(&config).unwrap();
        netns.ip("route del default dev bond0");
        let msg = words(&call("CHECK").run(&config).unwrap_err()["msg"]);
        assert!(msg.contains("route 0.0.0.0/0 via 10.56.217.1 is gone"), "{msg}");
        call("DEL").run(&config).unwrap();
        assert_eq!(netns.link("bond0"), Value::Null);
    }
}

#[test]
fn nad_with_the_bond_second_is_planned_applied_and_deleted() {
    let networks = WithNetworks::new();
    let before = Snapshot::take();
    let list = json!({"cniVersion": "1.0.0", "name": "second", "plugins": [
        {"type": "loopback"}, bond_config(&json!({"cniVersion": null, "name": null})),
    ]});
    let manifest = nad("second", &list.to_string())
        + &pod("second", "demo/sriovnet1, demo/sriovnet2, demo/second");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &manifest).unwrap();
    let plan = succeeded(&podbond(&["plan", "-f", file.path().to_str().unwrap()]));
    let (_, second) = plan.split_once("call plugin loopback").unwrap();
    assert!(second.contains("create bond net3 (pod) mode active-backup"), "{plan}");
    succeeded(&apply(&manifest));
    let status = status("second")["networkStatus"].take();
    let of_list = status.as_array().unwrap().iter().filter(|one| one["name"] == "demo/second");
    let interfaces: Vec<String> = of_list.map(|one| words(&one["interface"])).collect();
    assert_eq!(interfaces, ["lo", "net3"], "{status}");
    succeeded(&podbond(&["delete", "pod", "second", "-n", "demo"]));
    succeeded(&podbond(&["delete", "nad", "second", "-n", "demo"]));
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

#[test]
fn nad_with_plugins_is_planned_applied_and_deleted() {
    let networks = WithNetworks::new();
    let before = Snapshot::take();
    let list = json!({"cniVersion": "1.0.0", "name": "listed", "plugins": [
        bond_config(&json!({"cniVersion": null, "name": null})),
        {"type": "tuning", "mtu": 1400},
        {"type": "sbr"},
        {"type": "bandwidth"},
    ]});
    let manifest = nad("listed", &list.to_string())
        + &pod("listed", "demo/sriovnet1, demo/sriovnet2, demo/listed");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &manifest).unwrap();
    let plan = succeeded(&podbond(&["plan", "-f", file.path().to_str().unwrap()]));
    let calls: Vec<&str> = plan.lines().map(str::trim).filter(|l| l.starts_with("call")).collect();
    assert_eq!(
        calls,
        ["call plugin bridge", "call plugin tuning", "call plugin sbr", "call plugin bandwidth"],
        "{plan}"
    );

    succeeded(&apply(&manifest));
    let exec = |command: &[&str]| {
        let all = [&["exec", "-n", "demo", "listed", "--"], command].concat();
        succeeded(&podbond(&all))
    };
    assert!(exec(&["ip", "link", "show", "net3"]).contains("mtu 1400"));
    assert!(exec(&["ip", "rule"]).contains("lookup 100"));
    assert!(exec(&["ip", "route", "show", "table", "100"]).contains("via 10.56.217.1 dev net3"));
    succeeded(&podbond(&["delete", "pod", "listed", "-n", "demo"]));
    // Nor is a pod in the way whose namespace is gone, with all that the plugins made there.
    succeeded(&apply(&manifest));
    ip("netns del demo.listed");
    succeeded(&podbond(&["delete", "pod", "listed", "-n", "demo"]));
    succeeded(&podbond(&["delete", "nad", "listed", "-n", "demo"]));
    assert_eq!(Snapshot::take(), before);

    // What a later plugin refuses undoes the bond as well.
    let refused = json!({"cniVersion": "1.0.0", "name": "listed", "plugins": [
        bond_config(&json!({"cniVersion": null, "name": null})),
        {"type": "tuning", "sysctl": {"kernel.hostname": "x"}},
    ]});
    let manifest = nad("listed", &refused.to_string())
        + &pod("listed", "demo/sriovnet1, demo/sriovnet2, demo/listed");
    let said = failed(&apply(&manifest));
    assert!(said.contains("plugin tuning"), "{said}");
    succeeded(&podbond(&["delete", "nad", "listed", "-n", "demo"]));
    assert_eq!(Snapshot::take(), before);
    networks.end();
}
