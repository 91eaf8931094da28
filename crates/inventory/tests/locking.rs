//! A policy changes no VF while a plugin works on it: the locks of sriov-cni, and what a runtime claims
//! meanwhile. And which administrative MAC addresses are set.

mod cards;

use std::fs;
use std::os::unix::fs::symlink;
use std::thread;
use std::time::Duration;

use cards::{I82576, Node, pci, policy};
use podbond_api::SriovNetworkNodePolicy;
use podbond_inventory::{Applied, Error};
use podbond_record::VfLocks;

const PF0: &str = "0000:01:00.0";
/// Its first VF, and its third.
const VF0: &str = "0000:01:10.0";
const VF2: &str = "0000:01:10.4";

/// A card with four VFs.
fn node() -> Node {
    let mut node = Node::new().with_card(I82576, 1, &["pf0"]);
    node.set_num_vfs(PF0, 4);
    node
}

fn wanted(num_vfs: u16) -> [SriovNetworkNodePolicy; 1] {
    let spec = format!("resourceName: a; numVfs: {num_vfs}; nicSelector: {{pfNames: [pf0]}}");
    [policy("a", &spec)]
}

fn apply(node: &mut Node, num_vfs: u16, timeout: Duration) -> Result<Applied, Error> {
    let holdings = node.holdings().with_vf_timeout(timeout);
    holdings.policies().apply(node, &wanted(num_vfs), None)
}

fn lines(applied: &Applied) -> Vec<String> {
    applied.steps.iter().map(ToString::to_string).collect()
}

/// Promise: policy-waits-for-add
#[test]
fn policy_names_the_process_that_works_on_a_vf() {
    let mut node = node();
    let locks = VfLocks::new(&node.path("cni-sriov"));
    let _add = locks.lock(pci(VF2)).unwrap();
    for num_vfs in [2, 4] {
        let error = apply(&mut node, num_vfs, Duration::from_millis(20)).unwrap_err().to_string();
        let expected = format!("VF 2 of pf0 ({VF2}) cannot be changed: ");
        let holder = format!("is locked by process {}", std::process::id());
        assert!(error.starts_with(&expected) && error.contains(&holder), "{error}");
    }
    assert_eq!(node.attribute(PF0, "sriov_numvfs"), "4");
    assert!(node.holdings().policies().readable().unwrap().0.is_empty(), "it is not stored");
    assert_eq!(fs::read_dir(node.path("podbond/pfs")).unwrap().count(), 0);
    // Those that were taken before are free again.
    locks.lock(pci(VF0)).unwrap();
}

/// Promise: policy-waits-for-add
#[test]
fn vf_that_a_runtime_claims_meanwhile_is_kept() {
    let mut node = node();
    let locks = VfLocks::new(&node.path("cni-sriov"));
    let add = locks.lock(pci(VF2)).unwrap();
    // A namespace of which nobody can tell whether it is alive.
    let netns = node.path("circle");
    symlink(&netns, &netns).unwrap();
    let claims = node.path("cni-sriov/pci");
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(200));
            fs::write(claims.join(VF2), netns.to_str().unwrap()).unwrap();
            drop(add);
        });
        apply(&mut node, 2, Duration::from_mins(1))
    });
    let error = result.unwrap_err().to_string();
    assert!(
        error.contains("while the pod with network namespace") && error.contains(VF2),
        "{error}"
    );
    assert_eq!(node.attribute(PF0, "sriov_numvfs"), "4");
}

#[test]
fn policy_that_changes_nothing_waits_for_nobody() {
    let mut node = node();
    assert!(!apply(&mut node, 4, Duration::ZERO).unwrap().steps.is_empty());
    let locks = VfLocks::new(&node.path("cni-sriov"));
    let _add = locks.lock(pci(VF2)).unwrap();
    assert_eq!(lines(&apply(&mut node, 4, Duration::ZERO).unwrap()), [""; 0]);
}

/// A PF may make up the address that it shows of a VF, and another one at the VF's next reset.
#[test]
fn mac_that_the_pf_shows_is_set_once_nevertheless() {
    let mut node = node();
    node.show_macs();
    let timeout = Duration::ZERO;
    let steps = lines(&apply(&mut node, 4, timeout).unwrap());
    let expected = "set VF 0 of pf0 to mac 02:00:00:01:00:00 (was mac 02:00:00:01:00:00)";
    assert!(steps.iter().any(|step| step == expected), "{steps:?}");
    assert_eq!(steps.iter().filter(|step| step.starts_with("set VF ")).count(), 4);
    assert_eq!(lines(&apply(&mut node, 4, timeout).unwrap()), [""; 0]);
    // As after a reboot, and a policy with another number: the VFs are new.
    for made in [4, 3] {
        node.set_num_vfs(PF0, 0);
        let steps = lines(&apply(&mut node, made, timeout).unwrap());
        let set = steps.iter().filter(|step| step.starts_with("set VF ")).count();
        assert_eq!(set, usize::from(made), "{steps:?}");
    }
}
