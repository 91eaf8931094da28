//! Records of policies and PFs that a loss of power has torn.

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

/// Two policies in force, and what a loss of power may leave of the first one's records.
fn torn(text: &str, kinds: &[&str]) -> (Node, [SriovNetworkNodePolicy; 2]) {
    let mut node = Node::new().with_card(I82576, 1, &["pf0"]).with_card(I82576, 2, &["pf1"]);
    let [a, b] = [("a", "pf0"), ("b", "pf1")].map(|(name, pf)| {
        let more = format!("numVfs: 4; nicSelector: {{pfNames: [{pf}]}}");
        policy(name, &format!("resourceName: {name}; {more}"))
    });
    apply(&mut node, &a).unwrap();
    apply(&mut node, &b).unwrap();
    for kind in kinds {
        fs::write(node.path("podbond").join(kind), text).unwrap();
    }
    (node, [a, b])
}

#[test]
fn a_torn_record_of_a_policy_keeps_no_vf_of_another_from_being_given_out() {
    let (node, _) = torn("", &[POLICY_A, RECORD_PF0]);
    let take = |of: &str| node.take(of, node.record("web", "net1"));
    take("b").unwrap();
    assert!(matches!(take("a"), Err(Error::UnknownResource { .. })));
}

#[test]
fn a_torn_record_is_mended_by_applying_its_policy_again_and_goes_with_it() {
    for text in ["", "{", "\0\0", "{\"version\": 1}"] {
        let (mut node, [a, _]) = torn(text, &[POLICY_A, RECORD_PF0]);
        // As after the reboot.
        node.set_num_vfs(PF0, 0);
        apply(&mut node, &a).unwrap();
        assert_eq!(node.holdings().policies().stored().unwrap().len(), 2);
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
fn of_two_torn_records_each_names_both() {
    let (mut node, [a, _]) = torn("", &[POLICY_A, "policies/ops_b.json"]);
    let both = "apply or delete SriovNetworkNodePolicy ops/a, ops/b, all in one command;";
    for message in [apply(&mut node, &a).unwrap_err(), delete(&mut node, "b").unwrap_err()] {
        let message = message.to_string();
        assert!(message.contains(both), "{message}");
    }
    let holdings = node.holdings();
    let keys = ["ops/a", "ops/b"].map(|key| key.parse().unwrap());
    assert_eq!(holdings.policies().delete(&mut node, &keys).unwrap().unknown, []);
}

#[test]
fn the_vfs_of_a_policy_whose_record_is_torn_are_not_taken_back_for_another() {
    let (mut node, [_, b]) = torn("", &[POLICY_A]);
    let holdings = node.holdings();
    let message = apply(&mut node, &b).unwrap_err().to_string();
    let told = "ops_a.json is damaged: it holds no single SriovNetworkNodePolicy: apply or delete \
                SriovNetworkNodePolicy ops/a first;";
    assert!(message.contains(told), "{message}");
    assert_eq!(delete(&mut node, "b").unwrap_err().to_string(), message);
    assert_eq!(node.attribute(PF0, "sriov_numvfs"), "4");
    // To apply no policy changes nothing.
    let planned = holdings.policies().plan(&mut node, &[], None).unwrap();
    assert_eq!(lines(&planned.steps), [""; 0]);
    let (readable, damaged) = holdings.policies().readable().unwrap();
    assert_eq!(readable, [b]);
    assert!(matches!(&damaged[..], [Error::Damaged { .. }]), "{damaged:?}");
}
