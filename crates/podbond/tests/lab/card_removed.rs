//! A card that goes while a pod has a VF of it keeps no pod from being deleted, and serves again once
//! it is back.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::node::{
    EXAMPLES, Snapshot, WithNetworks, has_links, ip, podbond, status, succeeded, wait_for, words,
};

/// The PF pf0, taken out of the node's PCI bus until it is put back.
struct Card {
    pci: PathBuf,
    was_up: bool,
}

impl Card {
    fn of_pf0() -> Self {
        let pci = fs::canonicalize("/sys/class/net/pf0/device").unwrap();
        let flags = ip("-j link show pf0");
        let flags: Value = serde_json::from_str(&flags).unwrap();
        let was_up = flags[0]["flags"].as_array().unwrap().contains(&"UP".into());
        Self { pci, was_up }
    }

    /// As when it is pulled out: its VFs go with it, also from the pods that have them.
    fn remove(&self) {
        fs::write(self.pci.join("remove"), "1").unwrap();
        wait_for("pf0 is gone", || !Path::new("/sys/class/net/pf0").exists());
    }

    /// As the lab had it.
    fn put_back(&self) {
        fs::write("/sys/bus/pci/rescan", "1").unwrap();
        let link = || fs::read_dir(self.pci.join("net")).ok()?.next()?.ok();
        wait_for("the card has a link", || link().is_some());
        let name = link().unwrap().file_name().into_string().unwrap();
        if name != "pf0" {
            ip(&format!("link set {name} down"));
            ip(&format!("link set {name} name pf0"));
        }
        if self.was_up {
            ip("link set pf0 up");
        }
    }
}

/// Makes and deletes the documented pod, whose VFs of pf0 go meanwhile, with what creates them again.
/// Gives the state files before and after.
fn deleted_without_its_vf(take: impl FnOnce(), put_back: impl FnOnce()) {
    let before = Snapshot::take();
    let manifest = format!("{EXAMPLES}/bondpod1.yaml");
    succeeded(&podbond(&["apply", "-f", &manifest]));
    take();
    // One port of the bond is left, and the commands show it.
    let pod = status("bondpod1");
    let links = pod["interfaces"].as_array().unwrap().iter();
    let links: Vec<String> = links.map(|link| words(&link["name"])).collect();
    assert!(links.contains(&"net2".to_owned()) && !links.contains(&"net1".to_owned()), "{links:?}");
    assert_eq!(podbond(&["doctor"]).status.code(), Some(4));
    succeeded(&podbond(&["delete", "pod", "bondpod1", "-n", "demo"]));
    assert_eq!(Snapshot::take().files(), before.files());
    assert!(has_links("pf1", 4));
    put_back();
    succeeded(&podbond(&["apply", "-f", &format!("{EXAMPLES}/policies.yaml")]));
    wait_for("the VFs are back", || has_links("pf0", 4));
    succeeded(&podbond(&["apply", "-f", &manifest]));
    assert_eq!(status("bondpod1")["networkStatus"].as_array().unwrap().len(), 4);
    succeeded(&podbond(&["delete", "pod", "bondpod1", "-n", "demo"]));
    assert_eq!(Snapshot::take().files(), before.files());
}

/// Promise: del-card-removed
#[test]
fn pod_whose_card_was_removed_is_deleted() {
    let networks = WithNetworks::with_new_vfs();
    let card = Card::of_pf0();
    deleted_without_its_vf(|| card.remove(), || card.put_back());
    networks.end();
}

/// Promise: del-port-gone
#[test]
fn pod_whose_vfs_were_removed_is_deleted() {
    let networks = WithNetworks::with_new_vfs();
    let vfs = |number: &str| fs::write("/sys/class/net/pf0/device/sriov_numvfs", number).unwrap();
    deleted_without_its_vf(|| vfs("0"), || vfs("4"));
    networks.end();
}
