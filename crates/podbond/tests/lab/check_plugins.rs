//! CHECK reports what somebody did by hand: each thing by itself, and several in one error.

use std::fs;

use serde_json::{Value, json};

use crate::node::{Call, Netns, Snapshot, WithNetworks, bond_config, ip, words};

/// An attachment whose CHECK says what was done to it.
struct Checked {
    plugin: &'static str,
    ifname: &'static str,
    netns: Netns,
    config: Value,
}

impl Checked {
    fn add(plugin: &'static str, ifname: &'static str, netns: Netns, config: Value) -> Self {
        let mut checked = Self { plugin, ifname, netns, config };
        let result = checked.call("ADD").unwrap();
        checked.config["prevResult"] = result;
        checked.is_well();
        checked
    }

    fn call(&self, command: &str) -> Result<Value, Value> {
        let (plugin, ifname, netns) = (self.plugin, self.ifname, &self.netns.path());
        Call { plugin, command, container: "c1", netns, ifname }.run(&self.config)
    }

    fn is_well(&self) {
        self.call("CHECK").unwrap();
    }

    /// CHECK says all of this.
    fn says(&self, expected: &[&str]) {
        let error = self.call("CHECK").unwrap_err();
        assert_eq!(error["code"], 103, "{error}");
        let message = words(&error["msg"]);
        for words in expected {
            assert!(message.contains(words), "{words:?} is not in: {message}");
        }
    }

    fn del(self) {
        self.call("DEL").unwrap();
    }
}

/// The file of the first address of the bonds' network.
fn lease() -> String {
    let leases = fs::read_dir("/var/lib/cni/networks/bond-net1").unwrap();
    let mut names = leases.map(|lease| lease.unwrap().path().display().to_string());
    names.find(|name| name.contains("/10.")).unwrap()
}

/// Promise: check-names-differences
#[test]
fn every_change_of_a_bond_is_reported_in_one_error() {
    let before = Snapshot::take();
    let netns = Netns::with_links("checks");
    netns.ip("link add net9 type dummy");
    let config = bond_config(&json!({"cniVersion": "1.1.0", "failOverMac": 0, "updelay": 200}));
    let bond = Checked::add("bond", "bond0", netns, config);
    let mac = words(&bond.netns.link("bond0")["address"]);
    let address = words(&bond.netns.link("bond0")["addr_info"][0]["local"]);
    let route = "route add default via 10.56.217.1 dev bond0";
    let address_gone = format!("address {address}/24 is gone");
    // What is done, how it is undone, and what is said.
    let table: [(&[&str], &[&str], &[&str]); 10] = [
        (
            &["link set bond0 type bond miimon 50"],
            &["link set bond0 type bond miimon 100"],
            &["miimon is 50, not 100"],
        ),
        (
            &["link set bond0 type bond updelay 0"],
            &["link set bond0 type bond updelay 200"],
            &["updelay is 0, not 200"],
        ),
        (
            &["link set net2 nomaster", "link set net2 down"],
            &["link set net2 master bond0"],
            &["net2 is no port of bond0"],
        ),
        (
            &["link set net9 master bond0"],
            &["link set net9 nomaster"],
            &["net9 is a port of bond0, not asked for"],
        ),
        (&["link set net2 down"], &["link set net2 up"], &["port net2 is down"]),
        (
            &["link set net2 mtu 1400"],
            &["link set net2 mtu 1500"],
            &["mtu of port net2 is 1400, not 1500 as the bond's"],
        ),
        (
            &["link set bond0 mtu 1400"],
            &["link set bond0 mtu 1500"],
            &["mtu of bond0 is 1400, not 1500"],
        ),
        (
            &["link set bond0 address 02:00:00:00:00:78"],
            &[&format!("link set bond0 address {mac}")],
            &[&format!("mac of bond0 is 02:00:00:00:00:78, not {mac}")],
        ),
        (&["route del default dev bond0"], &[route], &["route 0.0.0.0/0 via 10.56.217.1 is gone"]),
        (
            &["addr flush dev bond0 scope global"],
            &[&format!("addr add {address}/24 dev bond0"), route],
            &[&address_gone, "route 0.0.0.0/0 via 10.56.217.1 is gone"],
        ),
    ];
    let ip = |commands: &[&str]| {
        for command in commands {
            bond.netns.ip(command);
        }
    };
    for (done, undone, said) in table {
        ip(done);
        bond.says(said);
        ip(undone);
        bond.is_well();
    }
    // Ports without carrier are no difference.
    bond.netns.ip("link set net1 carrier off");
    bond.netns.ip("link set net2 carrier off");
    bond.is_well();

    several_at_once(&bond, &address);
    bond.del();
    assert_eq!(Snapshot::take(), before);
}

fn several_at_once(bond: &Checked, address: &str) {
    let lease = lease();
    let holder = fs::read(&lease).unwrap();
    fs::write(&lease, "c9\r\nbond0").unwrap();
    bond.says(&["is not leased to container c1 for bond0"]);
    let another = lease.replace(address, "10.56.217.99");
    fs::write(&another, &holder).unwrap();
    for command in [
        "link set bond0 type bond miimon 50",
        "link set bond0 mtu 1400",
        "link del net2",
        "addr flush dev bond0 scope global",
        "link set bond0 down",
    ] {
        bond.netns.ip(command);
    }
    bond.says(&[
        "miimon is 50",
        "bond0 is down",
        "mtu of bond0 is 1400",
        "port net2 is gone",
        &format!("address {address}/24 is gone"),
        &format!("{address} of prevResult is not leased"),
    ]);
    fs::write(&lease, holder).unwrap();
    fs::remove_file(another).unwrap();

    bond.netns.ip("link del bond0");
    bond.says(&["bond0 is gone", "port net2 is gone"]);
}

#[test]
fn changed_mode_is_reported() {
    let netns = Netns::with_links("checks");
    let config = bond_config(&json!({"cniVersion": "1.0.0", "mode": "balance-xor", "ipam": null,
        "failOverMac": null}));
    let bond = Checked::add("bond", "bond0", netns, config);
    for command in ["net1 nomaster", "net2 nomaster", "bond0 down", "bond0 type bond mode 0"] {
        bond.netns.ip(&format!("link set {command}"));
    }
    bond.says(&["mode is balance-rr, not balance-xor", "net1 is no port", "net2 is no port"]);
    bond.del();
}

/// Promise: check-names-differences
#[test]
fn every_change_of_a_vf_is_reported() {
    let networks = WithNetworks::new();
    let before = Snapshot::take();
    let vf = fs::canonicalize("/sys/class/net/pf0/device/virtfn0").unwrap();
    let vf = vf.file_name().unwrap().to_string_lossy().into_owned();
    let config = json!({"cniVersion": "1.1.0", "name": "bond-net1", "type": "sriov", "deviceID": vf,
        "vlan": 7, "trust": "on", "spoofchk": "off",
        "ipam": {"type": "host-local", "subnet": "10.56.217.0/24"}});
    let sriov = Checked::add("sriov", "vf1", Netns::with_links("checks"), config);
    let table = [
        ("vlan 8", "vlan 7", "vlan 7"),
        ("trust off", "trust on", "trust on"),
        ("spoofchk on", "spoofchk off", "spoofchk off"),
        // Nobody asked for it.
        ("max_tx_rate 100", "max_tx_rate 0", "max_tx_rate 0"),
    ];
    for (done, undone, said) in table {
        ip(&format!("link set pf0 vf 0 {done}"));
        sriov.says(&["left to do: set VF 0 of pf0", said]);
        ip(&format!("link set pf0 vf 0 {undone}"));
        sriov.is_well();
    }
    ip("link set pf0 vf 0 trust off");
    for command in ["link set vf1 mtu 1400", "link set vf1 down", "addr flush dev vf1"] {
        sriov.netns.ip(command);
    }
    fs::remove_file(lease()).unwrap();
    sriov.says(&[
        "trust on",
        "bring vf1 (pod) up",
        "mtu of vf1 is 1400, not 1500",
        "address 10.56.217.",
        "is not leased to container c1 for vf1",
    ]);
    sriov.netns.ip("link set vf1 name other");
    sriov.says(&["vf1 (pod)"]);
    sriov.del();
    assert_eq!(Snapshot::take(), before);
    networks.end();
}
