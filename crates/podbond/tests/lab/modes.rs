//! The examples of every mode, as they are, each against the switch that it asks for: traffic, the
//! loss of the cable that carries it, its return, and a node as it was before.

use serde_json::{Value, json};

use crate::cables::{
    Flow, Switch, answered, cable_of, carrying, given_up, plug, pull, reaches_the_switch, report,
    until,
};
use crate::node::{EXAMPLES, Snapshot, interface, ip, podbond, status, succeeded, sweep, words};

/// Without an answer for longer than that a bond has not failed over.
const LONGEST_SILENCE_MS: u128 = 10_000;

/// An example and the VFs that it needs.
pub(crate) struct Example {
    file: String,
    before: Snapshot,
}

impl Example {
    pub(crate) fn applied(mode: &str) -> Self {
        sweep();
        succeeded(&podbond(&["delete", "-f", &format!("{EXAMPLES}/modes")]));
        let before = Snapshot::take();
        succeeded(&podbond(&["apply", "-f", &format!("{EXAMPLES}/policies.yaml")]));
        let file = format!("{EXAMPLES}/modes/{mode}.yaml");
        let output = podbond(&["apply", "-f", &file]);
        succeeded(&output);
        // An IPAM plugin that the default network's plugin executes logs what it does.
        let stderr = String::from_utf8_lossy(&output.stderr);
        let reported: Vec<&str> =
            stderr.lines().filter(|line| !line.contains(" level=info ")).collect();
        assert_eq!(reported, [""; 0], "{mode}");
        Self { file, before }
    }

    /// Takes it back; nothing may be left.
    pub(crate) fn end(self) {
        succeeded(&podbond(&["delete", "-f", &self.file]));
        succeeded(&podbond(&["delete", "-f", &format!("{EXAMPLES}/policies.yaml")]));
        assert_eq!(Snapshot::take(), self.before);
    }
}

/// One mode from beginning to end.
fn works(mode: &str, pod: &str, shape: &str) {
    let _switch = Switch::wired(shape);
    let example = Example::applied(mode);
    let seen = carrying(pod, &["net1", "net2"]);
    assert_eq!(interface(&seen, "bond0")["bond"]["mode"], mode);
    reaches_the_switch(pod);

    let flow = Flow::from(pod);
    // The active port where the bond has one: its loss is the harder one. Else the flow's.
    let (port, cable) = match words(&interface(&seen, "bond0")["bond"]["activePort"]) {
        none if none.is_empty() => flow.way(),
        active => (active.clone(), cable_of(&seen, &active)),
    };
    pull(cable);
    given_up(pod, &port);
    reaches_the_switch(pod);
    let lost = flow.end();
    assert!(lost.silence().as_millis() < LONGEST_SILENCE_MS, "{lost:?}");

    plug(cable);
    carrying(pod, &["net1", "net2"]);
    let outcome = traffic_or_finding(mode, pod, &port);
    reaches_the_switch(pod);
    report(&format!(
        "{mode:<13}  switch: {shape:<6}  cable of {port} out: {:>3} of {:>3} pings lost, one each \
         50 ms; back in: {outcome}",
        lost.lost(),
        lost.sent,
    ));
    example.end();
}

/// Whether traffic flows with all ports back, or the status says why not, and the remedy that it names
/// helps: igbvf gives a VF whose PF comes back the address that its port had before the fail-over,
/// which by then is another port's. Modes in which each port has its own address cannot bear that.
fn traffic_or_finding(mode: &str, pod: &str, port: &str) -> &'static str {
    let expected_to_work = !["balance-tlb", "balance-alb"].contains(&mode);
    let look = || (answered(pod), interface(&status(pod), "bond0")["bond"]["findings"].clone());
    let is_reported = |findings: &Value| findings[0]["code"] == "ports-share-a-mac";
    let (_, findings) = until("traffic, or a finding", look, |(answered, findings)| {
        if is_reported(findings) { !expected_to_work } else { *answered == 20 }
    });
    if !is_reported(&findings) {
        assert_eq!(findings, json!([]));
        return "works";
    }
    ip(&format!("-n demo.{pod} link set {port} address 02:00:00:00:00:99"));
    until("no finding", || look().1, |findings| *findings == json!([]));
    "finding ports-share-a-mac, works with its remedy"
}

#[test]
fn balance_rr_carries_traffic_and_fails_over() {
    works("balance-rr", "balance-rr", "lag");
}

#[test]
fn active_backup_carries_traffic_and_fails_over() {
    works("active-backup", "active-backup", "bridge");
}

#[test]
fn balance_xor_carries_traffic_and_fails_over() {
    works("balance-xor", "balance-xor", "lag");
}

#[test]
fn broadcast_carries_traffic_and_fails_over() {
    works("broadcast", "broadcast", "lag");
}

#[test]
fn lacp_carries_traffic_and_fails_over() {
    works("802.3ad", "lacp", "lacp");
}

#[test]
fn balance_tlb_carries_traffic_and_fails_over() {
    works("balance-tlb", "balance-tlb", "bridge");
}

#[test]
fn balance_alb_carries_traffic_and_fails_over() {
    works("balance-alb", "balance-alb", "bridge");
}

#[test]
fn directory_of_the_documented_case_leaves_out_the_modes() {
    let plan = succeeded(&podbond(&["plan", "-f", EXAMPLES]));
    assert!(plan.contains("bond-net1") && !plan.contains("balance-rr"), "{plan}");
}
