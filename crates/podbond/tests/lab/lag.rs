//! Bonds that use all ports at once, against a static link aggregation: which port carries what, as
//! counted at both ends of the cables.

use crate::cables::{
    Frames, GATEWAY, Switch, answered, carrying, reaches_the_switch, report, send_64_flows,
};
use crate::modes::Example;
use crate::node::{interface, words};

const PORTS: [&str; 2] = ["net1", "net2"];

/// What went through a cable.
#[derive(Debug)]
struct Cable {
    /// As the pod's port counts it.
    pod: Frames,
    /// As the switch's port does.
    switch: Frames,
}

/// What goes through each cable while `send` runs.
fn through_each_cable(pod: &str, send: impl FnOnce()) -> Vec<Cable> {
    let netns = format!("demo.{pod}");
    let count = || {
        let ends = PORTS.into_iter().zip(["sw0", "sw1"]);
        ends.map(|(port, switch)| (Frames::of(&netns, port), Frames::of("switch", switch)))
            .collect::<Vec<_>>()
    };
    let before = count();
    send();
    let both = count().into_iter().zip(before);
    both.map(|(now, before)| Cable { pod: now.0.since(before.0), switch: now.1.since(before.1) })
        .collect()
}

#[test]
fn balance_rr_sends_every_other_frame_over_each_port() {
    let _switch = Switch::wired("lag");
    let example = Example::applied("balance-rr");
    carrying("balance-rr", &PORTS);
    reaches_the_switch("balance-rr");
    let cables = through_each_cable("balance-rr", || assert_eq!(answered("balance-rr"), 20));
    report(&format!("balance-rr, 20 pings: {cables:?}"));
    for Cable { pod, switch } in &cables {
        // Half of 20, and what neighbours ask of each other meanwhile.
        assert!((9..=15).contains(&pod.tx) && (9..=15).contains(&switch.rx), "{cables:?}");
    }
    example.end();
}

#[test]
fn balance_xor_spreads_flows_over_both_ports_in_both_directions() {
    let _switch = Switch::wired("lag");
    let example = Example::applied("balance-xor");
    let seen = carrying("balance-xor", &PORTS);
    reaches_the_switch("balance-xor");
    // Some of 64: a hash need not give a half.
    let enough = 12..;
    let sent = through_each_cable("balance-xor", || send_64_flows("demo.balance-xor", GATEWAY));
    report(&format!("balance-xor, 64 flows out: {sent:?}"));
    for Cable { pod, switch } in &sent {
        assert!(enough.contains(&pod.tx) && enough.contains(&switch.rx), "{sent:?}");
    }
    let addresses = interface(&seen, "bond0")["addresses"].as_array().unwrap().clone();
    let address = addresses.iter().map(words).find(|address| address.starts_with("10.56.217."));
    let address = address.unwrap().split('/').next().unwrap().to_owned();
    let got = through_each_cable("balance-xor", || send_64_flows("switch", &address));
    report(&format!("balance-xor, 64 flows in: {got:?}"));
    for Cable { pod, switch } in &got {
        assert!(enough.contains(&pod.rx) && enough.contains(&switch.tx), "{got:?}");
    }
    example.end();
}
