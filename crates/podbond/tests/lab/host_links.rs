//! Links of the node that a bond may take, and those that it may not, whatever a NAD says.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::node::{Call, Netns, Snapshot, apply, bond_config, failed, ip, nad, pod, words};

/// The administrator's file.
const FILE: &str = "/etc/podbond/config.toml";

/// The administrator's file for as long as the value lives.
struct Rules;

impl Rules {
    fn write(text: &str) -> Self {
        fs::create_dir_all(Path::new(FILE).parent().unwrap()).unwrap();
        fs::write(FILE, text).unwrap();
        Self
    }
}

impl Drop for Rules {
    fn drop(&mut self) {
        let _ = fs::remove_file(FILE);
    }
}

/// Links of the node, up, for as long as the value lives: with them goes all that hangs on them.
struct Links(&'static [&'static str]);

impl Links {
    /// Each by what stands after `ip link add`, its name first.
    fn new(names: &'static [&'static str], created: &[&str]) -> Self {
        let links = Self(names);
        links.remove();
        for link in created {
            ip(&format!("link add {link}"));
        }
        for name in names {
            ip(&format!("link set {name} up"));
        }
        links
    }

    fn remove(&self) {
        for name in self.0 {
            let _ = Command::new("ip").args(["link", "del", name]).output();
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.remove();
    }
}

fn two_dummies() -> Links {
    Links::new(&["take1", "take2"], &["take1 type dummy", "take2 type dummy"])
}

/// A bond over links of the node.
fn over(links: [&str; 2]) -> Value {
    bond_config(&json!({
        "linksInContainer": false, "links": links.map(|name| json!({ "name": name })),
    }))
}

fn call<'c>(command: &'c str, netns: &'c str) -> Call<'c> {
    Call { plugin: "bond", command, container: "c1", netns, ifname: "bond0" }
}

/// The node's routes that somebody made. A bridge's carrier comes and goes by itself.
fn routes() -> String {
    let shown = ip("-4 route show table all") + &ip("-6 route show default");
    shown.replace(" linkdown", "")
}

/// ADD over these links of the node is refused in these words, and changes nothing.
fn refused(netns: &Netns, links: [&str; 2], expected: &[&str]) {
    let (node, pod, routes) = (Snapshot::take(), netns.links(), routes());
    let error = call("ADD", &netns.path()).run(&over(links)).unwrap_err();
    let message = words(&error["msg"]);
    for word in ["network bond-net1: "].iter().chain(expected) {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
    assert_eq!((Snapshot::take(), netns.links()), (node, pod), "{message}");
    assert_eq!(self::routes(), routes, "{message}");
}

fn taken(netns: &Netns, links: [&str; 2]) {
    call("ADD", &netns.path()).run(&over(links)).unwrap();
    for link in links {
        assert_eq!(netns.link(link)["master"], "bond0", "{link}");
    }
    call("DEL", &netns.path()).run(&over(links)).unwrap();
}

/// Promise: node-links-kept
#[test]
fn without_rules_only_unused_links_are_taken() {
    let netns = Netns::with_links("unlisted");
    let _links = two_dummies();
    let links = ["take1", "take2"];
    let remedy = r#"allow = [{ name = "take2" }]"#;
    taken(&netns, links);

    ip("addr add 192.0.2.7/24 dev take2");
    refused(&netns, links, &["take2 has the address 192.0.2.7/24", remedy, FILE]);
    ip("addr flush dev take2 scope global");
    ip("addr add 2001:db8::7/64 dev take2 nodad");
    refused(&netns, links, &["take2 has the address 2001:db8::7/64", remedy]);
    ip("addr flush dev take2 scope global");

    ip("route add 198.51.100.0/24 dev take2");
    refused(&netns, links, &["take2 has the route 198.51.100.0/24", remedy]);
    ip("route del 198.51.100.0/24 dev take2");
    ip("route add 198.51.100.0/24 dev take2 table 100");
    refused(&netns, links, &["take2 has the route 198.51.100.0/24", remedy]);
    ip("route flush table 100");

    ip("link add link take2 name take2.7 type vlan id 7");
    refused(&netns, links, &["take2 carries the node's link take2.7", remedy]);
    ip("link del take2.7");

    taken(&netns, links);
}

/// Promise: node-links-kept
#[test]
fn link_of_the_default_route_is_never_taken() {
    let netns = Netns::with_links("default");
    let names = &["take1", "take2", "way0"];
    let kinds = ["take1 type dummy", "take2 type dummy", "way0 type bridge"];
    let _links = Links::new(names, &kinds);
    let links = ["take1", "take2"];
    let rules = "[host-links]\nallow = [{ name = \"*\" }, { driver = \"*\" }]\n";
    // As long as the lab's own route has a smaller metric, nothing goes this way.
    for file in [None, Some(rules)] {
        let _rules = file.map(Rules::write);
        for family in ["", "-6 "] {
            ip(&format!("{family}route add default dev take2 metric 5000"));
            refused(&netns, links, &["take2 carries the node's default route, and", "another"]);
            ip(&format!("{family}route del default dev take2 metric 5000"));
        }

        ip("link add link take2 name take2.7 type vlan id 7");
        ip("link set take2.7 up");
        ip("route add default dev take2.7 metric 5000");
        refused(&netns, links, &["take2 carries the node's default route through take2.7"]);
        ip("link del take2.7");

        ip("link set take2 master way0");
        refused(&netns, links, &["take2 is a port of the node's way0"]);
        // Two links away: a VLAN of the bridge.
        ip("link add link way0 name way0.7 type vlan id 7");
        ip("link set way0.7 up");
        ip("route add default dev way0.7 metric 5000");
        refused(&netns, links, &["take2 carries the node's default route through way0.7"]);
        ip("link del way0.7");
        ip("link set take2 nomaster");
    }
}

#[test]
fn with_rules_only_links_that_match_a_pattern_are_taken() {
    let netns = Netns::with_links("listed");
    let _links = two_dummies();
    let links = ["take1", "take2"];
    ip("addr add 192.0.2.7/24 dev take2");
    for allowed in [r#"{ name = "take?" }"#, r#"{ name = "take*", driver = "dummy" }"#] {
        let _rules = Rules::write(&format!("[host-links]\nallow = [{allowed}]\n"));
        taken(&netns, links);
        // The bond gives the link back, but not what hung on it.
        ip("addr add 192.0.2.7/24 dev take2");
    }
    for allowed in ["", r#"{ name = "take1" }"#, r#"{ pci = "*" }, { name = "take1" }"#] {
        let _rules = Rules::write(&format!("[host-links]\nallow = [{allowed}]\n"));
        refused(&netns, links, &["take2 (driver dummy, no PCI address) matches no pattern", FILE]);
    }
    // The table is what decides: a file that does not have it says nothing.
    let _rules = Rules::write("# nothing yet\n");
    refused(&netns, links, &["take2 has the address 192.0.2.7/24"]);
}

#[test]
fn vfs_are_allowed_by_driver_and_by_pci_address() {
    let networks = crate::node::WithNetworks::new();
    let function = |pf: &str| {
        let device = fs::read_link(format!("/sys/class/net/{pf}/device/virtfn0")).unwrap();
        device.file_name().unwrap().to_string_lossy().into_owned()
    };
    let functions = ["pf0", "pf1"].map(function);
    let link = |pci: &String| {
        let mut links = fs::read_dir(format!("/sys/bus/pci/devices/{pci}/net")).unwrap();
        links.next().unwrap().unwrap().file_name().into_string().unwrap()
    };
    let links = [&functions[0], &functions[1]].map(link);
    let links = [links[0].as_str(), links[1].as_str()];
    let netns = Netns::with_links("vfs");
    let [first, second] = &functions;
    {
        let bus = first.rsplit_once(':').unwrap().0;
        let _rules = Rules::write(&format!(
            "[host-links]\nallow = [{{ pci = \"{bus}:*\" }}, {{ pci = \"{second}\" }}]\n"
        ));
        taken(&netns, links);
    }
    {
        let _rules = Rules::write("[host-links]\nallow = [{ driver = \"igb?f\" }]\n");
        taken(&netns, links);
    }
    let _rules = Rules::write(&format!("[host-links]\nallow = [{{ pci = \"{first}\" }}]\n"));
    let described = format!("driver igbvf, PCI address {second}");
    refused(&netns, links, &[links[1], &described, "matches no pattern"]);
    drop(netns);
    networks.end();
}

#[test]
fn malformed_rules_refuse_host_links_and_no_pod_links() {
    let netns = Netns::with_links("malformed");
    let _links = two_dummies();
    let _rules = Rules::write("[host-links]\nallow = [{ nane = \"take*\" }]\n");
    refused(&netns, ["take1", "take2"], &[FILE, "line 2, column 12", "nane"]);
    call("ADD", &netns.path()).run(&bond_config(&json!({}))).unwrap();
    call("DEL", &netns.path()).run(&bond_config(&json!({}))).unwrap();
}

#[test]
fn del_restores_links_that_later_rules_forbid() {
    let netns = Netns::with_links("later");
    let _links = two_dummies();
    let before = Snapshot::take();
    let config = over(["take1", "take2"]);
    call("ADD", &netns.path()).run(&config).unwrap();
    let _rules = Rules::write("[host-links]\nallow = []\n");
    call("DEL", &netns.path()).run(&config).unwrap();
    assert_eq!(Snapshot::take(), before);
}

/// Promise: bad-input-changes-nothing
#[test]
fn apply_refuses_a_forbidden_link_before_any_change() {
    let _links = two_dummies();
    ip("addr add 192.0.2.7/24 dev take2");
    let before = Snapshot::take();
    let manifest = nad("greedy", &over(["take1", "take2"]).to_string()) + &pod("p", "greedy@bond0");
    let said = failed(&apply(&manifest));
    assert!(said.contains("take2 has the address 192.0.2.7/24"), "{said}");
    assert!(said.contains("p: bond0"), "{said}");
    assert_eq!(Snapshot::take(), before);
}
