//! What IPAM plugins give a bond: addresses and routes with every field, read back by iproute2.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::node::{Call, Netns, Snapshot, bond_config, words};

/// An IPAM plugin that gives a fixed answer, and writes down how it is called.
struct Ipam(tempfile::TempDir);

impl Ipam {
    fn answering(answer: &Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display().to_string();
        fs::write(dir.path().join("answer"), answer.to_string()).unwrap();
        let script = format!(
            "#!/bin/sh\necho \"$CNI_COMMAND $CNI_IFNAME\" >>{at}/calls\n\
             cat >{at}/stdin\nif [ \"$CNI_COMMAND\" = ADD ]; then cat {at}/answer; fi\n"
        );
        let plugin = dir.path().join("fixed");
        fs::write(&plugin, script).unwrap();
        fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
        Self(dir)
    }

    /// The bond plugin's answer with this IPAM plugin.
    fn run(&self, command: &str, netns: &Netns, config: &Value) -> Result<Value, Value> {
        let path = netns.path();
        let call = Call { plugin: "bond", command, container: "c1", netns: &path, ifname: "bond0" };
        let path = format!("{}:/opt/cni/bin", self.0.path().display());
        call.run_with_path(&path, &mut Command::new("/opt/cni/bin/bond"), &config.to_string())
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.0.path().join("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }
}

/// The bond with the IPAM plugin of the test.
fn fixed(version: &str) -> Value {
    bond_config(&json!({"cniVersion": version, "ipam": {"type": "fixed"}}))
}

fn with_result(config: &Value, result: Value) -> Value {
    let mut config = config.clone();
    config["prevResult"] = result;
    config
}

/// The addresses of bond0 but for its link-local ones.
fn addresses(netns: &Netns) -> Vec<String> {
    let link = netns.link("bond0");
    let all = link["addr_info"].as_array().unwrap().iter();
    let global = all.filter(|address| address["scope"] == "global");
    global.map(|ip| format!("{}/{}", words(&ip["local"]), ip["prefixlen"])).collect()
}

#[test]
fn bond_without_ipam_is_up_and_has_no_address() {
    let netns = Netns::with_links("no-ipam");
    let links = netns.links();
    for ipam in [Value::Null, json!({})] {
        let config = bond_config(&json!({"cniVersion": "1.1.0", "ipam": ipam}));
        let none = Ipam::answering(&json!({}));
        let result = none.run("ADD", &netns, &config).unwrap();
        let expected = json!({"cniVersion": "1.1.0", "interfaces": [{
            "name": "bond0", "mac": netns.link("bond0")["address"], "mtu": 1500,
            "sandbox": netns.path(),
        }]});
        assert_eq!(result, expected);
        assert_eq!(addresses(&netns), [""; 0]);
        none.run("CHECK", &netns, &with_result(&config, result)).unwrap();
        none.run("DEL", &netns, &config).unwrap();
        assert_eq!((none.calls(), netns.links()), (vec![], links.clone()));
    }
}

/// Promise: del-of-replaced-plugins
#[test]
fn host_local_of_cni_plugins_gives_the_same_addresses() {
    let before = Snapshot::take();
    let netns = Netns::with_links("reference");
    let path = netns.path();
    let config = bond_config(&json!({"cniVersion": "1.0.0"})).to_string();
    let run = |command, config: &str| {
        let call = Call { plugin: "bond", command, container: "c1", netns: &path, ifname: "bond0" };
        call.run_with_path("/usr/lib/cni", &mut Command::new("/opt/cni/bin/bond"), config)
    };
    let result = run("ADD", &config).unwrap();
    assert_eq!(addresses(&netns), [words(&result["ips"][0]["address"])]);
    assert!(netns.ip("route show default").contains("via 10.56.217.1 dev bond0"));
    let config = with_result(&serde_json::from_str(&config).unwrap(), result).to_string();
    run("CHECK", &config).unwrap();
    run("DEL", &config).unwrap();
    drop(netns);
    assert_eq!(Snapshot::take(), before);
}

#[test]
fn ipam_result_of_another_version_is_read() {
    let interface = json!({"name": "other", "mac": "02:00:00:00:00:99"});
    let dns = json!({"nameservers": ["10.0.0.53"], "search": ["example"]});
    let answers = [
        json!({"cniVersion": "0.2.0", "dns": dns,
            "ip4": {"ip": "10.56.217.7/24", "gateway": "10.56.217.1",
                    "routes": [{"dst": "10.9.0.0/16"}]},
            "ip6": {"ip": "fd00:56::7/64"}}),
        json!({"cniVersion": "0.3.1", "interfaces": [interface, interface], "dns": dns,
            "ips": [{"version": "4", "address": "10.56.217.7/24", "gateway": "10.56.217.1",
                     "interface": 1}, {"version": "6", "address": "fd00:56::7/64"}],
            "routes": [{"dst": "10.9.0.0/16"}]}),
    ];
    let netns = Netns::with_links("foreign");
    for answer in answers {
        let (ipam, config) = (Ipam::answering(&answer), fixed("1.1.0"));
        let result = ipam.run("ADD", &netns, &config).unwrap();
        assert_eq!(result["interfaces"].as_array().unwrap().len(), 1);
        assert_eq!(result["ips"][0]["interface"], 0);
        assert_eq!(result["ips"][1]["interface"], 0);
        assert_eq!(result["dns"], dns);
        assert_eq!(addresses(&netns), ["10.56.217.7/24", "fd00:56::7/64"]);
        assert!(netns.ip("route show 10.9.0.0/16").contains("via 10.56.217.1 dev bond0"));
        ipam.run("CHECK", &netns, &with_result(&config, result)).unwrap();
        ipam.run("DEL", &netns, &config).unwrap();
        assert_eq!(ipam.calls(), ["ADD bond0", "CHECK bond0", "DEL bond0"]);
        assert_eq!(netns.link("bond0"), Value::Null);
    }
}

/// Addresses of both families, and routes.
fn answer(routes: &Value) -> Value {
    json!({"cniVersion": "1.1.0", "routes": routes, "ips": [
        {"address": "10.56.217.7/24", "gateway": "10.56.217.1"},
        {"address": "10.56.218.7/24"},
        {"address": "fd00:56::7/64", "gateway": "fd00:56::1"},
        {"address": "fd00:57::7/64"},
    ]})
}

/// Each field of a route: the result's, iproute2's command, and what it shows of it.
const FIELDS: [(&str, &str, &str, &str); 9] = [
    (r#"{"dst": "10.9.0.0/16"}"#, "10.9.0.0/16", "", "via 10.56.217.1 dev bond0"),
    (r#"{"dst": "10.9.0.0/16", "gw": "10.56.218.9"}"#, "10.9.0.0/16", "", "via 10.56.218.9"),
    (r#"{"dst": "10.9.0.0/16", "mtu": 1400}"#, "10.9.0.0/16", "", "mtu 1400"),
    (r#"{"dst": "10.9.0.0/16", "advmss": 1360}"#, "10.9.0.0/16", "", "advmss 1360"),
    (r#"{"dst": "10.9.0.0/16", "priority": 50}"#, "10.9.0.0/16", "", "metric 50"),
    (r#"{"dst": "10.9.0.0/16", "table": 1000}"#, "10.9.0.0/16", "table 1000", "via 10.56.217.1"),
    (r#"{"dst": "10.9.0.0/16", "scope": 253}"#, "10.9.0.0/16", "", "dev bond0 scope link"),
    (
        r#"{"dst": "fd00:9::/48", "mtu": 1400, "advmss": 1360, "priority": 50, "table": 1000}"#,
        "fd00:9::/48",
        "table 1000",
        "via fd00:56::1 dev bond0 metric 50 mtu 1400 advmss 1360",
    ),
    (r#"{"dst": "fd00:9::/48", "gw": "fd00:57::9"}"#, "fd00:9::/48", "", "via fd00:57::9"),
];

/// Promise: check-names-differences
#[test]
fn every_field_of_a_route_is_applied_and_missed_by_check() {
    let netns = Netns::with_links("route-fields");
    for (route, destination, table, shown) in FIELDS {
        let route: Value = serde_json::from_str(route).unwrap();
        let (ipam, config) = (Ipam::answering(&answer(&json!([route]))), fixed("1.1.0"));
        let result = ipam.run("ADD", &netns, &config).unwrap();
        assert_eq!(result["routes"], json!([route]));
        let family = if destination.contains(':') { "-6" } else { "-4" };
        let shows = netns.ip(&format!("{family} route show {destination} {table}"));
        let one_space = shows.split_whitespace().collect::<Vec<_>>().join(" ");
        let one_space = one_space.replace("proto boot ", "");
        assert!(one_space.contains(shown), "{route}: {one_space}");
        let config = with_result(&config, result);
        ipam.run("CHECK", &netns, &config).unwrap();

        netns.ip(&format!("{family} route del {destination} {table}"));
        let gone = words(&ipam.run("CHECK", &netns, &config).unwrap_err()["msg"]);
        assert!(gone.contains(&format!("route {destination} ")), "{gone}");
        assert!(gone.contains("is gone"), "{gone}");
        ipam.run("DEL", &netns, &config).unwrap();
    }
}

#[test]
fn changed_route_is_reported_with_its_present_value() {
    let netns = Netns::with_links("route-changed");
    let routes = json!([{"dst": "10.9.0.0/16", "mtu": 1400, "priority": 50}]);
    let (ipam, config) = (Ipam::answering(&answer(&routes)), fixed("1.1.0"));
    let config = with_result(&config, ipam.run("ADD", &netns, &config).unwrap());
    netns.ip("route change 10.9.0.0/16 via 10.56.217.1 dev bond0 metric 50 mtu 1300");
    let msg = words(&ipam.run("CHECK", &netns, &config).unwrap_err()["msg"]);
    let expected =
        "route 10.9.0.0/16 via 10.56.217.1 metric 50 mtu 1400 has mtu 1300, not mtu 1400";
    assert!(msg.contains(expected), "{msg}");
    ipam.run("DEL", &netns, &config).unwrap();
}

/// A link eth0 with default routes, as the cluster's network gives.
fn with_eth0(name: &str) -> Netns {
    let netns = Netns::with_links(name);
    netns.ip("link add eth0 type veth peer name eth0p");
    netns.ip("link set eth0p up");
    netns.ip("link set eth0 up");
    netns.ip("addr add 10.88.0.2/24 dev eth0");
    netns.ip("addr add fd00:88::2/64 dev eth0 nodad");
    netns.ip("route add default via 10.88.0.1");
    netns.ip("-6 route add default via fd00:88::1");
    netns
}

/// Promise: default-route-wins
#[test]
fn default_route_takes_precedence_and_metrics_decide() {
    let netns = with_eth0("route-defaults");
    let defaults = || (netns.ip("-4 route show default"), netns.ip("-6 route show default"));
    let before = defaults();
    let routes = json!([{"dst": "0.0.0.0/0"}, {"dst": "::/0", "priority": 2048}]);
    let (ipam, config) = (Ipam::answering(&answer(&routes)), fixed("1.1.0"));
    let config = with_result(&config, ipam.run("ADD", &netns, &config).unwrap());
    for (family, own, bonds) in [
        ("-4", "via 10.88.0.1 dev eth0", "via 10.56.217.1 dev bond0"),
        ("-6", "via fd00:88::1 dev eth0", "via fd00:56::1 dev bond0"),
    ] {
        let shown = netns.ip(&format!("{family} route show default"));
        assert!(shown.contains(own) && shown.contains(bonds), "{shown}");
    }
    // As with the plugins replaced the newer one of one metric is used.
    assert!(netns.ip("route get 192.0.2.1").contains("dev bond0"));
    assert!(netns.ip("route get 2001:db8::1").contains("dev eth0"));
    ipam.run("CHECK", &netns, &config).unwrap();
    ipam.run("DEL", &netns, &config).unwrap();
    assert_eq!(defaults(), before);
}

/// Promise: default-route-wins, joined-route-reported
#[test]
fn ipv6_default_routes_of_one_metric_share_traffic() {
    let netns = with_eth0("route-shared");
    let before = netns.ip("-6 route show default");
    let (ipam, config) = (Ipam::answering(&answer(&json!([{"dst": "::/0"}]))), fixed("1.1.0"));
    let config = with_result(&config, ipam.run("ADD", &netns, &config).unwrap());
    let shown = netns.ip("-6 route show default");
    assert!(shown.contains("nexthop via fd00:88::1 dev eth0"), "{shown}");
    assert!(shown.contains("nexthop via fd00:56::1 dev bond0"), "{shown}");
    let doctor = || {
        let printed = String::from_utf8(crate::node::podbond(&["doctor"]).stdout).unwrap();
        printed.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let text = doctor();
    let reason = "its route to ::/0 has the metric of that through eth0";
    assert!(text.contains(reason) && text.contains("(route-joined)"), "{text}");
    ipam.run("CHECK", &netns, &config).unwrap();
    ipam.run("DEL", &netns, &config).unwrap();
    assert_eq!(netns.ip("-6 route show default"), before);
    assert!(!doctor().contains("route-joined"));
}

/// `0.0.0.0` is how some write that a route has no gateway; `::` the kernel refuses.
#[test]
fn unspecified_gateway_is_none_in_ipv4_and_refused_in_ipv6() {
    let netns = Netns::with_links("route-zero");
    let routes = json!([{"dst": "10.9.0.0/16", "gw": "0.0.0.0"}]);
    let (ipam, config) = (Ipam::answering(&answer(&routes)), fixed("1.1.0"));
    let config = with_result(&config, ipam.run("ADD", &netns, &config).unwrap());
    let shown = netns.ip("route show 10.9.0.0/16");
    assert!(shown.starts_with("10.9.0.0/16 dev bond0 scope link"), "{shown}");
    ipam.run("CHECK", &netns, &config).unwrap();
    ipam.run("DEL", &netns, &config).unwrap();

    let links = netns.links();
    let ipam = Ipam::answering(&answer(&json!([{"dst": "fd00:9::/48", "gw": "::"}])));
    let error = ipam.run("ADD", &netns, &fixed("1.1.0")).unwrap_err();
    let msg = words(&error["msg"]);
    assert!(
        msg.contains("route fd00:9::/48 via ::: gateway :: is the address of no host"),
        "{msg}"
    );
    assert_eq!(netns.links(), links);
}

#[test]
fn gateway_outside_the_subnets_is_refused_without_a_trace() {
    let netns = Netns::with_links("route-gateway");
    let links = netns.links();
    for (dst, gw) in [("10.9.0.0/16", "192.0.2.1"), ("fd00:9::/48", "fd00:ffff::1")] {
        let ipam = Ipam::answering(&answer(&json!([{"dst": dst, "gw": gw}])));
        let error = ipam.run("ADD", &netns, &fixed("1.0.0")).unwrap_err();
        let msg = words(&error["msg"]);
        assert!(msg.starts_with("network bond-net1: add route "), "{msg}");
        let expected = format!("{dst} via {gw} through bond0 (pod): gateway {gw} is in no subnet");
        assert!(msg.contains(&expected), "{msg}");
        assert_eq!(
            (ipam.calls(), netns.links()),
            (vec!["ADD bond0".to_owned(), "DEL bond0".to_owned()], links.clone(),)
        );
    }
    // With a route to the gateway before it, as the message says.
    let routes = json!([
        {"dst": "192.0.2.1/32", "scope": 253}, {"dst": "10.9.0.0/16", "gw": "192.0.2.1"},
    ]);
    let (ipam, config) = (Ipam::answering(&answer(&routes)), fixed("1.1.0"));
    let config = with_result(&config, ipam.run("ADD", &netns, &config).unwrap());
    ipam.run("CHECK", &netns, &config).unwrap();
    ipam.run("DEL", &netns, &config).unwrap();
}

#[test]
fn ipv6_below_its_smallest_mtu_is_refused() {
    let netns = Netns::with_links("mtu-ipv6");
    let links = netns.links();
    let ipam = Ipam::answering(&answer(&json!([])));
    let mut config = fixed("1.0.0");
    config["mtu"] = json!(1000);
    let error = ipam.run("ADD", &netns, &config).unwrap_err();
    let msg = words(&error["msg"]);
    assert!(
        msg.contains("IPv6 needs an MTU of 1280 bytes at least, and bond0 (pod) has 1000"),
        "{msg}"
    );
    assert_eq!(netns.links(), links);
    config["mtu"] = json!(1280);
    ipam.run("ADD", &netns, &config).unwrap();
    ipam.run("DEL", &netns, &config).unwrap();
}

/// Promise: dns-of-the-nad, keys-as-go-reads-them
#[test]
fn dns_of_the_nad_is_before_that_of_the_ipam_plugin() {
    let netns = Netns::with_links("dns");
    let mut answer = answer(&json!([]));
    answer["dns"] = json!({"nameservers": ["10.0.0.53"], "search": ["ipam.example"]});
    let ipam = Ipam::answering(&answer);
    let mut config = fixed("1.0.0");
    config["DNS"] = json!({"Nameservers": ["10.0.0.54"], "options": ["ndots:2"]});
    let result = ipam.run("ADD", &netns, &config).unwrap();
    let wanted = json!({
        "nameservers": ["10.0.0.54"], "search": ["ipam.example"], "options": ["ndots:2"],
    });
    assert_eq!(result["dns"], wanted);
    ipam.run("DEL", &netns, &config).unwrap();
}

/// A pod whose ports reach the bridge br0 of another namespace.
pub(crate) struct Wired {
    pub(crate) pod: Netns,
    pub(crate) wire: Netns,
}

impl Wired {
    pub(crate) fn new(pod: &str, wire: &str) -> Self {
        let (pod, wire) = (Netns::with_links(pod), Netns::with_links(wire));
        wire.ip("link add br0 type bridge");
        wire.ip("link set br0 up");
        let peer = wire.path().rsplit('/').next().unwrap().to_owned();
        for link in ["net1", "net2"] {
            pod.ip(&format!("link del {link}"));
            pod.ip(&format!("link add {link} type veth peer name to-{link} netns {peer}"));
            wire.ip(&format!("link set to-{link} master br0 up"));
            pod.ip(&format!("link set {link} up"));
        }
        Self { pod, wire }
    }
}

#[test]
fn dad_is_waited_for_unless_it_is_disabled() {
    let Wired { pod, wire } = Wired::new("dad", "dad-wire");
    let ipam = Ipam::answering(&answer(&json!([{"dst": "::/0"}])));
    let mut config = fixed("1.0.0");
    let result = ipam.run("ADD", &pod, &config).unwrap();
    let shown = pod.ip("-6 addr show dev bond0 scope global");
    assert!(shown.contains("fd00:56::7/64") && !shown.contains("tentative"), "{shown}");
    ipam.run("CHECK", &pod, &with_result(&config, result)).unwrap();
    ipam.run("DEL", &pod, &config).unwrap();

    wire.ip("addr add fd00:57::7/64 dev br0 nodad");
    let links = pod.links();
    let error = ipam.run("ADD", &pod, &config).unwrap_err();
    let msg = words(&error["msg"]);
    let expected =
        "network bond-net1: address fd00:57::7/64 of bond0 (pod) is in use by another host";
    assert!(msg.starts_with(expected), "{msg}");
    assert_eq!(pod.links(), links);
    assert_eq!(ipam.calls().last().unwrap(), "DEL bond0", "the lease is given back");

    config["ipv6Dad"] = json!(false);
    ipam.run("ADD", &pod, &config).unwrap();
    ipam.run("DEL", &pod, &config).unwrap();
}

#[test]
fn check_reports_a_duplicate_found_after_carrier() {
    let Wired { pod, wire } = Wired::new("dad-later", "dad-later-wire");
    for link in ["to-net1", "to-net2"] {
        wire.ip(&format!("link set {link} down"));
    }
    wire.ip("addr add fd00:57::7/64 dev br0 nodad");
    let (ipam, config) = (Ipam::answering(&answer(&json!([]))), fixed("1.0.0"));
    let config = with_result(&config, ipam.run("ADD", &pod, &config).unwrap());
    for link in ["to-net1", "to-net2"] {
        wire.ip(&format!("link set {link} up"));
    }
    for _ in 0..300 {
        match ipam.run("CHECK", &pod, &config) {
            Ok(_) => std::thread::sleep(std::time::Duration::from_millis(100)),
            Err(error) => {
                let msg = words(&error["msg"]);
                let expected = "address fd00:57::7/64 is not used, since another host has it";
                assert!(msg.contains(expected), "{msg}");
                ipam.run("DEL", &pod, &config).unwrap();
                return;
            }
        }
    }
    panic!("{}", pod.ip("-6 addr show dev bond0"));
}
