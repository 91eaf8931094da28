//! Links of the node that a bond may take, and those that it may not, whatever a NAD says.

use std::fs;

use serde_json::{Value, json};

use crate::node::{
    ADMINISTRATORS_FILE as FILE, Call, HostRules, Netns, NodeLinks, Snapshot, WithNetworks, apply,
    bond_config, failed, ip, nad, pod, podbond, succeeded, words,
};

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

/// The line of an error that allows the links.
fn line(message: &str) -> String {
    let (_, line) = message.split_once("this line: ").unwrap_or_else(|| panic!("{message}"));
    line.to_owned()
}

fn message(netns: &Netns, links: [&str; 2]) -> String {
    words(&call("ADD", &netns.path()).run(&over(links)).unwrap_err()["msg"])
}

/// Promise: node-links-kept
#[test]
fn without_rules_no_link_is_taken_and_the_error_names_the_line() {
    let netns = Netns::with_links("unlisted");
    let _links = NodeLinks::dummies();
    let links = ["take1", "take2"];
    let both = r#"allow = [{ name = "take1" }, { name = "take2" }]"#;
    refused(&netns, links, &["take1 (driver dummy", "take2 (driver dummy", FILE, both]);
    {
        let _rules =
            HostRules::write("# nothing yet\n[log]\nfile = \"/var/log/podbond-test.log\"\n");
        refused(&netns, links, &["take1 (driver dummy", "take2 (driver dummy", both]);
    }
    let said = message(&netns, links);
    let _rules = HostRules::write(&format!("[host-links]\n{}\n", line(&said)));
    taken(&netns, links);
    // What was allowed before is in the line, too.
    let rules =
        HostRules::write("[host-links]\nallow = [{ name = \"take1\", driver = \"dum*\" }]\n");
    let said = message(&netns, links);
    drop(rules);
    let _rules = HostRules::write(&format!("[host-links]\n{}\n", line(&said)));
    taken(&netns, links);
}

/// Promise: node-links-kept
#[test]
fn pfs_with_vfs_and_vfs_of_policies_are_never_taken() {
    let networks = WithNetworks::new();
    let _rules = HostRules::allow_all();
    let links = NodeLinks::dummies();
    let netns = Netns::with_links("owned");
    refused(&netns, ["take1", "pf1"], &["pf1 is a link of a PF with 4 VFs"]);
    let vf = vf_link("pf1", 0);
    let policy = "policy-pf1 gives to pods";
    refused(
        &netns,
        ["take1", &vf],
        &[&format!("{vf} is a VF that SriovNetworkNodePolicy "), policy],
    );
    let manifest = nad("owned", &over(["take1", &vf]).to_string()) + &pod("p", "owned@bond0");
    assert!(failed(&apply(&manifest)).contains(policy));
    drop((netns, links));
    networks.end();
}

/// Promise: node-links-kept
#[test]
fn vf_that_a_pod_holds_is_never_taken() {
    let networks = WithNetworks::vfs_alone();
    let _rules = HostRules::allow_all();
    let links = NodeLinks::dummies();
    let (netns, holder) = (Netns::with_links("greedy"), Netns::with_links("holder"));
    let (vf, pci) = (vf_link("pf1", 0), function("pf1"));
    let claims = "/var/lib/cni/sriov/pci";
    fs::create_dir_all(claims).unwrap();
    let claim = format!("{claims}/{pci}");
    fs::write(&claim, holder.path()).unwrap();
    let held =
        format!("{vf} is a VF that is held by the pod with network namespace {}", holder.path());
    refused(&netns, ["take1", &vf], &[&held]);
    // A claim counts until its namespace is certainly over.
    drop(holder);
    taken(&netns, ["take1", &vf]);
    fs::remove_file(claim).unwrap();
    ip(&format!("link set {vf} down"));
    drop((netns, links));
    networks.end();
}

fn on_one_line(printed: &[u8]) -> String {
    String::from_utf8_lossy(printed).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Promise: node-links-kept
#[test]
fn doctor_reports_links_that_would_be_refused() {
    let netns = Netns::with_links("running");
    let _links = NodeLinks::dummies();
    let rules = HostRules::allow_all();
    call("ADD", &netns.path()).run(&over(["take1", "take2"])).unwrap();
    let doctor = || on_one_line(&podbond(&["doctor"]).stdout);
    let text = doctor();
    assert!(!text.contains("host-links-refused"), "{text}");
    drop(rules);
    let text = doctor();
    for part in ["host-links-refused", "take1 (driver dummy", "take2 (driver dummy"] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    succeeded(&podbond(&["check"]));
    call("DEL", &netns.path()).run(&over(["take1", "take2"])).unwrap();
}

/// Promise: node-links-kept
#[test]
fn link_of_the_default_route_is_never_taken() {
    let netns = Netns::with_links("default");
    let names = &["take1", "take2", "way0"];
    let kinds = ["take1 type dummy", "take2 type dummy", "way0 type bridge"];
    let _links = NodeLinks::new(names, &kinds);
    let links = ["take1", "take2"];
    let rules = "[host-links]\nallow = [{ name = \"*\" }, { driver = \"*\" }]\n";
    // As long as the lab's own route has a smaller metric, nothing goes this way.
    for file in [None, Some(rules)] {
        let _rules = file.map(HostRules::write);
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
    let _links = NodeLinks::dummies();
    let links = ["take1", "take2"];
    ip("addr add 192.0.2.7/24 dev take2");
    for allowed in [r#"{ name = "take?" }"#, r#"{ name = "take*", driver = "dummy" }"#] {
        let _rules = HostRules::write(&format!("[host-links]\nallow = [{allowed}]\n"));
        taken(&netns, links);
        // The bond gives the link back, but not what hung on it.
        ip("addr add 192.0.2.7/24 dev take2");
    }
    for allowed in ["", r#"{ name = "take1" }"#, r#"{ pci = "*" }, { name = "take1" }"#] {
        let _rules = HostRules::write(&format!("[host-links]\nallow = [{allowed}]\n"));
        refused(
            &netns,
            links,
            &["take2 (driver dummy, no PCI address) is a link of the node", FILE],
        );
    }
}

/// The first VF of a PF.
fn function(pf: &str) -> String {
    let device = fs::read_link(format!("/sys/class/net/{pf}/device/virtfn0")).unwrap();
    device.file_name().unwrap().to_string_lossy().into_owned()
}

/// The link of a VF.
fn vf_link(pf: &str, number: u8) -> String {
    let mut links = fs::read_dir(format!("/sys/class/net/{pf}/device/virtfn{number}/net")).unwrap();
    links.next().unwrap().unwrap().file_name().into_string().unwrap()
}

#[test]
fn vfs_are_allowed_by_driver_and_by_pci_address() {
    let networks = WithNetworks::vfs_alone();
    let functions = ["pf0", "pf1"].map(function);
    let links = ["pf0", "pf1"].map(|pf| vf_link(pf, 0));
    let links = [links[0].as_str(), links[1].as_str()];
    let netns = Netns::with_links("vfs");
    let [first, second] = &functions;
    {
        let bus = first.rsplit_once(':').unwrap().0;
        let _rules = HostRules::write(&format!(
            "[host-links]\nallow = [{{ pci = \"{bus}:*\" }}, {{ pci = \"{second}\" }}]\n"
        ));
        taken(&netns, links);
    }
    {
        let _rules = HostRules::write("[host-links]\nallow = [{ driver = \"igb?f\" }]\n");
        taken(&netns, links);
    }
    let _rules = HostRules::write(&format!("[host-links]\nallow = [{{ pci = \"{first}\" }}]\n"));
    let described = format!("driver igbvf, PCI address {second}");
    refused(&netns, links, &[links[1], &described, "is a link of the node"]);
    drop(netns);
    networks.end();
}

#[test]
fn malformed_rules_refuse_host_links_and_no_pod_links() {
    let netns = Netns::with_links("malformed");
    let _links = NodeLinks::dummies();
    let _rules = HostRules::write("[host-links]\nallow = [{ nane = \"take*\" }]\n");
    refused(&netns, ["take1", "take2"], &[FILE, "line 2, column 12", "nane"]);
    call("ADD", &netns.path()).run(&bond_config(&json!({}))).unwrap();
    call("DEL", &netns.path()).run(&bond_config(&json!({}))).unwrap();
}

#[test]
fn del_restores_links_that_later_rules_forbid() {
    let netns = Netns::with_links("later");
    let _links = NodeLinks::dummies();
    let before = Snapshot::take();
    let config = over(["take1", "take2"]);
    let rules = HostRules::allow_all();
    call("ADD", &netns.path()).run(&config).unwrap();
    drop(rules);
    let _rules = HostRules::write("[host-links]\nallow = []\n");
    call("DEL", &netns.path()).run(&config).unwrap();
    assert_eq!(Snapshot::take(), before);
}

/// Promise: bad-input-changes-nothing
#[test]
fn apply_refuses_a_forbidden_link_before_any_change() {
    let _links = NodeLinks::dummies();
    let before = Snapshot::take();
    let manifest = nad("greedy", &over(["take1", "take2"]).to_string()) + &pod("p", "greedy@bond0");
    let said = failed(&apply(&manifest));
    assert!(said.contains("take2 (driver dummy, no PCI address) is a link of the node"), "{said}");
    assert!(said.contains("p: bond0"), "{said}");
    assert_eq!(Snapshot::take(), before);
}
