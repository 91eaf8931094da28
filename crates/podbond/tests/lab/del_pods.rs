//! Pods of the documented case are deleted, whatever has become of them, of their state files and of
//! their VFs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::damage::Damage;
use crate::node::{
    Snapshot, WithNetworks, apply, has_links, interface, ip, pod, podbond, status, succeeded,
    wait_for, words,
};

const NETWORKS: &str = "demo/sriovnet1, demo/sriovnet2, demo/bond-net1";

fn make(name: &str) {
    succeeded(&apply(&pod(name, NETWORKS)));
}

fn delete(name: &str) -> String {
    succeeded(&podbond(&["delete", "pod", name, "-n", "demo"]))
}

/// The state files that a pod adds, but for its addresses': of one that is damaged nobody can tell
/// whose it was.
fn files_of(name: &str) -> Vec<PathBuf> {
    let files = || Snapshot::take().files().iter().cloned().collect::<BTreeSet<_>>();
    let before = files();
    make(name);
    let new = files().into_iter().filter(|path| !before.contains(path));
    new.filter(|path| !path.starts_with("/run/netns"))
        .filter(|path| !path.starts_with("/var/lib/cni/networks"))
        .collect()
}

/// Promise: del-damaged-state
#[test]
fn pod_is_deleted_when_any_state_file_is_damaged() {
    let networks = WithNetworks::new();
    let count = files_of("damaged").len();
    delete("damaged");
    assert!(count >= 8, "{count}");
    for position in 0..count {
        let damage = Damage::ALL[position % Damage::ALL.len()];
        let before = Snapshot::take();
        let files = files_of("damaged");
        let path = &files[position];
        if damage == Damage::Removed && is_known_by_its_file(path) {
            delete("damaged");
            continue;
        }
        damage.befall(path);
        delete("damaged");
        let (after, what) = (Snapshot::take(), format!("{damage:?} {}", path.display()));
        assert_eq!(after, before, "{what}");
    }
    networks.end();
}

/// A pod without its own record is no pod, and an attachment without its record none of a pod's: what
/// sweeps the node finds those.
fn is_known_by_its_file(path: &Path) -> bool {
    path.starts_with("/var/lib/podbond/manifests")
        || path.starts_with("/var/lib/podbond/attachments")
        || path.starts_with("/run/podbond/attachments")
}

/// Promise: del-namespace-gone
#[test]
fn vfs_of_vanished_pods_are_found_by_pci_address() {
    let networks = WithNetworks::new();
    let before = Snapshot::take();
    // Their VFs are all called net1 and net2, on a node that may have one link of each name.
    for name in ["first", "second", "third"] {
        make(name);
    }
    for name in ["first", "second", "third"] {
        ip(&format!("netns del demo.{name}"));
    }
    wait_for("the VFs are back", || has_links("pf0", 4) && has_links("pf1", 4));
    // Two of them are deleted late: others have got their VFs by then.
    delete("second");
    for name in ["fourth", "fifth", "sixth"] {
        make(name);
    }
    let new = status("fourth");
    assert_eq!(interface(&new, "net1")["port"]["bond"], "net3");
    for name in ["third", "first", "fourth", "fifth", "sixth"] {
        delete(name);
    }
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

fn write(path: &str, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{path}: {error}"));
}

fn state_files() -> Vec<PathBuf> {
    Snapshot::take().files().to_vec()
}

/// Promise: del-port-gone
#[test]
fn pod_whose_vf_lost_its_driver_is_deleted() {
    let networks = WithNetworks::with_new_vfs();
    let files = state_files();
    for is_gone in [false, true] {
        make("driverless");
        let pci = words(&interface(&status("driverless"), "net1")["function"]["pci"]);
        let driver = fs::canonicalize(format!("/sys/bus/pci/devices/{pci}/driver")).unwrap();
        write(&driver.join("unbind").to_string_lossy(), &pci);
        if is_gone {
            ip("netns del demo.driverless");
        }
        delete("driverless");
        assert_eq!(state_files(), files);
        // DEL has its driver make the VF's link again.
        wait_for("the VFs have links", || has_links("pf0", 4));
    }
    networks.end();
}

/// Promise: del-port-gone
#[test]
fn pod_whose_vfs_were_recreated_is_deleted() {
    let networks = WithNetworks::with_new_vfs();
    let files = state_files();
    for is_gone in [false, true] {
        make("recreated");
        for pf in ["pf0", "pf1"] {
            write(&format!("/sys/class/net/{pf}/device/sriov_numvfs"), "0");
            write(&format!("/sys/class/net/{pf}/device/sriov_numvfs"), "4");
            wait_for("the VFs have links", || has_links(pf, 4));
        }
        if is_gone {
            ip("netns del demo.recreated");
        }
        delete("recreated");
        assert_eq!(state_files(), files);
        assert!(has_links("pf0", 4) && has_links("pf1", 4));
        // The next pod finds them usable.
        make("next");
        delete("next");
        assert_eq!(state_files(), files);
    }
    networks.end();
}
