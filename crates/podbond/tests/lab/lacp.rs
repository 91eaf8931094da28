//! 802.3ad against a Linux 802.3ad bond, over VFs and over whole PFs, at both rates.

use serde_json::{Value, json};

use crate::cables::{
    Flow, Switch, carrying, given_up, lacp_states, lag_mac, plug, pull, reaches_the_switch, report,
    until, wire,
};
use crate::node::{
    HostRules, Snapshot, WithNetworks, apply, bond_config, delete, interface, ip, nad, pod,
    podbond, remove_vfs, status, succeeded, sweep, words,
};

const BOND: &str = "net3";

/// SriovNetworks whose VFs may do what LACP asks of them, and the bond over them.
fn over_vfs(rate: &str) -> String {
    let network = |number: u8| {
        json!({
            "apiVersion": "sriovnetwork.openshift.io/v1", "kind": "SriovNetwork",
            "metadata": {"name": format!("lacp{number}"), "namespace": "demo"},
            "spec": {"resourceName": format!("sriovnic{number}"), "trust": "on", "spoofChk": "off"},
        })
    };
    let bond = nad("lacp-bond", &config(rate, &json!({})).to_string());
    let pod = pod("lacp", "demo/lacp1, demo/lacp2, demo/lacp-bond");
    format!("{}\n---\n{}\n---\n{bond}{pod}", network(1), network(2))
}

fn config(rate: &str, changes: &Value) -> Value {
    let mut config = bond_config(&json!({
        "name": "lacp-bond", "mode": "802.3ad", "failOverMac": null, "lacpRate": rate,
        "xmitHashPolicy": "layer3+4", "mtu": null,
    }));
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

/// The bond over the node's own PFs, which are moved into the pod.
fn over_pfs(rate: &str) -> String {
    let changes = json!({"linksInContainer": false, "links": [{"name": "pf0"}, {"name": "pf1"}]});
    let bond = nad("lacp-bond", &config(rate, &changes).to_string());
    bond + &pod("lacp", "demo/lacp-bond@net3")
}

/// As after a test that ended well.
fn begin() {
    sweep();
    take_away();
}

/// Takes away the pod and its networks, as far as they are there.
fn take_away() {
    for objects in [over_pfs("fast"), over_vfs("fast")] {
        succeeded(&delete(&objects));
    }
}

/// What the kernel and the switch must show of two ports that negotiated at a rate: this side's and
/// the other side's state, with the short timeout (2) where the rate is fast.
fn negotiated(ports: [&str; 2], rate: &str) {
    let seen = carrying("lacp", &ports);
    let state = if rate == "fast" { 63 } else { 61 };
    // Read by iproute2, not by podbond.
    let shown: Value = serde_json::from_str(&ip("-n demo.lacp -j -d link show")).unwrap();
    let link = |name: &str| {
        let all = shown.as_array().unwrap();
        all.iter().find(|link| link["ifname"] == name).unwrap()["linkinfo"].clone()
    };
    let info = &link(BOND)["info_data"];
    assert_eq!(info["ad_lacp_rate"], rate, "{info}");
    let aggregator = &info["ad_info"];
    assert_eq!(aggregator["num_ports"], 2, "{info}");
    assert_eq!(words(&aggregator["partner_mac"]), lag_mac(), "{info}");
    for port in ports {
        let data = &link(port)["info_slave_data"];
        assert_eq!(data["ad_aggregator_id"], aggregator["aggregator"], "{data}");
        assert_eq!(data["ad_actor_oper_port_state"], state, "{data}");
        assert_eq!(data["ad_partner_oper_port_state"], state, "{data}");
    }
    // One LACPDU later than here, at the most.
    let both = [(state, state); 2];
    until("the same at the switch", lacp_states, |seen| *seen == both);

    let timeout = if rate == "fast" { "short-timeout" } else { "long-timeout" };
    let words = ["active", timeout, "aggregating", "in-sync", "collecting", "distributing"];
    let shown = &interface(&seen, BOND)["bond"];
    assert_eq!(shown["aggregator"]["ports"], 2, "{shown}");
    assert_eq!(shown["aggregator"]["partnerMac"], lag_mac(), "{shown}");
    assert_eq!(shown["findings"], json!([]), "{shown}");
    for port in ports {
        let lacp = &interface(&seen, port)["port"]["lacp"];
        assert_eq!(lacp["aggregator"], shown["aggregator"]["id"], "{lacp}");
        assert_eq!((&lacp["actor"], &lacp["partner"]), (&json!(words), &json!(words)));
    }
}

#[test]
fn lacp_bond_of_vfs_negotiates_and_survives_a_lost_cable() {
    begin();
    let networks = WithNetworks::new();
    for rate in ["slow", "fast"] {
        let _switch = Switch::lacp(rate);
        succeeded(&apply(&over_vfs(rate)));
        negotiated(["net1", "net2"], rate);
        reaches_the_switch("lacp");

        let flow = Flow::from("lacp");
        let (port, cable) = flow.way();
        pull(cable);
        let alone = given_up("lacp", &port);
        assert_eq!(interface(&alone, BOND)["carrier"], true, "{alone}");
        reaches_the_switch("lacp");
        let flow = flow.end();
        assert!(flow.answered >= 20, "{flow:?}");
        report(&format!(
            "802.3ad {rate}: {} of {} pings lost with the cable of {port}",
            flow.lost(),
            flow.sent
        ));

        plug(cable);
        negotiated(["net1", "net2"], rate);
        reaches_the_switch("lacp");
        take_away();
    }
    networks.end();
}

#[test]
fn lacp_bond_of_pfs_negotiates_and_survives_a_lost_port() {
    begin();
    let _rules = HostRules::allow_all();
    remove_vfs();
    let before = Snapshot::take();
    for rate in ["slow", "fast"] {
        let _switch = Switch::lacp(rate);
        succeeded(&apply(&over_pfs(rate)));
        negotiated(["pf0", "pf1"], rate);
        reaches_the_switch("lacp");

        ip("-n switch link set sw1 down");
        ip("-n demo.lacp link set pf1 down");
        given_up("lacp", "pf1");
        reaches_the_switch("lacp");
        ip("-n switch link set sw1 up");
        ip("-n demo.lacp link set pf1 up");
        negotiated(["pf0", "pf1"], rate);
        take_away();
    }
    assert_eq!(Snapshot::take(), before);
}

/// What no carrier shows: the port has its link, and nobody answers at its other end. Over PFs, since
/// the driver's timer for the last LACPDU is stopped by the bond's own ones, which a VF hears here.
#[test]
fn silent_switch_port_is_excluded_and_reported() {
    begin();
    let _rules = HostRules::allow_all();
    // The lab's card gives a PF that has VFs its own LACPDUs back.
    remove_vfs();
    let before = Snapshot::take();
    let _switch = Switch::lacp("fast");
    succeeded(&apply(&over_pfs("fast")));
    negotiated(["pf0", "pf1"], "fast");

    ip("-n switch link set sw1 down");
    let is_reported = |status: &Value| {
        let findings = interface(status, BOND)["bond"]["findings"].as_array();
        findings.is_some_and(|all| all.iter().any(|one| is_silent(one, &["pf1"])))
    };
    let seen = until("a finding about pf1", || status("lacp"), is_reported);
    assert_eq!(interface(&seen, "pf1")["carrier"], true, "{seen}");
    let left = |status: &Value| interface(status, BOND)["bond"]["aggregator"]["ports"] == 1;
    until("an aggregator without pf1", || status("lacp"), left);
    reaches_the_switch("lacp");

    ip("-n switch link set sw1 up");
    negotiated(["pf0", "pf1"], "fast");
    take_away();
    assert_eq!(Snapshot::take(), before);
}

fn is_silent(finding: &Value, ports: &[&str]) -> bool {
    finding["code"] == "lacp-silent" && finding["object"]["names"] == json!(ports)
}

#[test]
fn switch_without_lacp_is_reported_until_it_answers() {
    begin();
    let networks = WithNetworks::new();
    let _switch = Switch::wired("bridge");
    succeeded(&apply(&over_vfs("fast")));
    let defaulted = |status: &Value| {
        ["net1", "net2"].iter().all(|port| {
            let port = interface(status, port);
            let actor = port["port"]["lacp"]["actor"].as_array();
            port["carrier"] == true
                && actor.is_some_and(|words| words.iter().any(|word| word == "defaulted"))
        })
    };
    let seen = until("ports that hear nothing", || status("lacp"), defaulted);
    let bond = &interface(&seen, BOND)["bond"];
    assert!(is_silent(&bond["findings"][0], &["net1", "net2"]), "{bond}");
    assert_eq!(bond["aggregator"]["partnerMac"], Value::Null, "{bond}");

    let overview = succeeded(&podbond(&["status"]));
    assert!(overview.contains("ports net1, net2: no LACPDU is heard"), "{overview}");
    let doctor = podbond(&["doctor"]);
    let doctor = String::from_utf8_lossy(&doctor.stdout);
    assert!(doctor.contains("no LACPDU is heard") && doctor.contains("(lacp-silent)"), "{doctor}");
    let details = succeeded(&podbond(&["status", "-n", "demo", "lacp"]));
    assert!(details.contains("LACP partner: none: the switch is silent"), "{details}");
    assert!(details.contains("actor    active short-timeout aggregating"), "{details}");
    let too_long = |line: &&str| line.chars().count() > 100;
    assert_eq!(details.lines().chain(overview.lines()).find(too_long), None);

    wire("lacp");
    carrying("lacp", &["net1", "net2"]);
    let details = succeeded(&podbond(&["status", "-n", "demo", "lacp"]));
    assert!(details.contains(&format!("LACP partner: {}", lag_mac())), "{details}");
    assert!(!details.contains("warning"), "{details}");
    report(&details);
    take_away();
    networks.end();
}
