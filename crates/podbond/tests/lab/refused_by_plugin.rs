//! Bad input to the bond plugin: an error that names object, field and remedy, and nothing changed.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::node::{Call, Netns, Snapshot, bond_config, words};

/// Each change of the documented configuration, and words that its error must hold.
fn wrong() -> Vec<(Value, Vec<&'static str>)> {
    let subnet = |subnet: &str| json!({"ipam": {"type": "host-local", "subnet": subnet}});
    vec![
        (
            json!({"mode": "active_backup"}),
            vec!["bond-net1", "mode", "active_backup", "active-backup (1)"],
        ),
        (json!({"mode": 9}), vec!["bond-net1", "mode", "9"]),
        (json!({"links": [{"name": "net1"}]}), vec!["links", "at least two"]),
        (json!({"links": [{"name": "net1"}, {"name": "net1"}]}), vec!["links", "net1", "twice"]),
        (
            json!({"links": [{"name": "net1"}, {"name": "net9"}]}),
            vec!["links", "net9", "annotation"],
        ),
        (json!({"links": [{"name": "net1"}, {"name": "far/away"}]}), vec!["links[1].name", "`/`"]),
        (json!({"mtu": 9000}), vec!["mtu", "9000", "1500", "net1"]),
        (json!({"miimon": -1}), vec!["miimon", "-1", "milliseconds"]),
        (json!({"miimon": "often"}), vec!["miimon", "often", "milliseconds"]),
        (json!({"failOverMac": 7}), vec!["failOverMac", "7", "active (1)"]),
        (subnet("10.56.217.0/33"), vec!["subnet", "10.56.217.0/33"]),
        (subnet("10.56.217.1/24"), vec!["subnet", "10.56.217.1/24"]),
        (subnet("nonsense"), vec!["subnet", "nonsense"]),
    ]
}

fn add<'c>(netns: &'c str, ifname: &'c str) -> Call<'c> {
    Call { plugin: "bond", command: "ADD", container: "c1", netns, ifname }
}

/// The message of an error, which must hold all these words.
fn assert_reported(error: &Value, expected: &[&str]) {
    let text = format!("{} {}", words(&error["msg"]), words(&error["details"]));
    for word in expected {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    assert!(error["code"].as_u64().is_some_and(|code| code > 0), "{error}");
}

/// Promise: new-names
#[test]
fn name_that_the_kernel_would_expand_is_refused() {
    let netns = Netns::with_links("expanded");
    let (node, links) = (Snapshot::take(), netns.links());
    for ifname in ["net%d", "all", "default", "a%"] {
        let path = netns.path();
        let error = add(&path, ifname).run(&bond_config(&json!({}))).unwrap_err();
        assert_reported(&error, &["CNI_IFNAME", ifname]);
        assert_eq!(netns.links(), links, "{ifname}");
        assert_eq!(Snapshot::take(), node, "{ifname}");
        // Nothing was made, and the DEL of a runtime ends.
        let del = Call { command: "DEL", ..add(&path, ifname) };
        del.run(&bond_config(&json!({}))).unwrap();
        assert_eq!(netns.links(), links, "{ifname}");
        assert_eq!(Snapshot::take(), node, "{ifname}");
    }
}

/// Promise: bad-input-changes-nothing
#[test]
fn wrong_value_is_named_and_nothing_is_changed() {
    let netns = Netns::with_links("wrong");
    let (node, links) = (Snapshot::take(), netns.links());
    for (changes, expected) in wrong() {
        let error = add(&netns.path(), "bond0").run(&bond_config(&changes)).unwrap_err();
        assert_reported(&error, &expected);
        assert_eq!(netns.links(), links, "{changes}");
        assert_eq!(Snapshot::take(), node, "{changes}");
    }
}

#[test]
fn malformed_json_is_reported_with_line_and_column() {
    let netns = Netns::with_links("json");
    let error = add(&netns.path(), "bond0").run_text("{\n  \"type\": \"bond\",,\n}").unwrap_err();
    assert_reported(&error, &["line 2", "column"]);
}

#[test]
fn wrong_interface_name_is_refused() {
    let netns = Netns::with_links("names");
    netns.ip("link add eth0 type dummy");
    let links = netns.links();
    for (ifname, expected) in [
        ("sixteen-letters-", "at most 15"),
        ("a/b", "`/`"),
        ("eth0", "a link eth0 already"),
        ("net1", "net1 is the name of the bond itself"),
    ] {
        let error = add(&netns.path(), ifname).run(&bond_config(&json!({}))).unwrap_err();
        assert_reported(&error, &[expected]);
        assert_eq!(netns.links(), links, "{ifname}");
    }
}

#[test]
fn port_of_another_bond_is_refused_and_left_unchanged() {
    let netns = Netns::with_links("taken");
    netns.ip("link add other type bond");
    netns.ip("link set net2 down");
    netns.ip("link set net2 master other");
    let error = add(&netns.path(), "bond0").run(&bond_config(&json!({}))).unwrap_err();
    assert_reported(&error, &["net2", "port of other"]);
    assert_eq!(netns.link("net2")["master"], "other");
    assert_eq!(netns.link("bond0"), Value::Null);
}

#[test]
fn missing_namespace_is_named() {
    let error = add("/run/netns/nowhere", "bond0").run(&bond_config(&json!({}))).unwrap_err();
    assert_reported(&error, &["/run/netns/nowhere"]);
}

#[test]
fn exhausted_range_is_named_and_the_bond_removed() {
    let ipam = json!({"type": "host-local", "subnet": "10.56.218.0/24",
        "rangeStart": "10.56.218.5", "rangeEnd": "10.56.218.5"});
    let config = bond_config(&json!({"name": "tiny", "ipam": ipam}));
    let (first, second) = (Netns::with_links("first"), Netns::with_links("second"));
    add(&first.path(), "bond0").run(&config).unwrap();
    let (node, links) = (Snapshot::take(), second.links());
    let path = second.path();
    let other = Call { container: "c2", ..add(&path, "bond0") };
    assert_reported(&other.run(&config).unwrap_err(), &["tiny", "10.56.218.5"]);
    assert_eq!((Snapshot::take() == node, second.links()), (true, links));
    Call { command: "DEL", ..add(&first.path(), "bond0") }.run(&config).unwrap();
}

#[test]
fn kernel_without_bonding_is_reported_with_a_remedy() {
    let netns = Netns::with_links("bare");
    let modprobe = |arguments: &[&str]| Command::new("modprobe").args(arguments).output().unwrap();
    let barred = "/etc/modprobe.d/no-bonding.conf";
    fs::write(barred, "install bonding /bin/false\n").unwrap();
    modprobe(&["-r", "bonding"]);
    let links = netns.links();
    let answer = add(&netns.path(), "bond0").run(&bond_config(&json!({})));
    fs::remove_file(barred).unwrap();
    modprobe(&["bonding", "max_bonds=0"]);
    assert_reported(&answer.unwrap_err(), &["bonding", "modprobe bonding"]);
    assert_eq!(netns.links(), links);
}

#[test]
fn missing_root_rights_are_reported_with_a_remedy() {
    use std::os::unix::process::CommandExt;
    let netns = Netns::with_links("rights");
    let mut command = Command::new("/opt/cni/bin/bond");
    command.uid(65534).gid(65534);
    let path = netns.path();
    let answer = add(&path, "bond0").run_as(&mut command, &bond_config(&json!({})).to_string());
    assert_reported(&answer.unwrap_err(), &["root"]);
}
