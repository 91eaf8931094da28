//! Policies and PF records that cannot be read, as after a loss of power.

#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod cards;

use std::fs;
use std::slice;

use cards::{I82576, Node, policy};
use podbond_api::SriovNetworkNodePolicy;
use podbond_inventory::{Applied, Deleted, Error};

const PF0: &str = "0000:01:00.0";
const POLICY_A: &str = "policies/ops_a.json";
const RECORD_PF0: &str = "pfs/0000:01:00.0.json";

fn apply(node: &mut Node, policy: &SriovNetworkNodePolicy) -> Result<Applied, Error> {
    let holdings = node.holdings();
    holdings.policies().apply(node, slice::from_ref(policy), None)
}

fn delete(node: &mut Node, name: &str) -> Result<Deleted, Error> {
    let holdings = node.holdings();
    holdings.policies().delete(node, &[format!("ops/{name}").parse().unwrap()])
}

fn lines(steps: &[podbond_kernel::Step]) -> Vec<String> {
    steps.iter().map(ToString::to_string).collect()
}

/// Returns a node with two policies, of which these files of the first one hold another text.
fn torn(text: &str, files: &[&str]) -> (Node, [SriovNetworkNodePolicy; 2]) {
    let mut node = Node::new().with_card(I82576, 1, &["pf0"]).with_card(I82576, 2, &["pf1"]);
    let [a, b] = [("a", "pf0"), ("b", "pf1")].map(|(name, pf)| {
        let more = format!("numVfs: 4; nicSelector: {{pfNames: [{pf}]}}");
        policy(name, &format!("resourceName: {name}; {more}"))
    });
    apply(&mut node, &a).unwrap();
    apply(&mut node, &b).unwrap();
    for file in files {
        fs::write(node.path("podbond").join(file), text).unwrap();
    }
    (node, [a, b])
}

/// Promise: torn-policy-record
#[test]
fn unreadable_policy_keeps_no_vf_of_another_from_being_chosen() {
    let (node, _) = torn("", &[POLICY_A, RECORD_PF0]);
    let take = |of: &str| node.take(of, node.record("web", "net1"));
    take("b").unwrap();
    assert!(matches!(take("a"), Err(Error::UnknownResource { .. })));
}

/// Promise: torn-policy-record
#[test]
fn unreadable_policy_is_replaced_or_deleted() {
    for text in ["", "{", "\0\0", "{\"version\": 1}"] {
        let (mut node, [a, _]) = torn(text, &[POLICY_A, RECORD_PF0]);
        // As after the reboot.
        node.set_num_vfs(PF0, 0);
        apply(&mut node, &a).unwrap();
        let (policies, errors) = node.holdings().policies().readable().unwrap();
        assert_eq!((policies.len(), errors.len()), (2, 0));
        let steps = lines(&delete(&mut node, "a").unwrap().steps);
        assert_eq!(steps, ["make 0 VFs of 0000:01:00.0 (were 4)"]);

        let (mut node, _) = torn(text, &[POLICY_A]);
        let deleted = delete(&mut node, "a").unwrap();
        assert_eq!(deleted.unknown, []);
        assert_eq!(lines(&deleted.steps), ["make 0 VFs of 0000:01:00.0 (were 4)"]);
        assert!(!node.path("podbond").join(POLICY_A).exists());

        let (mut node, _) = torn(text, &[POLICY_A, RECORD_PF0]);
        delete(&mut node, "a").unwrap();
        delete(&mut node, "b").unwrap();
        for kind in ["policies", "pfs"] {
            assert_eq!(fs::read_dir(node.path("podbond").join(kind)).unwrap().count(), 0);
        }
    }
}

#[test]
fn two_unreadable_policies_are_named_together() {
    let (mut node, [a, _]) = torn("", &[POLICY_A, "policies/ops_b.json"]);
    let both = "apply or delete SriovNetworkNodePolicy ops/a, ops/b in one command";
    for message in [apply(&mut node, &a).unwrap_err(), delete(&mut node, "b").unwrap_err()] {
        let message = message.to_string();
        assert!(message.ends_with(both), "{message}");
    }
    let holdings = node.holdings();
    let keys = ["ops/a", "ops/b"].map(|key| key.parse().unwrap());
    assert_eq!(holdings.policies().delete(&mut node, &keys).unwrap().unknown, []);
}

#[test]
fn unreadable_policy_keeps_its_vfs() {
    let (mut node, [_, b]) = torn("", &[POLICY_A]);
    let message = apply(&mut node, &b).unwrap_err().to_string();
    let expected = "ops_a.json cannot be read: it is not one SriovNetworkNodePolicy: apply or delete \
                    SriovNetworkNodePolicy ops/a";
    assert!(message.ends_with(expected), "{message}");
    assert_eq!(delete(&mut node, "b").unwrap_err().to_string(), message);
    assert_eq!(node.attribute(PF0, "sriov_numvfs"), "4");
    // Without policies nothing is changed.
    let holdings = node.holdings();
    let policies = holdings.policies();
    assert_eq!(policies.plan(&mut node, &[], None).unwrap().steps.len(), 0);
    assert_eq!(policies.apply(&mut node, &[], None).unwrap().steps.len(), 0);
    assert_eq!(node.attribute(PF0, "sriov_numvfs"), "4");
    let (readable, errors) = policies.readable().unwrap();
    assert_eq!(readable, [b]);
    assert!(matches!(&errors[..], [Error::Unreadable { .. }]), "{errors:?}");
}
