//! Which PFs a policy selects and which VFs it gets, on the cards people have.

mod cards;

use cards::{CONNECTX5, CONNECTX6, E810, I82576, I82599, Model, Node, X710, policy};
use podbond_api::SriovNetworkNodePolicy;
use podbond_inventory::{Assignment, assign};

fn assigned(node: &Node, policies: &[SriovNetworkNodePolicy]) -> Assignment {
    assign(policies, &node.seen()).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(node: &Node, policies: &[SriovNetworkNodePolicy]) -> String {
    match assign(policies, &node.seen()) {
        Err(error) => error.to_string(),
        Ok(assignment) => panic!("was accepted: {assignment:?}"),
    }
}

/// `<PF> <numVfs>: <resource> <VFs>, …` for each PF.
fn summary(assignment: &Assignment) -> Vec<String> {
    let group = |group: &podbond_inventory::VfGroup| format!("{} {}", group.resource, group.vfs);
    let pf = |pf: &podbond_inventory::PfAssignment| {
        let groups: Vec<_> = pf.groups.iter().map(group).collect();
        format!("{} {}: {}", pf.pf, pf.num_vfs, groups.join(", "))
    };
    assignment.pfs.iter().map(pf).collect()
}

/// One card of each maker, and one that has no SR-IOV.
fn mixed_node() -> Node {
    Node::new()
        .with_plain_card(0x01, "eno1")
        .with_card(X710, 0x3b, &["ens1f0", "ens1f1"])
        .with_card(CONNECTX5, 0x5e, &["ens2f0np0", "ens2f1np1"])
        .with_card(I82599, 0xaf, &["ens3f0", "ens3f1"])
}

#[test]
fn every_model_is_read() {
    let models: [(Model, &str, &str, &str); 6] = [
        (X710, "8086:1572", "0000:3b:02.0 0000:3b:02.1", "0000:3b:0a.0 0000:3b:0a.1"),
        (E810, "8086:159b", "0000:3b:01.0 0000:3b:01.1", "0000:3b:11.0 0000:3b:11.1"),
        (CONNECTX5, "15b3:1017", "0000:3b:00.2 0000:3b:00.3", "0000:3b:01.2 0000:3b:01.3"),
        (CONNECTX6, "15b3:101d", "0000:3b:00.2 0000:3b:00.3", "0000:3b:01.2 0000:3b:01.3"),
        (I82576, "8086:10c9", "0000:3b:10.0 0000:3b:10.2", "0000:3b:10.1 0000:3b:10.3"),
        (I82599, "8086:10fb", "0000:3b:10.0 0000:3b:10.2", "0000:3b:10.1 0000:3b:10.3"),
    ];
    for (model, ids, first, second) in models {
        let mut node = Node::new().with_card(model, 0x3b, &["ens1f0np0", "ens1f1np1"]);
        node.set_num_vfs("0000:3b:00.0", 2);
        node.set_num_vfs("0000:3b:00.1", 2);
        let inventory = node.seen();
        let [pf0, pf1] = &inventory.pfs[..] else { panic!("{ids}: {inventory:?}") };
        assert_eq!(format!("{}:{}", pf0.vendor, pf0.device), ids);
        assert_eq!(pf0.driver.as_deref(), Some(model.driver), "{ids}");
        assert_eq!((pf0.total_vfs, pf0.num_vfs), (model.total_vfs, 2), "{ids}");
        assert_eq!(pf0.label(), "ens1f0np0");
        for (pf, expected) in [(pf0, first), (pf1, second)] {
            let vfs: Vec<_> = pf.vfs.iter().map(|vf| vf.pci.to_string()).collect();
            assert_eq!(vfs.join(" "), expected, "{ids}");
            assert!(pf.vfs.iter().all(|vf| vf.driver.as_deref() == Some(model.vf_driver)));
            assert!(pf.vfs.iter().all(|vf| vf.link.is_some()));
        }
    }
}

#[test]
fn each_selector_field_narrows() {
    let cases = [
        ("{vendor: \"15b3\"}", vec!["0000:5e:00.0", "0000:5e:00.1"]),
        ("{deviceID: \"10fb\"}", vec!["0000:af:00.0", "0000:af:00.1"]),
        ("{vendor: \"8086\", deviceID: \"1572\"}", vec!["0000:3b:00.0", "0000:3b:00.1"]),
        (
            "{rootDevices: [\"0000:5e:00.1\", \"0000:af:00.0\"]}",
            vec!["0000:5e:00.1", "0000:af:00.0"],
        ),
        ("{pfNames: [ens1f1, ens2f0np0]}", vec!["0000:3b:00.1", "0000:5e:00.0"]),
        ("{vendor: \"15b3\", pfNames: [ens1f1, ens2f0np0]}", vec!["0000:5e:00.0"]),
    ];
    let node = mixed_node();
    for (selector, expected) in cases {
        let policy = policy("p", &format!("resourceName: r; numVfs: 2; nicSelector: {selector}"));
        let assignment = assigned(&node, &[policy]);
        let pfs: Vec<_> = assignment.pfs.iter().map(|pf| pf.pf.to_string()).collect();
        assert_eq!(pfs, expected, "{selector}");
    }
}

#[test]
fn documented_policies_use_a_pf_each() {
    let node = Node::new().with_card(I82576, 1, &["pf0"]).with_card(I82576, 2, &["pf1"]);
    let policies = [
        policy("policy-pf0", "resourceName: sriovnic1; numVfs: 4; nicSelector: {pfNames: [pf0]}"),
        policy("policy-pf1", "resourceName: sriovnic2; numVfs: 4; nicSelector: {pfNames: [pf1]}"),
    ];
    assert_eq!(
        summary(&assigned(&node, &policies)),
        ["0000:01:00.0 4: sriovnic1 0-3", "0000:02:00.0 4: sriovnic2 0-3"]
    );
}

#[test]
fn policies_share_a_pf_by_ranges() {
    let policies = [
        policy(
            "b",
            "resourceName: dpdk; numVfs: 8; nicSelector: {pfNames: [\"ens1f0#4-7\"]}; deviceType: vfio-pci",
        ),
        policy(
            "a",
            "resourceName: net; numVfs: 6; mtu: 9000; nicSelector: {pfNames: [\"ens1f0#0-3\", ens1f1]}",
        ),
    ];
    let assignment = assigned(&mixed_node(), &policies);
    assert_eq!(
        summary(&assignment),
        ["0000:3b:00.0 8: net 0-3, dpdk 4-7", "0000:3b:00.1 6: net 0-5"]
    );
    assert_eq!(assignment.pfs[0].mtu, Some(9000));
}

#[test]
fn resource_may_span_pfs_and_policies() {
    let mut node = mixed_node();
    node.set_num_vfs("0000:3b:00.0", 2);
    node.set_num_vfs("0000:5e:00.1", 2);
    let policies = [
        policy("a", "resourceName: r; numVfs: 2; nicSelector: {pfNames: [\"ens1f0#1-1\"]}"),
        policy("b", "resourceName: r; numVfs: 2; nicSelector: {rootDevices: [\"0000:5e:00.1\"]}"),
    ];
    let inventory = node.seen();
    let assignment = assign(&policies, &inventory).unwrap();
    let pool = assignment.pool(&"r".parse().unwrap(), &inventory);
    let vfs: Vec<_> = pool.iter().map(|(_, vf)| vf.pci.to_string()).collect();
    assert_eq!(vfs, ["0000:3b:02.1", "0000:5e:01.2", "0000:5e:01.3"]);
}

#[test]
fn lower_priority_number_wins() {
    let policies = [
        policy("wide", "resourceName: w; priority: 50; numVfs: 8; nicSelector: {vendor: \"8086\"}"),
        policy(
            "narrow",
            "resourceName: n; priority: 10; numVfs: 4; nicSelector: {pfNames: [ens1f0]}",
        ),
    ];
    let assignment = assigned(&mixed_node(), &policies);
    assert_eq!(
        summary(&assignment),
        [
            "0000:3b:00.0 4: n 0-3",
            "0000:3b:00.1 8: w 0-7",
            "0000:af:00.0 8: w 0-7",
            "0000:af:00.1 8: w 0-7"
        ]
    );
    let overridden = &assignment.overridden[0];
    assert_eq!(assignment.overridden.len(), 1);
    assert_eq!((overridden.policy.name.as_str(), overridden.by.name.as_str()), ("wide", "narrow"));
}

#[test]
fn impossible_policy_is_refused_with_field_and_remedy() {
    let node = mixed_node();
    let ens1f0 = |more: &str| {
        policy("p", &format!("resourceName: r; nicSelector: {{pfNames: [ens1f0]}}; {more}"))
    };
    let absent = policy("p", "resourceName: r; numVfs: 1; nicSelector: {pfNames: [ens9f0]}");
    let cases = [
        (absent, "spec.nicSelector matches no PF of this node (ens1f0 0000:3b:00.0 8086:1572, "),
        (ens1f0("numVfs: 65"), "spec.numVfs is 65, but ens1f0 can have 64 VFs: lower it"),
        (ens1f0("numVfs: 1; linkType: ib"), "spec.linkType is ib, but the link of ens1f0 is of"),
        (ens1f0("numVfs: 1; externallyManaged: true"), "spec.numVfs is 1, but ens1f0 has 0 VFs"),
    ];
    for (policy, expected) in cases {
        let message = refusal(&node, &[policy]);
        assert!(message.starts_with("SriovNetworkNodePolicy ops/p: "), "{message}");
        assert!(message.contains(expected), "{message}");
    }
    let no_card = Node::new().with_plain_card(1, "eno1");
    let message = refusal(&no_card, &[ens1f0("numVfs: 1")]);
    assert!(message.contains("(none has SR-IOV)"), "{message}");
}

#[test]
fn overlapping_ranges_are_refused() {
    let named = |name: &str, range: &str, more: &str| {
        let selector = format!("{{pfNames: [\"ens1f0{range}\"]}}");
        policy(name, &format!("resourceName: {name}; numVfs: 8; nicSelector: {selector}; {more}"))
    };
    let wide = |more: &str| {
        policy(
            "w",
            &format!("resourceName: w; numVfs: 8; nicSelector: {{vendor: \"8086\"}}; {more}"),
        )
    };
    let cases = [
        vec![named("a", "#0-3", "priority: 1"), named("b", "#3-5", "priority: 2")],
        vec![named("a", "", "priority: 1"), named("b", "", "priority: 2")],
        vec![named("a", "#0-3", "priority: 5"), wide("priority: 5")],
    ];
    for policies in cases {
        let message = refusal(&mixed_node(), &policies);
        assert!(message.contains("of ens1f0, which overlap VFs"), "{message}");
        assert!(message.contains("pfNames, as ens1f0#0-3"), "{message}");
    }
    let own = policy(
        "o",
        "resourceName: o; numVfs: 8; nicSelector: {pfNames: [\"ens1f0#0-3\", \"ens1f0#2-5\"]}",
    );
    let message = refusal(&mixed_node(), &[own]);
    assert!(message.contains("takes VFs 2-5 of ens1f0, which overlap VFs 0-3"), "{message}");
}

#[test]
fn policies_of_a_pf_agree_on_externally_managed() {
    let mut node = mixed_node();
    node.set_num_vfs("0000:3b:00.0", 8);
    let policies = [
        policy("a", "resourceName: a; numVfs: 8; nicSelector: {pfNames: [\"ens1f0#0-3\"]}"),
        policy(
            "b",
            "resourceName: b; numVfs: 8; nicSelector: {pfNames: [\"ens1f0#4-7\"]}; externallyManaged: true",
        ),
    ];
    let message = refusal(&node, &policies);
    assert!(
        message.contains("spec.externallyManaged differs from that of policy ops/a"),
        "{message}"
    );
    assert_eq!(summary(&assigned(&node, &policies[1..])), ["0000:3b:00.0 8: b 4-7"]);
}

#[test]
fn representors_are_skipped() {
    let node = Node::new().with_card(CONNECTX6, 0x5e, &["ens2f0np0"]);
    for (file, value) in
        [("phys_port_name", "pf0vf1"), ("mtu", "1500"), ("flags", "0x1002"), ("type", "1")]
    {
        node.write("0000:5e:00.0", &format!("net/aaa_rep/{file}"), value);
    }
    assert_eq!(node.seen().pfs[0].label(), "ens2f0np0");
}
