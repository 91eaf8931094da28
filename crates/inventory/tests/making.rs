//! Policies are applied and deleted on simulated cards: VFs are created, kept and removed.

#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod cards;

use std::collections::BTreeMap;
use std::fs;

use cards::{CONNECTX5, I82576, Node, X710, pci, policy};
use podbond_api::SriovNetworkNodePolicy;
use podbond_inventory::{Applied, Cards, Deleted, Error};

const PF0: &str = "0000:01:00.0";
const PF1: &str = "0000:02:00.0";
/// The first VF of each.
const PF0_VF0: &str = "0000:01:10.0";

fn lab() -> Node {
    Node::new().with_card(I82576, 1, &["pf0"]).with_card(I82576, 2, &["pf1"])
}

fn one(name: &str, more: &str) -> SriovNetworkNodePolicy {
    policy(name, &format!("resourceName: {name}; numVfs: 4; {more}"))
}

fn apply(node: &mut Node, policies: &[SriovNetworkNodePolicy]) -> Result<Applied, Error> {
    let holdings = node.holdings();
    holdings.policies().apply(node, policies, None)
}

fn delete(node: &mut Node, name: &str) -> Result<Deleted, Error> {
    let holdings = node.holdings();
    holdings.policies().delete(node, &[format!("ops/{name}").parse().unwrap()])
}

fn stored(node: &Node) -> Vec<SriovNetworkNodePolicy> {
    let (policies, errors) = node.holdings().policies().readable().unwrap();
    assert!(errors.is_empty(), "{errors:?}");
    policies
}

fn lines(steps: &[podbond_kernel::Step]) -> Vec<String> {
    steps.iter().map(ToString::to_string).collect()
}

#[test]
fn policy_creates_its_vfs_and_sets_their_macs() {
    let mut node = lab();
    node.write(PF0, "net/pf0/flags", "0x1002");
    let applied = apply(&mut node, &[one("a", "nicSelector: {pfNames: [pf0]}")]).unwrap();
    let steps = lines(&applied.steps);
    assert_eq!(steps[0], "make 4 VFs of 0000:01:00.0 (were 0)");
    assert_eq!(steps[1], "bring pf0 (host) up");
    assert_eq!(steps[2], "set VF 0 of pf0 to mac 02:00:00:01:00:00 (was mac 00:00:00:00:00:00)");
    assert_eq!(steps.len(), 6);
    assert_eq!(
        (node.attribute(PF0, "sriov_numvfs"), node.attribute(PF1, "sriov_numvfs")),
        ("4".into(), "0".into())
    );
    let inventory = Cards::inventory(&mut node).unwrap();
    assert!(inventory.pfs[0].vfs.iter().all(|vf| vf.admin_mac == vf.link.as_ref().unwrap().mac));
}

#[test]
fn applying_again_changes_nothing() {
    let mut node = lab();
    let policies = [
        one("a", "mtu: 9000; nicSelector: {pfNames: [pf0]}"),
        one("b", "deviceType: vfio-pci; nicSelector: {pfNames: [pf1]}"),
    ];
    let holdings = node.holdings();
    let first = holdings.policies().plan(&mut node, &policies, None).unwrap();
    assert_eq!(first.steps.len(), 3, "{:?}", lines(&first.steps));
    assert_eq!(node.attribute(PF0, "sriov_numvfs"), "0", "a plan changes nothing");
    assert!(!apply(&mut node, &policies).unwrap().steps.is_empty());
    assert_eq!(lines(&apply(&mut node, &policies).unwrap().steps), [""; 0]);
    // Also when a pod has taken a VF's link away, and given it another name there.
    let record = node.take("a", node.record("web", "net1")).unwrap();
    node.move_away(record.devices[0]);
    assert_eq!(lines(&apply(&mut node, &policies).unwrap().steps), [""; 0]);
}

#[test]
fn mtu_is_raised_on_the_pf_and_set_on_its_vfs() {
    let mut node = lab();
    let policy_a = one("a", "mtu: 9000; nicSelector: {pfNames: [pf0]}");
    let steps = lines(&apply(&mut node, &[policy_a]).unwrap().steps);
    assert_eq!(steps[0], "set mtu of pf0 (host) to 9000 (was 1500)");
    assert_eq!(node.attribute(PF0, "net/pf0/mtu"), "9000");
    assert_eq!(node.attribute(PF0_VF0, "net/v1p0v0/mtu"), "9000");
    // A smaller one does not lower the PF's.
    apply(&mut node, &[one("a", "mtu: 1500; nicSelector: {pfNames: [pf0]}")]).unwrap();
    assert_eq!(node.attribute(PF0, "net/pf0/mtu"), "9000");
    assert_eq!(node.attribute(PF0_VF0, "net/v1p0v0/mtu"), "1500");
}

#[test]
fn driver_is_bound_by_the_device_type() {
    let mut node = lab();
    let driver = |node: &Node| {
        let vfs = &node.seen().pfs[0].vfs;
        vfs.iter().map(|vf| vf.driver.clone().unwrap()).collect::<Vec<_>>()
    };
    let selector = "nicSelector: {pfNames: [\"pf0#0-1\"]}";
    apply(&mut node, &[one("a", &format!("deviceType: vfio-pci; {selector}"))]).unwrap();
    assert_eq!(driver(&node), ["vfio-pci", "vfio-pci", "igbvf", "igbvf"]);
    apply(&mut node, &[one("a", selector)]).unwrap();
    assert_eq!(driver(&node), ["igbvf"; 4]);
}

#[test]
fn deleting_a_policy_restores_its_pf() {
    let mut node = lab();
    node.set_num_vfs(PF0, 2);
    apply(&mut node, &[one("a", "mtu: 9000; nicSelector: {pfNames: [pf0]}")]).unwrap();
    apply(&mut node, &[one("b", "nicSelector: {pfNames: [pf1]}")]).unwrap();
    let steps = lines(&delete(&mut node, "a").unwrap().steps);
    assert_eq!(
        steps,
        ["make 2 VFs of 0000:01:00.0 (were 4)", "set mtu of pf0 (host) to 1500 (was 9000)"]
    );
    assert_eq!(node.attribute(PF1, "sriov_numvfs"), "4", "another policy's VFs stay");
    assert_eq!(
        lines(&delete(&mut node, "b").unwrap().steps),
        ["make 0 VFs of 0000:02:00.0 (were 4)"]
    );
    assert_eq!(stored(&node), []);
    let again = delete(&mut node, "b").unwrap();
    assert_eq!((again.steps.len(), again.unknown.len()), (0, 1));
    let records = fs::read_dir(node.path("podbond/pfs")).unwrap().count();
    assert_eq!(records, 0, "restored PFs have no record");
}

#[test]
fn deleting_a_policy_restores_the_driver() {
    let mut node = Node::new().with_card(CONNECTX5, 1, &["ens1f0np0"]);
    node.set_num_vfs(PF0, 4);
    apply(&mut node, &[one("a", "deviceType: vfio-pci; nicSelector: {vendor: \"15b3\"}")]).unwrap();
    assert!(node.seen().pfs[0].vfs.iter().all(podbond_inventory::Vf::is_userspace));
    delete(&mut node, "a").unwrap();
    let inventory = node.seen();
    let vfs = &inventory.pfs[0].vfs;
    assert!(vfs.iter().all(|vf| vf.driver.as_deref() == Some("mlx5_core")), "{vfs:?}");
}

#[test]
fn external_vfs_are_only_pooled() {
    let mut node = lab();
    node.set_num_vfs(PF0, 4);
    let external = one("a", "externallyManaged: true; mtu: 1400; nicSelector: {pfNames: [pf0]}");
    assert_eq!(lines(&apply(&mut node, &[external]).unwrap().steps), [""; 0]);
    let record = node.take("a", node.record("web", "net1")).unwrap();
    assert_eq!(record.devices, [pci(PF0_VF0)]);
    let refused = delete(&mut node, "a").unwrap_err().to_string();
    assert!(refused.contains("deleting SriovNetworkNodePolicy ops/a"), "{refused}");
    node.end_netns(&record);
    assert_eq!(lines(&delete(&mut node, "a").unwrap().steps), [""; 0]);
    assert_eq!(node.attribute(PF0, "sriov_numvfs"), "4");
}

#[test]
fn change_that_would_take_a_held_vf_is_refused() {
    let mut node = lab();
    let a = |more: &str| {
        policy("a", &format!("resourceName: a; nicSelector: {{pfNames: [pf0]}}; {more}"))
    };
    apply(&mut node, &[a("numVfs: 4")]).unwrap();
    let record = node.take("a", node.record("web", "net1")).unwrap();
    let by_pod = "while net1 of pod demo/web holds VF 0 (0000:01:10.0): delete the pod first";
    let refusals = [
        (apply(&mut node, &[a("numVfs: 6")]), "ops/a: spec.numVfs: making 6 VFs of pf0 (now 4)"),
        (apply(&mut node, &[a("numVfs: 4; mtu: 9000")]), "ops/a: spec.mtu: raising the MTU of pf0"),
    ];
    for (refused, what) in refusals {
        let message = refused.unwrap_err().to_string();
        assert!(message.contains(what) && message.contains(by_pod), "{message}");
    }
    let message = delete(&mut node, "a").unwrap_err().to_string();
    assert!(message.contains("ops/a") && message.contains(by_pod), "{message}");
    assert_eq!(node.attribute(PF0, "sriov_numvfs"), "4");
    // The other card is free all the same, although no link of pf0's VF is to be seen.
    node.move_away(record.devices[0]);
    apply(&mut node, &[one("b", "nicSelector: {pfNames: [pf1]}")]).unwrap();
    node.release(&record);
    let message = delete(&mut node, "a").unwrap_err().to_string();
    assert!(message.contains("a network namespace that is not in any record"), "{message}");
}

#[test]
fn failed_step_undoes_all() {
    let mut node = lab();
    node.fails = Some("make 4 VFs of 0000:02:00.0");
    let both = [
        one("a", "mtu: 9000; nicSelector: {pfNames: [pf0]}"),
        one("b", "nicSelector: {pfNames: [pf1]}"),
    ];
    let message = apply(&mut node, &both).unwrap_err().to_string();
    assert!(message.contains("fails by request"), "{message}");
    assert_eq!(
        (node.attribute(PF0, "sriov_numvfs"), node.attribute(PF0, "net/pf0/mtu")),
        ("0".into(), "1500".into())
    );
    assert_eq!(stored(&node), []);
    assert_eq!(fs::read_dir(node.path("podbond/pfs")).unwrap().count(), 0);
    node.fails = None;
    apply(&mut node, &both).unwrap();
    assert_eq!(stored(&node).len(), 2);
}

#[test]
fn vf_without_a_driver_is_refused() {
    let mut node = lab();
    node.binds_vfs = false;
    let message = apply(&mut node, &[one("a", "nicSelector: {pfNames: [pf0]}")]).unwrap_err();
    let message = message.to_string();
    assert!(
        message.starts_with("VF 0 of pf0 (0000:01:10.0) has no network interface"),
        "{message}"
    );
    assert!(message.contains("(driver: none): load the card's VF driver"), "{message}");
    assert_eq!(node.attribute(PF0, "sriov_numvfs"), "0");
}

#[test]
fn vf_may_be_renamed_while_it_is_set_up() {
    let mut node = lab();
    node.renames = Some(("v1p0v2", "enp1s0f0v2"));
    apply(&mut node, &[one("a", "mtu: 9000; nicSelector: {pfNames: [pf0]}")]).unwrap();
    let inventory = node.seen();
    let vfs = &inventory.pfs[0].vfs;
    assert!(vfs.iter().all(|vf| vf.link.as_ref().unwrap().mtu == 9000), "{vfs:?}");
    assert_eq!(vfs[2].link.as_ref().unwrap().name.as_str(), "enp1s0f0v2");
}

#[test]
fn refused_policies_change_nothing() {
    let mut node = lab();
    let policies = [
        one("a", "nicSelector: {pfNames: [pf0]}"),
        policy("b", "resourceName: b; numVfs: 8; nicSelector: {pfNames: [pf1]}"),
    ];
    let message = apply(&mut node, &policies).unwrap_err().to_string();
    assert!(message.contains("spec.numVfs is 8, but pf1 can have 7 VFs"), "{message}");
    assert_eq!(node.attribute(PF0, "sriov_numvfs"), "0");
    apply(&mut node, &policies[..1]).unwrap();
    let message =
        apply(&mut node, &[one("c", "nicSelector: {pfNames: [pf0]}")]).unwrap_err().to_string();
    assert!(message.contains("overlap VFs 0-3 of policy ops/"), "{message}");
    assert_eq!(stored(&node), [policies[0].clone()]);
}

#[test]
fn policy_for_other_nodes_is_not_applied() {
    let mut node = lab();
    let holdings = node.holdings();
    let here = one("a", "nodeSelector: {zone: \"1\"}; nicSelector: {pfNames: [pf0]}");
    let there = one("b", "nodeSelector: {zone: \"2\"}; nicSelector: {pfNames: [pf1]}");
    let labels = BTreeMap::from([("zone".to_owned(), "1".to_owned())]);
    let both = [here.clone(), there];
    let applied = holdings.policies().apply(&mut node, &both, Some(&labels)).unwrap();
    assert_eq!(applied.not_for_node, ["ops/b".parse().unwrap()]);
    assert_eq!(applied.selector_not_looked_at, []);
    assert_eq!(stored(&node), [here]);
    let applied = holdings.policies().apply(&mut node, &both, None).unwrap();
    assert_eq!(applied.not_for_node, []);
    assert_eq!(applied.selector_not_looked_at.len(), 2);
    // A policy that no longer selects the node is undone.
    let moved = one("b", "nodeSelector: {zone: \"3\"}; nicSelector: {pfNames: [pf1]}");
    let applied = holdings.policies().apply(&mut node, &[moved], Some(&labels)).unwrap();
    assert_eq!(lines(&applied.steps), ["make 0 VFs of 0000:02:00.0 (were 4)"]);
}

#[test]
fn applying_after_a_reboot_creates_the_vfs_again() {
    let mut node = Node::new().with_card(X710, 1, &["ens1f0", "ens1f1"]);
    let selector = "nicSelector: {rootDevices: [\"0000:01:00.0\"]}";
    apply(&mut node, &[one("a", selector)]).unwrap();
    node.set_num_vfs(PF0, 0);
    let message = node.take("a", node.record("web", "net1")).unwrap_err();
    assert!(message.to_string().contains("apply its SriovNetworkNodePolicy again"), "{message}");
    apply(&mut node, &[one("a", selector)]).unwrap();
    assert_eq!(node.attribute(PF0, "sriov_numvfs"), "4");
    delete(&mut node, "a").unwrap();
    assert_eq!(node.attribute(PF0, "sriov_numvfs"), "0");
}

#[test]
fn values_that_were_changed_since_are_not_restored() {
    let mut node = lab();
    node.set_num_vfs(PF0, 2);
    apply(&mut node, &[one("a", "mtu: 9000; nicSelector: {pfNames: [pf0]}")]).unwrap();
    node.set_num_vfs(PF0, 0);
    node.write(PF0, "net/pf0/mtu", "4000");
    assert_eq!(lines(&delete(&mut node, "a").unwrap().steps), [""; 0]);
}

#[test]
fn held_vf_is_unchanged() {
    let mut node = lab();
    let selector = "nicSelector: {pfNames: [pf0]}";
    apply(&mut node, &[one("a", selector)]).unwrap();
    node.take("a", node.record("web", "net1")).unwrap();
    apply(&mut node, &[one("a", &format!("mtu: 1400; {selector}"))]).unwrap();
    let inventory = node.seen();
    let mtus = inventory.pfs[0].vfs.iter().map(|vf| vf.link.as_ref().unwrap().mtu);
    assert_eq!(mtus.collect::<Vec<_>>(), [1500, 1400, 1400, 1400]);
}

#[test]
fn removed_card_keeps_no_other_policy_from_its_vfs() {
    let mut node = lab();
    let policies =
        [one("a", "nicSelector: {pfNames: [pf0]}"), one("b", "nicSelector: {pfNames: [pf1]}")];
    apply(&mut node, &policies).unwrap();
    fs::remove_file(node.path("sys/bus/pci/devices").join(PF0)).unwrap();
    assert_eq!(
        lines(&delete(&mut node, "b").unwrap().steps),
        ["make 0 VFs of 0000:02:00.0 (were 4)"]
    );
    let message = apply(&mut node, &policies[..1]).unwrap_err().to_string();
    assert!(message.contains("ops/a: spec.nicSelector matches no PF"), "{message}");
}

#[test]
fn deleting_an_unknown_policy_changes_nothing() {
    let mut node = lab();
    apply(&mut node, &[one("a", "nicSelector: {pfNames: [pf0]}")]).unwrap();
    node.set_num_vfs(PF0, 0);
    let deleted = delete(&mut node, "unknown").unwrap();
    assert_eq!((lines(&deleted.steps), deleted.unknown.len()), (vec![], 1));
    assert_eq!(node.attribute(PF0, "sriov_numvfs"), "0");
}

#[test]
fn policy_that_no_longer_fits_keeps_no_other_from_its_vfs() {
    type Change = fn(&mut Node);
    let external = |more: &str| {
        let external = "externallyManaged: true; nicSelector: {pfNames: [pf0]}";
        one("a", &format!("{external}; {more}"))
    };
    let misfits: [(SriovNetworkNodePolicy, Change); 4] = [
        // As after a reboot, before the external VFs exist.
        (external(""), |node| node.set_num_vfs(PF0, 0)),
        (external("mtu: 9000"), |node| node.write(PF0, "net/pf0/mtu", "1500")),
        (external("linkType: eth"), |node| node.write(PF0, "net/pf0/type", "32")),
        (one("a", "nicSelector: {pfNames: [pf0]}"), |node| {
            node.set_num_vfs(PF0, 0);
            node.write(PF0, "sriov_totalvfs", "2");
        }),
    ];
    for (misfit, change) in misfits {
        let mut node = lab();
        node.set_num_vfs(PF0, 4);
        node.write(PF0, "net/pf0/mtu", "9000");
        let b = one("b", "nicSelector: {pfNames: [pf1]}");
        apply(&mut node, &[misfit.clone(), b.clone()]).unwrap();
        change(&mut node);
        node.release(&node.take("b", node.record("web", "net1")).unwrap());
        apply(&mut node, &[b]).unwrap();
        let number = |name| node.attribute(PF0, name).parse::<u16>().unwrap();
        assert!(number("sriov_numvfs") <= number("sriov_totalvfs"), "no card makes so many");
        apply(&mut node, &[misfit]).unwrap_err();
        delete(&mut node, "b").unwrap();
        delete(&mut node, "a").unwrap();
        assert_eq!(stored(&node), []);
    }
}
