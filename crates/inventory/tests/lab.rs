//! Policies on real cards: run by `cargo xtask test` as root, in the virtual machine, whose PFs
//! pf0 and pf1 have no VFs at the start.

#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use podbond_api::{Object, SriovNetworkNodePolicy, read_manifests};
use podbond_inventory::{Applied, Cards, Error, Holdings, Inventory, Occupant};
use podbond_kernel::{Apply, Kernel, LinkRef, LinkState, NamedNetns, Netns, NetnsIdentity, Step};
use podbond_names::{Mac, PciAddress};
use podbond_record::{Holder, Record, Records};
use serde_json::json;
use tempfile::TempDir;

/// The lab's node with a state directory of its own; its policies are deleted at the end.
struct Node {
    kernel: Kernel,
    state: TempDir,
}

impl Node {
    fn new() -> Self {
        Self { kernel: Kernel::host().unwrap(), state: TempDir::new().unwrap() }
    }

    fn records(&self) -> Records {
        Records::new(self.state.path(), &self.state.path().join("run"))
    }

    fn holdings(&self) -> Holdings {
        Holdings::new(self.state.path(), self.records(), &self.state.path().join("sriov"))
    }

    fn apply(&mut self, spec: &str) -> Result<Applied, Error> {
        let policy = policy(spec);
        self.holdings().policies().apply(&mut self.kernel, &[policy], None)
    }

    fn delete(&mut self) -> Result<Vec<Step>, Error> {
        let keys = ["ops/p".parse().unwrap()];
        let deleted = self.holdings().policies().delete(&mut self.kernel, &keys)?;
        Ok(deleted.steps)
    }

    fn inventory(&mut self) -> Inventory {
        Cards::inventory(&mut self.kernel).unwrap()
    }

    fn pf(&mut self, name: &str) -> podbond_inventory::Pf {
        self.inventory().pfs.into_iter().find(|pf| pf.label() == name).unwrap()
    }
}

impl Drop for Node {
    /// A VF comes back to the host some time after the namespace that held it is gone.
    fn drop(&mut self) {
        let end = Instant::now() + Duration::from_secs(20);
        while let Err(error) = self.delete() {
            let still_held = matches!(error, Error::InUse { .. }) && Instant::now() < end;
            assert!(still_held || thread::panicking(), "{error}");
            if !still_held {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn policy(spec: &str) -> SriovNetworkNodePolicy {
    let text = format!(
        "{{apiVersion: sriovnetwork.openshift.io/v1, kind: SriovNetworkNodePolicy, \
         metadata: {{name: p, namespace: ops}}, spec: {{resourceName: r, {spec}}}}}"
    );
    match read_manifests(&text, "test").unwrap().remove(0) {
        Object::SriovNetworkNodePolicy(policy) => policy,
        other => panic!("not a policy: {other:?}"),
    }
}

fn record(netns: &Path) -> Record {
    let record = json!({
        "containerId": "id-of-web", "ifname": "net1", "state": "active",
        "pod": {"namespace": "demo", "name": "web"}, "network": "n",
        "netns": NetnsIdentity::of(netns).unwrap(),
    });
    serde_json::from_value(record).unwrap()
}

fn macs(pf: &podbond_inventory::Pf) -> Vec<(Option<Mac>, Option<Mac>)> {
    pf.vfs.iter().map(|vf| (vf.link.as_ref().and_then(|link| link.mac), vf.admin_mac)).collect()
}

#[test]
fn policy_creates_vfs_and_deleting_it_removes_them() {
    let mut node = Node::new();
    let before = node.pf("pf0");
    assert_eq!((before.num_vfs, before.total_vfs), (0, 7));
    assert!(!node.apply("numVfs: 4, nicSelector: {pfNames: [pf0]}").unwrap().steps.is_empty());
    let pf = node.pf("pf0");
    assert_eq!((pf.num_vfs, pf.vfs.len()), (4, 4));
    assert_eq!(pf.link.as_ref().unwrap().state, LinkState::Up);
    for (own, kept) in macs(&pf) {
        assert!(own.is_some_and(|mac| mac != Mac::ZERO) && own == kept, "{own:?} {kept:?}");
    }
    let again = node.apply("numVfs: 4, nicSelector: {pfNames: [pf0]}").unwrap();
    assert_eq!(again.steps, [], "applying again changes nothing");
    assert_eq!(node.pf("pf1").num_vfs, 0);
    node.delete().unwrap();
    assert_eq!(node.pf("pf0").num_vfs, 0);
}

#[test]
fn mtu_is_raised_and_restored() {
    let mut node = Node::new();
    let spec = "numVfs: 2, mtu: 4000, nicSelector: {vendor: \"8086\", pfNames: [pf0]}";
    node.apply(spec).unwrap();
    let pf = node.pf("pf0");
    assert_eq!(pf.link.as_ref().unwrap().mtu, 4000);
    assert!(pf.vfs.iter().all(|vf| vf.link.as_ref().unwrap().mtu == 4000), "{pf:?}");
    assert_eq!(node.apply(spec).unwrap().steps, []);
    node.delete().unwrap();
    assert_eq!(node.pf("pf0").link.unwrap().mtu, 1500);
}

#[test]
fn more_vfs_than_the_card_has_change_nothing() {
    let mut node = Node::new();
    let message = node.apply("numVfs: 8, nicSelector: {pfNames: [pf1]}").unwrap_err().to_string();
    assert!(message.contains("spec.numVfs is 8, but pf1 can have 7 VFs"), "{message}");
    assert_eq!(node.pf("pf1").num_vfs, 0);
}

#[test]
fn held_vf_keeps_its_policy_from_being_deleted() {
    let mut node = Node::new();
    let spec = "numVfs: 2, nicSelector: {pfNames: [pf0]}";
    node.apply(spec).unwrap();
    let pod = NamedNetns::create("inventory-lab").unwrap();
    let (vf, lock) = node.holdings().choose(node.kernel.sysfs(), &"r".parse().unwrap()).unwrap();
    let record = Record { devices: vec![vf], ..record(pod.path()) };
    node.records().write(&record).unwrap();
    drop(lock);
    move_into(&mut node, pod.path(), vf);
    let inventory = node.inventory();
    let holders = node.holdings().holders(&inventory).unwrap();
    let holder = Holder::Attachment(Box::new(record.clone()));
    assert_eq!(holders.of(vf), Some(&Occupant::Holder(holder)));
    assert_eq!(node.apply(spec).unwrap().steps, []);
    for refused in [
        node.apply("numVfs: 3, nicSelector: {pfNames: [pf0]}").map(|applied| applied.steps),
        node.delete(),
    ] {
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("while net1 of pod demo/web holds VF 0"), "{message}");
    }
    node.records().remove(&record.attachment()).unwrap();
    // Nobody's record names it now, but its link is still not here.
    let inventory = node.inventory();
    let holders = node.holdings().holders(&inventory).unwrap();
    assert_eq!(holders.of(vf), Some(&Occupant::Unknown));
    pod.remove().unwrap();
}

fn move_into(node: &mut Node, netns: &Path, vf: PciAddress) {
    let name = node.kernel.sysfs().links_of(vf).unwrap().remove(0);
    let mut kernel = Kernel::with_pod(netns).unwrap();
    let to = LinkRef { netns: Netns::Pod, name: "net1".parse().unwrap() };
    kernel.apply(&Step::Move { from: LinkRef::host(name), to }).unwrap();
}
