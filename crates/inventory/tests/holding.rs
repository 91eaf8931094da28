//! Who holds which VF: allocation, claims, and records of others.

#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod cards;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Barrier;
use std::thread;

use cards::{CONNECTX6, I82576, Node, pci, policy};
use podbond_api::ResourceName;
use podbond_inventory::{Error, Holder, Occupant};

/// Two PFs with four VFs each, in the pools `nic0` and `nic1`.
fn node() -> Node {
    let mut node = Node::new().with_card(I82576, 1, &["pf0"]).with_card(I82576, 2, &["pf1"]);
    let policies = [0, 1].map(|n| {
        let spec = format!("resourceName: nic{n}; numVfs: 4; nicSelector: {{pfNames: [pf{n}]}}");
        policy(&format!("p{n}"), &spec)
    });
    let ledger = node.ledger();
    ledger.policies().apply(&mut node, &policies, None).unwrap();
    node
}

fn nic0() -> ResourceName {
    "nic0".parse().unwrap()
}

#[test]
fn the_lowest_free_vf_of_the_pool_is_given() {
    let node = node();
    let (ledger, sysfs) = (node.ledger(), node.sysfs());
    let take = |pod: &str| ledger.allocate(&sysfs, &nic0(), &node.holder(pod, "net1")).unwrap();
    assert_eq!(take("a"), pci("0000:01:10.0"));
    assert_eq!(take("b"), pci("0000:01:10.2"));
    assert_eq!(take("c"), pci("0000:01:10.4"));
    ledger.release(pci("0000:01:10.2"), &node.holder("b", "net1")).unwrap();
    assert_eq!(take("d"), pci("0000:01:10.2"));
    assert_eq!(take("e"), pci("0000:01:10.6"));
    let other = ledger.allocate(&sysfs, &"nic1".parse().unwrap(), &node.holder("a", "net2"));
    assert_eq!(other.unwrap(), pci("0000:02:10.0"));
}

#[test]
fn one_attachment_gets_one_vf_however_often_it_asks() {
    let node = node();
    let (ledger, sysfs) = (node.ledger(), node.sysfs());
    let net1 = node.holder("a", "net1");
    let first = ledger.allocate(&sysfs, &nic0(), &net1).unwrap();
    assert_eq!(ledger.allocate(&sysfs, &nic0(), &net1).unwrap(), first);
    let net2 = ledger.allocate(&sysfs, &nic0(), &node.holder("a", "net2")).unwrap();
    assert_ne!(net2, first);
    // Two sandboxes of one pod may live at once: they are two holders.
    let mut second_sandbox = net1.clone();
    second_sandbox.container_id = "another".to_owned();
    assert!(![first, net2].contains(&ledger.allocate(&sysfs, &nic0(), &second_sandbox).unwrap()));
}

#[test]
fn a_pool_without_a_free_vf_says_who_holds_them() {
    let node = node();
    let (ledger, sysfs) = (node.ledger(), node.sysfs());
    for pod in ["a", "b", "c"] {
        ledger.allocate(&sysfs, &nic0(), &node.holder(pod, "net1")).unwrap();
    }
    node.plugin_records(pci("0000:01:10.6"), &node.holder("old", "net1").netns);
    let error = ledger.allocate(&sysfs, &nic0(), &node.holder("d", "net1")).unwrap_err();
    assert!(matches!(&error, Error::NoFreeVf { held, .. } if held.len() == 4), "{error}");
    let message = error.to_string();
    assert!(
        message.starts_with("resource nic0 has no free VF (0000:01:10.0: pod demo/a (net1), "),
        "{message}"
    );
    assert!(message.contains("0000:01:10.6: the pod with network namespace /"), "{message}");
}

#[test]
fn an_unknown_resource_is_answered_with_those_that_there_are() {
    let node = node();
    let unknown = "nic9".parse().unwrap();
    let error = node.ledger().allocate(&node.sysfs(), &unknown, &node.holder("a", "net1"));
    let message = error.unwrap_err().to_string();
    assert!(
        message.starts_with("resource nic9 is not known on this node (nic0, nic1): apply"),
        "{message}"
    );
}

#[test]
fn a_pod_whose_namespace_is_gone_holds_nothing() {
    let node = node();
    let (ledger, sysfs) = (node.ledger(), node.sysfs());
    let gone = node.holder("gone", "net1");
    let vf = ledger.allocate(&sysfs, &nic0(), &gone).unwrap();
    fs::remove_file(&gone.netns).unwrap();
    assert_eq!(ledger.holders(&node.seen()).unwrap().of(vf), None);
    let next = node.holder("next", "net1");
    assert_eq!(ledger.allocate(&sysfs, &nic0(), &next).unwrap(), vf);
    // The late DEL of the first does not take it from the second.
    ledger.release(vf, &gone).unwrap();
    assert_eq!(ledger.holders(&node.seen()).unwrap().of(vf), Some(&Occupant::Pod(next)));
}

#[test]
fn a_namespace_that_was_unmounted_holds_nothing_though_its_file_stayed() {
    let node = node();
    let (ledger, sysfs) = (node.ledger(), node.sysfs());
    let gone = Holder { netns: "/proc/self/status".into(), ..node.holder("gone", "net1") };
    let vf = ledger.allocate(&sysfs, &nic0(), &gone).unwrap();
    let of_plugin = pci("0000:01:10.2");
    node.plugin_records(of_plugin, &gone.netns);
    let left: Vec<_> =
        ledger.left_over(&node.seen()).unwrap().into_iter().map(|left| left.0).collect();
    assert_eq!(left, [vf, of_plugin]);
    assert_eq!(ledger.allocate(&sysfs, &nic0(), &node.holder("a", "net1")).unwrap(), vf);
    assert_eq!(ledger.allocate(&sysfs, &nic0(), &node.holder("b", "net1")).unwrap(), of_plugin);
}

#[test]
fn a_namespace_that_cannot_be_looked_at_holds_its_vf() {
    let node = node();
    let (ledger, sysfs) = (node.ledger(), node.sysfs());
    let circle = node.path("circle");
    std::os::unix::fs::symlink(&circle, &circle).unwrap();
    let unseen = Holder { netns: circle, ..node.holder("unseen", "net1") };
    ledger.allocate(&sysfs, &nic0(), &unseen).unwrap();
    let of_plugin = pci("0000:01:10.2");
    node.plugin_records(of_plugin, &unseen.netns);
    assert_eq!(ledger.left_over(&node.seen()).unwrap(), []);
    let next = ledger.allocate(&sysfs, &nic0(), &node.holder("a", "net1")).unwrap();
    assert_eq!(next, pci("0000:01:10.4"));
}

#[test]
fn a_plugins_record_that_names_no_path_holds_nothing() {
    let node = node();
    let vf = pci("0000:01:10.0");
    for torn in
        ["\0\0\0\0".to_owned(), "proc/self/ns/net".to_owned(), format!("/{}", "x".repeat(5000))]
    {
        node.plugin_records(vf, torn.as_ref());
        let holder = node.holder("a", "net1");
        assert_eq!(node.ledger().allocate(&node.sysfs(), &nic0(), &holder).unwrap(), vf);
        node.ledger().release(vf, &holder).unwrap();
    }
}

#[test]
fn a_plugins_record_counts_as_long_as_its_namespace_is_there() {
    let node = node();
    let (ledger, sysfs) = (node.ledger(), node.sysfs());
    let (first, second) = (pci("0000:01:10.0"), pci("0000:01:10.2"));
    let living = node.holder("old", "net1").netns;
    node.plugin_records(first, &living);
    node.plugin_records(second, &node.path("netns-that-never-was"));
    let new = node.holder("new", "net1");
    assert_eq!(ledger.allocate(&sysfs, &nic0(), &new).unwrap(), second);
    let message = ledger.claim(&sysfs, first, &new).unwrap_err().to_string();
    assert!(message.contains(living.to_str().unwrap()), "{message}");
}

#[test]
fn a_vf_whose_link_is_not_on_the_host_is_not_given() {
    let node = node();
    let first = pci("0000:01:10.0");
    node.move_away(first);
    let (ledger, sysfs) = (node.ledger(), node.sysfs());
    assert_eq!(ledger.holders(&node.seen()).unwrap().of(first), Some(&Occupant::Unknown));
    let vf = ledger.allocate(&sysfs, &nic0(), &node.holder("a", "net1")).unwrap();
    assert_eq!(vf, pci("0000:01:10.2"));
}

#[test]
fn a_vf_that_was_taken_off_the_bus_is_not_given() {
    let node = node();
    let first = pci("0000:01:10.0");
    fs::remove_dir_all(node.path(&format!("sys/bus/pci/devices/{first}"))).unwrap();
    let holder = node.holder("a", "net1");
    let vf = node.ledger().allocate(&node.sysfs(), &nic0(), &holder).unwrap();
    assert_eq!(vf, pci("0000:01:10.2"));
}

#[test]
fn a_vf_for_user_space_has_no_link_and_is_free() {
    let mut node = Node::new().with_card(CONNECTX6, 1, &["ens1f0np0"]);
    let vfio = policy(
        "p",
        "resourceName: r; numVfs: 2; deviceType: vfio-pci; nicSelector: {vendor: \"15b3\"}",
    );
    let ledger = node.ledger();
    ledger.policies().apply(&mut node, &[vfio], None).unwrap();
    let vf = ledger.allocate(&node.sysfs(), &"r".parse().unwrap(), &node.holder("a", "net1"));
    assert_eq!(vf.unwrap(), pci("0000:01:00.2"));
}

#[test]
fn a_vf_may_be_claimed_by_address_without_any_policy() {
    let mut node = Node::new().with_card(I82576, 1, &["pf0"]);
    node.set_num_vfs("0000:01:00.0", 2);
    let (ledger, sysfs) = (node.ledger(), node.sysfs());
    let vf = pci("0000:01:10.2");
    let (a, b) = (node.holder("a", "net1"), node.holder("b", "net1"));
    ledger.claim(&sysfs, vf, &a).unwrap();
    ledger.claim(&sysfs, vf, &a).unwrap();
    let message = ledger.claim(&sysfs, vf, &b).unwrap_err().to_string();
    assert_eq!(
        message,
        "VF 0000:01:10.2 is held by pod demo/a (net1): delete that pod, or name another VF as deviceID"
    );
    ledger.release(vf, &a).unwrap();
    ledger.release(vf, &a).unwrap();
    ledger.claim(&sysfs, vf, &b).unwrap();
}

#[test]
fn a_claimed_vf_is_not_given_from_its_pool() {
    let node = node();
    let (ledger, sysfs) = (node.ledger(), node.sysfs());
    ledger.claim(&sysfs, pci("0000:01:10.0"), &node.holder("a", "net1")).unwrap();
    let vf = ledger.allocate(&sysfs, &nic0(), &node.holder("b", "net1")).unwrap();
    assert_eq!(vf, pci("0000:01:10.2"));
}

#[test]
fn what_is_no_vf_cannot_be_claimed() {
    let node = node();
    for address in ["0000:01:00.0", "0000:99:00.0"] {
        let claimed = node.ledger().claim(&node.sysfs(), pci(address), &node.holder("a", "net1"));
        let message = claimed.unwrap_err().to_string();
        assert!(message.starts_with(&format!("deviceID {address} is no virtual")), "{message}");
    }
}

#[test]
fn attachments_that_race_never_share_a_vf() {
    let mut node = Node::new().with_card(CONNECTX6, 1, &["ens1f0np0"]);
    let eight = policy("p", "resourceName: r; numVfs: 8; nicSelector: {vendor: \"15b3\"}");
    let ledger = node.ledger();
    ledger.policies().apply(&mut node, &[eight], None).unwrap();
    let (sysfs, resource) = (node.sysfs(), "r".parse().unwrap());
    let holders: Vec<_> = (0..20).map(|n| node.holder(&format!("p{n}"), "net1")).collect();
    let all_here = Barrier::new(holders.len());
    let take = |holder| {
        all_here.wait();
        ledger.allocate(&sysfs, &resource, holder).ok()
    };
    for _ in 0..5 {
        let given: Vec<_> = thread::scope(|scope| {
            let racing: Vec<_> =
                holders.iter().map(|holder| scope.spawn(|| take(holder))).collect();
            racing.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let vfs: Vec<_> = given.iter().flatten().collect();
        assert_eq!(vfs.len(), 8);
        assert_eq!(vfs.iter().collect::<BTreeSet<_>>().len(), 8);
        for (vf, holder) in given.iter().zip(&holders) {
            vf.map_or(Ok(()), |vf| ledger.release(vf, holder)).unwrap();
        }
    }
}

#[test]
fn a_damaged_record_keeps_no_vf_from_being_given_out_or_back() {
    let node = node();
    let (ledger, sysfs, vf) = (node.ledger(), node.sysfs(), pci("0000:01:10.0"));
    let a = node.holder("a", "net1");
    let path = node.path("podbond/vfs/0000:01:10.0.json");
    for text in ["", "{", "{\"version\": 1}", "{\"version\": 2}", "\0"] {
        assert_eq!(ledger.allocate(&sysfs, &nic0(), &a).unwrap(), vf);
        fs::write(&path, text).unwrap();
        ledger.claim(&sysfs, vf, &a).unwrap();
        fs::write(&path, text).unwrap();
        ledger.release(vf, &a).unwrap();
        assert!(!path.exists(), "{text:?}");
    }
}

#[test]
fn the_vf_of_a_damaged_record_is_not_given_to_another_while_its_pod_lives() {
    let node = node();
    let (ledger, vf) = (node.ledger(), pci("0000:01:10.0"));
    fs::create_dir_all(node.path("podbond/vfs")).unwrap();
    fs::write(node.path("podbond/vfs/0000:01:10.0.json"), "{").unwrap();
    node.move_away(vf);
    let given = ledger.allocate(&node.sysfs(), &nic0(), &node.holder("b", "net1")).unwrap();
    assert_ne!(given, vf);
}

#[test]
fn what_a_sandbox_has_is_struck_out_without_knowing_which_vfs_these_are() {
    let node = node();
    let (ledger, sysfs) = (node.ledger(), node.sysfs());
    for (pod, interface) in [("a", "net1"), ("a", "net2"), ("b", "net1")] {
        ledger.allocate(&sysfs, &nic0(), &node.holder(pod, interface)).unwrap();
    }
    ledger.release_all(&node.holder("a", "net1").container_id).unwrap();
    let holders = ledger.holders(&node.seen()).unwrap();
    let held: Vec<_> = holders.iter().map(|(vf, occupant)| format!("{vf}: {occupant}")).collect();
    assert_eq!(held, ["0000:01:10.4: pod demo/b (net1)"]);
    ledger.release_all("unknown").unwrap();
}

#[test]
fn holds_of_pods_that_are_gone_are_left_behind_and_no_others() {
    let node = node();
    let (ledger, sysfs) = (node.ledger(), node.sysfs());
    let take = |vf: &str, pod: &str, netns: &str| {
        let holder = Holder { netns: netns.into(), ..node.holder(pod, "net1") };
        ledger.claim(&sysfs, pci(vf), &holder).unwrap();
        (pci(vf), holder)
    };
    take("0000:01:10.0", "alive", "/proc/self/ns/net");
    // What is no namespace is what a namespace leaves that was removed.
    let removed = take("0000:01:10.2", "removed", "/proc/self/status");
    let dead = take("0000:01:10.4", "dead", "/run/netns/no-such");
    let torn = node.path("podbond/vfs/0000:09:00.0.json");
    fs::write(&torn, "").unwrap();
    let (left, errors) = ledger.left_behind();
    assert_eq!(left, [removed, dead]);
    let [Error::Damaged { path, .. }] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(*path, torn);
    for (vf, holder) in &left {
        ledger.release(*vf, holder).unwrap();
    }
    assert_eq!(ledger.left_behind().0, []);
}
