//! Links that a bond's configuration calls by altnames.

use serde_json::{Value, json};

use crate::node::{
    Call, HostRules, Netns, NodeLinks, Snapshot, apply, bond_config, delete, ip, nad, pod,
    succeeded, words,
};

/// Longer than a link's own name can be.
const LONG: &str = "enp3s16-the-first-of-all-links";

fn call<'c>(command: &'c str, netns: &'c str) -> Call<'c> {
    Call { plugin: "bond", command, container: "c1", netns, ifname: "bond0" }
}

fn over(in_container: bool, links: [&str; 2]) -> Value {
    let links = links.map(|name| json!({ "name": name }));
    bond_config(&json!({
        "linksInContainer": in_container, "links": links, "primary": links[0]["name"], "ipam": null,
    }))
}

/// Links of the node, the first with altnames.
fn node_links() -> NodeLinks {
    let links = NodeLinks::dummies();
    for altname in ["first", LONG] {
        ip(&format!("link property add dev take1 altname {altname}"));
    }
    links
}

/// Promise: link-by-altname
#[test]
fn links_of_the_node_are_taken_by_altname() {
    let netns = Netns::with_links("altnames");
    let _links = node_links();
    let rules = HostRules::write("[host-links]\nallow = [{ name = \"take?\" }]\n");
    let before = Snapshot::take();
    for altname in ["first", LONG] {
        let config = over(false, [altname, "take2"]);
        call("ADD", &netns.path()).run(&config).unwrap();
        assert_eq!(netns.link("take1")["master"], "bond0", "{altname}");
        assert_eq!(netns.link("bond0")["linkinfo"]["info_data"]["primary"], "take1");
        call("DEL", &netns.path()).run(&config).unwrap();
        assert_eq!(Snapshot::take(), before, "{altname}");
    }
    let twice = over(false, ["take1", "first"]);
    let error = call("ADD", &netns.path()).run(&twice).unwrap_err();
    assert!(words(&error["msg"]).contains("take1"), "{error}");
    // Refused by its own name.
    drop(rules);
    let _rules =
        HostRules::write("[host-links]\nallow = [{ name = \"first\" }, { name = \"take2\" }]\n");
    let error = call("ADD", &netns.path()).run(&over(false, ["first", "take2"])).unwrap_err();
    assert!(words(&error["msg"]).contains("take1"), "{error}");
    assert_eq!(Snapshot::take(), before);
}

/// Promise: link-by-altname
#[test]
fn links_of_the_pod_are_taken_by_altname() {
    let netns = Netns::with_links("altnames");
    netns.ip(&format!("link property add dev net1 altname {LONG}"));
    let links = netns.links();
    let mut config = over(true, [LONG, "net2"]);
    config["cniVersion"] = json!("1.0.0");
    let result = call("ADD", &netns.path()).run(&config).unwrap();
    assert_eq!(netns.link("net1")["master"], "bond0");
    let mut checked = config.clone();
    checked["prevResult"] = result;
    call("CHECK", &netns.path()).run(&checked).unwrap();
    // Also where the record is gone.
    let _ = std::fs::remove_file("/run/podbond/attachments/c1:bond0");
    call("DEL", &netns.path()).run(&config).unwrap();
    assert_eq!(netns.links(), links);
}

/// Promise: link-by-altname
#[test]
fn podbond_plans_and_applies_altnames() {
    let _links = node_links();
    let _rules = HostRules::allow_all();
    let before = Snapshot::take();
    let config = over(false, ["first", "take2"]);
    let manifest = nad("altnames", &config.to_string()) + &pod("p", "altnames@bond0");
    succeeded(&apply(&manifest));
    let ports = crate::node::in_pod("p", &["ip", "-br", "link", "show", "master", "bond0"]);
    assert!(ports.contains("take1") && ports.contains("take2"), "{ports}");
    succeeded(&delete(&manifest));
    assert_eq!(Snapshot::take(), before);
}
