//! The examples of every mode, as they are, each against the switch that it asks for: traffic, the
//! loss of the cable that carries it, its return, and a node as it was before.

use crate::cables::{
    Flow, Switch, answered, busiest, carrying, given_up, plug, pull, reaches_the_switch, report,
};
use crate::node::{EXAMPLES, Snapshot, interface, podbond, succeeded, sweep};

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
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{mode}: something to say");
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

    let (port, cable) = busiest(pod);
    let flow = Flow::from(pod);
    pull(cable);
    given_up(pod, port);
    reaches_the_switch(pod);
    let flow = flow.end();
    assert!(flow.silence().as_millis() < LONGEST_SILENCE_MS, "{flow:?}");

    plug(cable);
    carrying(pod, &["net1", "net2"]);
    reaches_the_switch(pod);
    report(&format!(
        "{mode:<14} switch: {shape:<6}  cable of {port} out: {:>3} of {:>3} pings lost, one each \
         50 ms; back in: {} of 20 answered",
        flow.lost(),
        flow.sent,
        answered(pod),
    ));
    example.end();
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
fn applying_the_directory_of_the_documented_case_leaves_the_modes_alone() {
    let plan = succeeded(&podbond(&["plan", "-f", EXAMPLES]));
    assert!(plan.contains("bond-net1") && !plan.contains("balance-rr"), "{plan}");
}
