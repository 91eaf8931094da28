use super::super::testing::{bond, finding, is, port};
use super::*;

fn two(net1: PortState, net2: PortState, active: &str) -> BondStatus {
    bond("net3", Some(active), [is(net1, port("net1", 0)), is(net2, port("net2", 1))])
}

fn well() -> BondStatus {
    two(PortState::Up, PortState::Up, "net1")
}

fn told(before: &BondStatus, after: &BondStatus) -> Vec<(EventType, &'static str, String)> {
    let told = changes(std::slice::from_ref(before), std::slice::from_ref(after));
    told.into_iter().map(|change| (change.kind, change.reason, change.note)).collect()
}

fn expect_one(before: &BondStatus, after: &BondStatus, kind: EventType, reason: &str, note: &str) {
    let told = told(before, after);
    let [(told_kind, told_reason, told_note)] = told.as_slice() else { panic!("{told:#?}") };
    assert_eq!((*told_kind, *told_reason), (kind, reason));
    assert_eq!(told_note, note);
}

#[test]
fn nothing_changed_and_nothing_is_told() {
    assert_eq!(changes(&[well()], &[well()]), []);
    assert_eq!(changes(&[], &[well()]), [], "a new bond");
    assert_eq!(changes(&[well()], &[]), [], "after its DEL");
}

#[test]
fn fail_over_names_both_ports_and_the_cause() {
    let mut after = two(PortState::NoCarrier, PortState::Up, "net2");
    after.findings.push(FindingStatus {
        reason: "it is down, so that net1 can carry nothing".to_owned(),
        remedy: "bring it up with `ip link set <PF> up`, and see who took it down".to_owned(),
        ..finding("pf-down", "pf", "pf0")
    });
    expect_one(
        &well(),
        &after,
        EventType::Warning,
        "BondFailover",
        "bond net3 failed over to port net2 (VF 0 of PF pf1, 0000:02:10.0): port net1 (VF 0 of PF pf0, \
         0000:01:10.0) has no carrier; 1 of 2 ports is up, and the next failure takes the bond; PF pf0: it is \
         down, so that net1 can carry nothing: bring it up with `ip link set <PF> up`, and see who took it down",
    );
}

#[test]
fn fail_over_without_a_loss_is_normal() {
    expect_one(
        &well(),
        &two(PortState::Up, PortState::Up, "net2"),
        EventType::Normal,
        "BondFailover",
        "bond net3 uses port net2 (VF 0 of PF pf1, 0000:02:10.0) now, and port net1 (VF 0 of PF pf0, \
         0000:01:10.0) before",
    );
}

#[test]
fn lost_backup_port_is_a_warning_with_a_remedy() {
    expect_one(
        &well(),
        &two(PortState::Up, PortState::NoCarrier, "net1"),
        EventType::Warning,
        "BondPortDown",
        "bond net3: port net2 (VF 0 of PF pf1, 0000:02:10.0) has no carrier; 1 of 2 ports is up, and the next \
         failure takes the bond; see whether its PF has carrier, and what link_state its VF has",
    );
    let mut unanswered = two(PortState::Up, PortState::NoAnswer, "net1");
    assert!(told(&well(), &unanswered)[0].2.contains("arpIpTarget"));
    unanswered.ports[1].state = PortState::Down;
    assert!(told(&well(), &unanswered)[0].2.contains("`ip link set net2 up`"));
}

#[test]
fn port_that_is_going_down_or_coming_up_is_not_told() {
    let going = two(PortState::Up, PortState::GoingDown, "net1");
    let coming = two(PortState::Up, PortState::ComingUp, "net1");
    let lost = two(PortState::Up, PortState::NoCarrier, "net1");
    assert_eq!(told(&well(), &going), []);
    assert_eq!(told(&coming, &well()), []);
    assert_eq!(told(&going, &lost)[0].1, "BondPortDown");
    assert_eq!(told(&coming, &lost)[0].1, "BondPortDown");
    assert_eq!(told(&lost, &coming)[0].1, "BondPortUp");
}

#[test]
fn port_that_is_back_is_normal() {
    expect_one(
        &two(PortState::NoCarrier, PortState::Up, "net2"),
        &two(PortState::Up, PortState::Up, "net2"),
        EventType::Normal,
        "BondPortUp",
        "bond net3: port net1 (VF 0 of PF pf0, 0000:01:10.0) is back; 2 of 2 ports are up",
    );
}

#[test]
fn no_port_left_is_one_warning_about_the_bond() {
    let before = two(PortState::NoCarrier, PortState::Up, "net2");
    let after = BondStatus {
        state: BondState::NoCarrier,
        active_port: None,
        ..two(PortState::NoCarrier, PortState::NoCarrier, "net2")
    };
    expect_one(
        &before,
        &after,
        EventType::Warning,
        "BondDown",
        "bond net3 has no port left: the pod has no network over it; port net2 (VF 0 of PF pf1, 0000:02:10.0) has \
         no carrier; port net1 (VF 0 of PF pf0, 0000:01:10.0) has no carrier; see whether its PF has carrier, and \
         what link_state its VF has",
    );
    // Both at once.
    assert_eq!(told(&well(), &after).len(), 1);
    assert_eq!(told(&after, &after), []);
    // One that never came up.
    let new = BondStatus { state: BondState::ComingUp, ..after.clone() };
    assert_eq!(told(&new, &after)[0].1, "BondDown");
}

#[test]
fn first_port_back_is_one_event_about_the_bond() {
    let before = BondStatus {
        state: BondState::NoCarrier,
        active_port: None,
        ..two(PortState::NoCarrier, PortState::NoCarrier, "net1")
    };
    expect_one(
        &before,
        &two(PortState::Up, PortState::NoCarrier, "net1"),
        EventType::Normal,
        "BondUp",
        "bond net3 is up again over port net1 (VF 0 of PF pf0, 0000:01:10.0): 1 of 2 ports is up",
    );
}

#[test]
fn port_back_and_fail_back_in_one_change_are_both_told() {
    let before = two(PortState::NoCarrier, PortState::Up, "net2");
    let told = told(&before, &well());
    let reasons: Vec<_> = told.iter().map(|(kind, reason, _)| (*kind, *reason)).collect();
    let normal = EventType::Normal;
    assert_eq!(reasons, [(normal, "BondFailover"), (normal, "BondPortUp")]);
}

#[test]
fn port_taken_out_by_hand_is_told_once() {
    let mut after = bond("net3", Some("net2"), [port("net2", 1)]);
    after.findings.push(FindingStatus {
        reason: "net1 is no port of net3".to_owned(),
        ..finding("bond-differs", "bond", "net3")
    });
    let of_backup = two(PortState::Up, PortState::Up, "net2");
    expect_one(
        &of_backup,
        &after,
        EventType::Warning,
        "BondPortRemoved",
        "bond net3: port net1 (VF 0 of PF pf0, 0000:01:10.0) was taken out of it; its one port is up, and the next \
         failure takes the bond; bond net3: net1 is no port of net3: look at it",
    );
    // The active one: the fail-over says it.
    assert_eq!(told(&well(), &after).len(), 1);
    assert_eq!(told(&well(), &after)[0].1, "BondFailover");
    // And given back.
    assert_eq!(told(&after, &of_backup)[0].1, "BondPortAdded");
}

#[test]
fn bond_removed_or_set_down_by_hand_is_told_once() {
    let difference = vec![finding("bond-differs", "bond", "net3")];
    for (state, words) in
        [(BondState::Missing, "not in the pod any more"), (BondState::Down, "down by")]
    {
        let after = BondStatus { state, findings: difference.clone(), ..well() };
        let told = told(&well(), &after);
        assert_eq!((told.len(), told[0].1), (1, "BondDown"));
        assert!(told[0].2.contains(words), "{}", told[0].2);
    }
}

#[test]
fn new_findings_are_told_but_for_notes() {
    let mut after = well();
    after.findings = vec![
        finding("ports-share-a-pf", "pf", "pf0"),
        FindingStatus { severity: Severity::Note, ..finding("mtu-below-ports", "key", "mtu") },
    ];
    let expected = "bond net3: PF pf0: it has ports-share-a-pf: look at it (ports-share-a-pf)";
    expect_one(&well(), &after, EventType::Warning, "BondFinding", expected);
    assert_eq!(told(&after, &after), []);
    // A new bond's.
    assert_eq!(changes(&[], std::slice::from_ref(&after))[0].reason, "BondFinding");
}

#[test]
fn each_bond_is_compared_with_itself() {
    let other = bond("net4", Some("net1"), [port("net1", 0)]);
    let after = two(PortState::Up, PortState::NoCarrier, "net1");
    let told = changes(&[other.clone(), well()], &[after, other]);
    assert_eq!(told.len(), 1);
    assert!(told[0].note.starts_with("bond net3: "));
}
