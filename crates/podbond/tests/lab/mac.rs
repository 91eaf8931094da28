//! Whose MAC address a bond and its ports carry, and what each port has back after DEL.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::node::{Call, Netns, Snapshot, WithNetworks, bond_config, ip, words};

const PFS: [&str; 2] = ["pf0", "pf1"];
const PORTS: [&str; 2] = ["net1", "net2"];
const NET1: &str = "02:00:00:00:00:01";
const NET2: &str = "02:00:00:00:00:02";
const WANTED: &str = "02:00:00:00:00:77";

fn call<'c>(command: &'c str, netns: &'c str) -> Call<'c> {
    Call { plugin: "bond", command, container: "c1", netns, ifname: "bond0" }
}

/// A pod with the dummy links net1 and net2 of these addresses, with different MTUs.
fn pod(name: &str, second: &str) -> Netns {
    let netns = Netns::with_links(name);
    netns.ip(&format!("link set net1 address {NET1} mtu 1600"));
    netns.ip(&format!("link set net2 address {second} mtu 1700"));
    netns
}

fn mac(netns: &Netns, link: &str) -> String {
    words(&netns.link(link)["address"])
}

fn config(changes: &Value) -> Value {
    let mut config =
        bond_config(&json!({"ipam": null, "failOverMac": null, "cniVersion": "1.0.0"}));
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

#[test]
fn requested_mac_is_the_bonds_in_every_mode() {
    let before = Snapshot::take();
    let netns = pod("mac-wanted", NET2);
    let (path, links) = (netns.path(), netns.links());
    for mode in 0..=6 {
        let config = config(&json!({"mode": mode, "mac": WANTED}));
        let result = call("ADD", &path).run(&config).unwrap();
        assert_eq!(result["interfaces"][0]["mac"], WANTED, "mode {mode}");
        assert_eq!(mac(&netns, "bond0"), WANTED, "mode {mode}");
        let mut with_result = config.clone();
        with_result["prevResult"] = result;
        call("CHECK", &path).run(&with_result).unwrap();
        netns.ip("link set bond0 address 02:00:00:00:00:78");
        let error = call("CHECK", &path).run(&with_result).unwrap_err();
        assert!(words(&error["msg"]).contains("mac of bond0 is 02:00:00:00:00:78, not"), "{error}");
        call("DEL", &path).run(&config).unwrap();
        assert_eq!(netns.links(), links, "mode {mode}");
    }
    let follow = config(&json!({"failOverMac": 2, "mac": WANTED}));
    call("ADD", &path).run(&follow).unwrap();
    assert_eq!((mac(&netns, "bond0"), mac(&netns, "net1")), (WANTED.into(), WANTED.into()));
    call("DEL", &path).run(&follow).unwrap();
    assert_eq!(netns.links(), links);
    drop(netns);
    assert_eq!(Snapshot::take(), before);
}

#[test]
fn mac_of_runtime_takes_precedence_over_args_and_config() {
    let netns = pod("mac-order", NET2);
    let path = netns.path();
    let args = "IgnoreUnknown=1;MAC=02:00:00:00:00:aa";
    let bond_mac = |config: &Value| {
        let mut command = Command::new("/opt/cni/bin/bond");
        call("ADD", &path).run_as(command.env("CNI_ARGS", args), &config.to_string()).unwrap();
        let mac = mac(&netns, "bond0");
        call("DEL", &path).run(config).unwrap();
        mac
    };
    assert_eq!(bond_mac(&config(&json!({"mac": WANTED}))), "02:00:00:00:00:aa");
    let runtime = json!({"mac": WANTED, "runtimeConfig": {"mac": "02:00:00:00:00:bb"}});
    assert_eq!(bond_mac(&config(&runtime)), "02:00:00:00:00:bb");
}

#[test]
fn mac_that_the_driver_would_not_keep_is_refused() {
    let netns = pod("mac-refused", NET2);
    let (path, links, node) = (netns.path(), netns.links(), Snapshot::take());
    let config = config(&json!({"failOverMac": 1, "mac": WANTED, "vlan": 5000, "mtu": 60}));
    let error = call("ADD", &path).run(&config).unwrap_err();
    let said = words(&error["msg"]);
    for expected in ["mac: with failOverMac 1 (active)", "vlan: 5000", "mtu: 60"] {
        assert!(said.contains(expected), "{said}");
    }
    call("DEL", &path).run(&config).unwrap();
    assert_eq!((netns.links(), Snapshot::take()), (links, node));
    // What the driver does with such an address, which the rule is made from.
    netns.ip(&format!(
        "link add bond0 address {WANTED} type bond mode active-backup miimon 100 fail_over_mac active"
    ));
    for port in ["net1", "net2"] {
        netns.ip(&format!("link set {port} down"));
        netns.ip(&format!("link set {port} master bond0"));
    }
    netns.ip("link set bond0 up");
    assert_eq!(mac(&netns, "bond0"), NET1);
}

#[test]
fn equal_macs_are_made_different_where_the_driver_needs_it() {
    for mode in ["balance-tlb", "balance-alb"] {
        let netns = pod(&format!("mac-{mode}"), NET1);
        let path = netns.path();
        let config = config(&json!({"mode": mode}));
        call("ADD", &path).run(&config).unwrap();
        let (first, second) = (netns.link("net1"), netns.link("net2"));
        assert_eq!((&first["master"], &second["master"]), (&json!("bond0"), &json!("bond0")));
        let given = words(&second["address"]);
        assert_eq!(first["address"], NET1, "{mode}");
        assert_ne!(given, NET1, "{mode}");
        // A fail-over, in which the driver changes the addresses of both.
        netns.ip("link set net1 down");
        call("DEL", &path).run(&config).unwrap();
        call("DEL", &path).run(&config).unwrap();
        assert_eq!((mac(&netns, "net1"), mac(&netns, "net2")), (NET1.into(), given.clone()));
        assert_eq!(
            (&netns.link("net1")["mtu"], &netns.link("net2")["mtu"]),
            (&json!(1600), &json!(1700))
        );

        // An ADD that fails leaves both as they were, equal or not.
        netns.ip(&format!("link set net2 address {NET1}"));
        let links = netns.links();
        let mut failing = config.clone();
        failing["ipam"] = json!({"type": "host-local", "subnet": "10.56.217.0/33"});
        call("ADD", &path).run(&failing).unwrap_err();
        assert_eq!(netns.links(), links);
    }
    // Modes with one address for all take equal ones as they are, and leave none equal.
    let netns = pod("mac-equal", NET1);
    let config = config(&json!({"mode": "balance-xor"}));
    call("ADD", &netns.path()).run(&config).unwrap();
    assert_eq!((mac(&netns, "net1"), mac(&netns, "net2")), (NET1.into(), NET1.into()));
    call("DEL", &netns.path()).run(&config).unwrap();
    assert_eq!(mac(&netns, "net1"), NET1);
    assert_ne!(mac(&netns, "net2"), NET1);
}

#[test]
fn port_macs_are_restored_whatever_happened_to_the_bond() {
    let before = Snapshot::take();
    let netns = pod("mac-back", NET2);
    netns.ip("link set net2 down");
    let (path, links) = (netns.path(), netns.links());
    let meanwhile: [(&str, &[&str]); 6] = [
        ("nothing", &[]),
        ("the bond's MTU was changed", &["link set bond0 mtu 1300"]),
        ("a fail-over", &["link set net1 down"]),
        ("a port was released", &["link set net1 nomaster", "link set net1 up"]),
        ("a port's address was changed", &["link set net2 address 02:00:00:00:00:cc"]),
        ("the bond was removed", &["link set net1 address 02:00:00:00:00:cc", "link del bond0"]),
    ];
    for fail_over_mac in 0..=2 {
        for (what, commands) in meanwhile {
            let config = config(&json!({"failOverMac": fail_over_mac, "mtu": 1400}));
            call("ADD", &path).run(&config).unwrap();
            assert_eq!(netns.link("net2")["mtu"], 1400);
            for command in commands {
                netns.ip(command);
            }
            call("DEL", &path).run(&config).unwrap();
            assert_eq!(netns.links(), links, "{what}, failOverMac {fail_over_mac}");
            call("DEL", &path).run(&config).unwrap();
            assert_eq!(netns.links(), links, "{what}, failOverMac {fail_over_mac}, DEL twice");
        }
    }
    drop(netns);
    assert_eq!(Snapshot::take(), before);
}

/// The VFs of a pod, of which the node knows each by another name.
struct Vfs {
    netns: Netns,
    names: [String; 2],
}

impl Vfs {
    /// Moves the first VF of each PF into a pod as `net1` and `net2`, up.
    fn in_pod(pod: &str) -> Self {
        let netns = Netns::with_links(pod);
        let names = PFS.map(|pf| {
            let links = fs::read_dir(format!("/sys/class/net/{pf}/device/virtfn0/net")).unwrap();
            links.map(|link| link.unwrap().file_name().into_string().unwrap()).next().unwrap()
        });
        for (link, name) in PORTS.iter().zip(&names) {
            netns.ip(&format!("link del {link}"));
            ip(&format!("link set {name} netns {pod} name {link}"));
            netns.ip(&format!("link set {link} up"));
        }
        Self { netns, names }
    }

    fn trust(word: &str) {
        for pf in PFS {
            ip(&format!("link set {pf} vf 0 trust {word}"));
        }
    }

    fn back(self) {
        for (link, name) in PORTS.iter().zip(&self.names) {
            self.netns.ip(&format!("link set {link} down"));
            self.netns.ip(&format!("link set {link} netns 1 name {name}"));
        }
        Self::trust("off");
    }
}

#[test]
fn vf_macs_are_restored_and_untrusted_vfs_refused() {
    let networks = WithNetworks::new();
    let before = Snapshot::take();
    let vfs = Vfs::in_pod("mac-vfs");
    let netns = &vfs.netns;
    let (path, links) = (netns.path(), netns.links());
    for (changes, unfit) in [
        (json!({"mode": "balance-xor"}), "port net2: mode balance-xor"),
        (json!({"mode": "balance-xor", "mac": WANTED}), "ports net1, net2: mode balance-xor"),
        (json!({"mode": "balance-alb"}), "ports net1, net2: mode balance-alb"),
        (json!({"mode": "balance-tlb"}), "ports net1, net2: mode balance-tlb"),
    ] {
        let error = call("ADD", &path).run(&config(&changes)).unwrap_err();
        assert!(words(&error["msg"]).contains(unfit), "{changes}: {error}");
        assert_eq!(netns.links(), links, "{changes}");
    }
    Vfs::trust("on");
    for changes in [
        json!({"mode": "balance-xor", "mac": WANTED, "mtu": 1400}),
        json!({"mode": "active-backup", "mac": WANTED}),
        json!({"mode": "balance-alb", "mac": WANTED}),
        json!({"mode": "balance-tlb"}),
    ] {
        let config = config(&changes);
        call("ADD", &path).run(&config).unwrap();
        if changes["mac"] == WANTED {
            assert_eq!(mac(netns, "bond0"), WANTED, "{changes}");
        }
        call("DEL", &path).run(&config).unwrap();
        assert_eq!(netns.links(), links, "{changes}");
    }
    vfs.back();
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

#[test]
fn pod_with_untrusted_vfs_of_one_mac_is_deleted() {
    let networks = WithNetworks::new();
    let before = Snapshot::take();
    let netns = Netns::with_links("mac-same");
    let path = netns.path();
    let sriov = |command, pf: &str, ifname| {
        let pci = fs::canonicalize(format!("/sys/class/net/{pf}/device/virtfn0")).unwrap();
        let pci = pci.file_name().unwrap().to_string_lossy().into_owned();
        let call = Call { plugin: "sriov", command, container: "c1", netns: &path, ifname };
        call.run(&json!({
            "type": "sriov", "cniVersion": "1.0.0", "name": "n", "deviceID": pci, "mac": WANTED,
        }))
    };
    for (pf, link) in PFS.into_iter().zip(PORTS) {
        netns.ip(&format!("link del {link}"));
        sriov("ADD", pf, link).unwrap();
    }
    // The rule that they need trust is the card's: it refuses the second one another address.
    let links = netns.links();
    let allowed = config(&json!({"mode": "balance-alb", "allowUntrusted": true}));
    let error = call("ADD", &path).run(&allowed).unwrap_err();
    assert!(words(&error["msg"]).contains("set mac of net2 (pod) to "), "{error}");
    assert_eq!(netns.links(), links);
    call("DEL", &path).run(&allowed).unwrap();

    let config = config(&json!({"mode": "balance-xor"}));
    call("ADD", &path).run(&config).unwrap();
    call("DEL", &path).run(&config).unwrap();
    for (pf, link) in PFS.into_iter().zip(PORTS) {
        sriov("DEL", pf, link).unwrap();
    }
    drop(netns);
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

/// igb takes no address for a VF that was closed while its PF was reset, until it has been opened.
///
/// Promise: bond-after-pf-reset
#[test]
fn vfs_whose_pf_was_down_take_the_bonds_address() {
    let networks = WithNetworks::new();
    for pf in PFS {
        ip(&format!("link set {pf} down"));
        ip(&format!("link set {pf} up"));
    }
    let netns = Netns::with_links("mac-reset");
    for (number, pf) in PFS.iter().enumerate() {
        let vf = fs::read_link(format!("/sys/class/net/{pf}/device/virtfn0")).unwrap();
        let vf = vf.file_name().unwrap().to_str().unwrap();
        let config = json!({
            "cniVersion": "1.0.0", "name": "mac-reset", "type": "sriov", "deviceID": vf, "trust": "on",
            "spoofchk": "off", "adminState": "down",
        });
        let ifname = format!("port{number}");
        let path = netns.path();
        let call = Call {
            plugin: "sriov",
            command: "ADD",
            container: "c1",
            netns: &path,
            ifname: &ifname,
        };
        call.run(&config).unwrap();
    }
    let bond =
        config(&json!({"mode": "balance-rr", "links": [{"name": "port0"}, {"name": "port1"}]}));
    call("ADD", &netns.path()).run(&bond).unwrap();
    assert_eq!(mac(&netns, "port1"), mac(&netns, "bond0"));
    call("DEL", &netns.path()).run(&bond).unwrap();
    drop(netns);
    crate::node::podbond(&["gc"]);
    networks.end();
}
