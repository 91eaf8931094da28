//! Which VF is chosen, and who holds those that are not: by records of attachments and claims of plugins.

#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod cards;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Barrier;
use std::thread;

use cards::{CONNECTX6, I82576, Node, pci, policy};
use podbond_inventory::{Error, Occupant, Owner};

/// Two PFs with four VFs each, in the pools `nic0` and `nic1`.
fn node() -> Node {
    let mut node = Node::new().with_card(I82576, 1, &["pf0"]).with_card(I82576, 2, &["pf1"]);
    let policies = [0, 1].map(|n| {
        let spec = format!("resourceName: nic{n}; numVfs: 4; nicSelector: {{pfNames: [pf{n}]}}");
        policy(&format!("p{n}"), &spec)
    });
    let holdings = node.holdings();
    holdings.policies().apply(&mut node, &policies, None).unwrap();
    node
}

/// The VF that a pod's net1 gets from a pool.
fn taken(node: &Node, resource: &str, pod: &str) -> String {
    let record = node.take(resource, node.record(pod, "net1")).unwrap();
    record.devices[0].to_string()
}

#[test]
fn lowest_free_vf_of_the_pool_is_chosen() {
    let node = node();
    assert_eq!(taken(&node, "nic0", "a"), "0000:01:10.0");
    assert_eq!(taken(&node, "nic0", "b"), "0000:01:10.2");
    assert_eq!(taken(&node, "nic0", "c"), "0000:01:10.4");
    node.release(&node.record("b", "net1"));
    assert_eq!(taken(&node, "nic0", "d"), "0000:01:10.2");
    assert_eq!(taken(&node, "nic0", "e"), "0000:01:10.6");
    assert_eq!(taken(&node, "nic1", "f"), "0000:02:10.0");
}

#[test]
fn pool_without_a_free_vf_names_the_holders() {
    let node = node();
    for pod in ["a", "b", "c"] {
        taken(&node, "nic0", pod);
    }
    let circle = node.path("circle");
    std::os::unix::fs::symlink(&circle, &circle).unwrap();
    node.claim(pci("0000:01:10.6"), &circle);
    let error = node.take("nic0", node.record("d", "net1")).unwrap_err();
    assert!(matches!(&error, Error::NoFreeVf { held, .. } if held.len() == 4), "{error}");
    let message = error.to_string();
    assert!(
        message.starts_with("resource nic0 has no free VF (0000:01:10.0: net1 of pod demo/a, "),
        "{message}"
    );
    assert!(message.contains("0000:01:10.6: the pod with network namespace /"), "{message}");
}

#[test]
fn unknown_resource_names_those_that_exist() {
    let node = node();
    let message = node.take("nic9", node.record("a", "net1")).unwrap_err().to_string();
    assert!(
        message
            .starts_with("no policy of this node has resource nic9 (there is nic0, nic1): apply"),
        "{message}"
    );
}

#[test]
fn pod_whose_namespace_is_gone_holds_nothing() {
    let node = node();
    let record = node.take("nic0", node.record("gone", "net1")).unwrap();
    let vf = record.devices[0];
    assert!(matches!(
        node.holdings().holders(&node.seen()).unwrap().of(vf),
        Some(Occupant::Holder(_))
    ));
    node.end_netns(&record);
    assert_eq!(node.holdings().holders(&node.seen()).unwrap().of(vf), None);
    assert_eq!(taken(&node, "nic0", "next"), vf.to_string());
}

#[test]
fn claim_holds_unless_it_names_no_path() {
    let node = node();
    let first = pci("0000:01:10.0");
    for not_a_path in ["\0\0\0\0", "proc/self/ns/net", ""] {
        node.claim(first, not_a_path.as_ref());
        assert_eq!(taken(&node, "nic0", "a"), first.to_string());
        node.release(&node.record("a", "net1"));
    }
    let circle = node.path("circle");
    std::os::unix::fs::symlink(&circle, &circle).unwrap();
    node.claim(first, &circle);
    assert_eq!(taken(&node, "nic0", "a"), "0000:01:10.2");
    let message = node.holdings().choose_this(&node.sysfs(), first).unwrap_err().to_string();
    assert!(message.contains(circle.to_str().unwrap()), "{message}");
}

/// Promise: node-links-kept
#[test]
fn owner_is_a_holder_other_than_oneself_or_else_the_policy() {
    let node = node();
    let owner = |vf: &str, own| node.holdings().owner(&node.sysfs(), pci(vf), own).unwrap();
    let vf = taken(&node, "nic0", "a");
    let own = node.record("a", "net1").attachment();
    assert!(matches!(owner(&vf, None), Some(Owner::Holder(_))));
    let policy = owner(&vf, Some(&own));
    assert!(matches!(policy, Some(Owner::Policy(key)) if key.to_string().ends_with("/p0")));
    let other = owner("0000:02:10.2", None);
    assert!(matches!(other, Some(Owner::Policy(key)) if key.to_string().ends_with("/p1")));
    assert_eq!(owner("0000:01:00.0", None), None, "a PF is no VF");

    let circle = node.path("circle");
    std::os::unix::fs::symlink(&circle, &circle).unwrap();
    node.claim(pci("0000:02:10.2"), &circle);
    assert!(matches!(owner("0000:02:10.2", None), Some(Owner::Holder(_))), "nobody can tell");
}

#[test]
fn vf_whose_link_is_not_on_the_host_is_not_chosen() {
    let node = node();
    let first = pci("0000:01:10.0");
    node.move_away(first);
    let holders = node.holdings().holders(&node.seen()).unwrap();
    assert_eq!(holders.of(first), Some(&Occupant::Unknown));
    assert_eq!(taken(&node, "nic0", "a"), "0000:01:10.2");
}

#[test]
fn vf_that_was_taken_off_the_bus_is_not_chosen() {
    let node = node();
    let first = pci("0000:01:10.0");
    fs::remove_dir_all(node.path(&format!("sys/bus/pci/devices/{first}"))).unwrap();
    assert_eq!(taken(&node, "nic0", "a"), "0000:01:10.2");
}

#[test]
fn vf_for_user_space_has_no_link_and_is_free() {
    let mut node = Node::new().with_card(CONNECTX6, 1, &["ens1f0np0"]);
    let vfio = policy(
        "p",
        "resourceName: r; numVfs: 2; deviceType: vfio-pci; nicSelector: {vendor: \"15b3\"}",
    );
    let holdings = node.holdings();
    holdings.policies().apply(&mut node, &[vfio], None).unwrap();
    assert_eq!(taken(&node, "r", "a"), "0000:01:00.2");
}

#[test]
fn vf_may_be_chosen_by_address_without_any_policy() {
    let mut node = Node::new().with_card(I82576, 1, &["pf0"]);
    node.set_num_vfs("0000:01:00.0", 2);
    let (holdings, sysfs, vf) = (node.holdings(), node.sysfs(), pci("0000:01:10.2"));
    holdings.choose_this(&sysfs, vf).unwrap();
    let record = podbond_record::Record { devices: vec![vf], ..node.record("a", "net1") };
    node.records().write(&record).unwrap();
    let message = holdings.choose_this(&sysfs, vf).unwrap_err().to_string();
    assert_eq!(
        message,
        "VF 0000:01:10.2 is held by net1 of pod demo/a: delete that pod, or name another VF as deviceID"
    );
    node.release(&record);
    holdings.choose_this(&sysfs, vf).unwrap();
}

#[test]
fn what_is_no_vf_cannot_be_chosen() {
    let node = node();
    for address in ["0000:01:00.0", "0000:99:00.0"] {
        let message = node.holdings().choose_this(&node.sysfs(), pci(address)).unwrap_err();
        assert!(message.to_string().starts_with(&format!("deviceID {address} is no virtual")));
    }
}

#[test]
fn attachments_that_race_never_share_a_vf() {
    let mut node = Node::new().with_card(CONNECTX6, 1, &["ens1f0np0"]);
    let eight = policy("p", "resourceName: r; numVfs: 8; nicSelector: {vendor: \"15b3\"}");
    let holdings = node.holdings();
    holdings.policies().apply(&mut node, &[eight], None).unwrap();
    let records: Vec<_> = (0..20).map(|n| node.record(&format!("p{n}"), "net1")).collect();
    let all_here = Barrier::new(records.len());
    let node = &node;
    for _ in 0..5 {
        let taken: Vec<_> = thread::scope(|scope| {
            let racing: Vec<_> = records
                .iter()
                .map(|record| {
                    scope.spawn(|| {
                        all_here.wait();
                        node.take("r", record.clone()).ok()
                    })
                })
                .collect();
            racing.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let taken: Vec<_> = taken.into_iter().flatten().collect();
        let vfs: BTreeSet<_> = taken.iter().map(|record| record.devices[0]).collect();
        assert_eq!((taken.len(), vfs.len()), (8, 8));
        for record in &taken {
            node.release(record);
        }
    }
}
