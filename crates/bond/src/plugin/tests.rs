use std::path::Path;

use podbond_cni::{Args, Attachment, Code, ContainerId, Lookup, NetConf};
use podbond_kernel::{NetnsIdentity, Sysfs};
use podbond_names::PciAddress;
use podbond_record::{Record, State, Stored};
use serde_json::{Value, json};

use super::*;
use crate::VfOwner;

/// A plugin whose records are in a directory of its own.
fn bond() -> (tempfile::TempDir, Bond) {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::new(&dir.path().join("lib"), &dir.path().join("run"));
    (dir, Bond::new(records, &Nobody))
}

/// No function has VFs or an owner.
#[derive(Debug)]
struct Nobody;

impl Functions for Nobody {
    fn num_vfs(&self, _: &Sysfs, _: PciAddress) -> Result<u16, Failure> {
        Ok(0)
    }

    fn owner(
        &self,
        _: &Sysfs,
        _: PciAddress,
        _: Option<&Attachment>,
    ) -> Result<Option<VfOwner>, Failure> {
        Ok(None)
    }
}

fn request(netns: Option<&str>, config: &Value) -> Request {
    Request {
        container_id: ContainerId::try_from("c1".to_owned()).unwrap(),
        netns: netns.map(Into::into),
        ifname: "net3".parse().unwrap(),
        args: Args::default(),
        path: Vec::new(),
        config: NetConf::parse(config.to_string().as_bytes()).unwrap(),
    }
}

fn config(ipam: Option<&str>) -> Value {
    let mut config = json!({"cniVersion": "1.1.0", "name": "n", "type": "bond",
        "mode": "active-backup", "linksInContainer": true,
        "links": [{"name": "none1"}, {"name": "none2"}]});
    if let Some(ipam) = ipam {
        config["ipam"] = json!({ "type": ipam });
    }
    config
}

fn delegates() -> Delegates<'static> {
    Delegates::new(&[], Lookup::PathOnly)
}

/// Writes the record of an ADD whose namespace is of an earlier boot, or cannot be looked at.
fn recorded(bond: &Bond, dir: &Path, is_over: bool, ipam: Option<&str>) -> Record {
    let netns = NetnsIdentity::of(Path::new("/proc/self/ns/net")).unwrap();
    let mut netns = serde_json::to_value(netns).unwrap();
    if is_over {
        netns["boot"] = json!("earlier");
    } else {
        let circle = dir.join("circle");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        netns["path"] = json!(circle);
    }
    let netns: NetnsIdentity = serde_json::from_value(netns).unwrap();
    let mut record = Record::of_add(&request(None, &config(ipam)), netns);
    record.state = State::Active;
    bond.records.write(&record).unwrap();
    record
}

fn stored(bond: &Bond, record: &Record) -> Stored {
    bond.records.read(&record.attachment()).unwrap()
}

fn gc(valid: &[&str]) -> NodeRequest {
    let mut config = config(None);
    let valid: Vec<Value> =
        valid.iter().map(|id| json!({"containerID": id, "ifname": "net3"})).collect();
    config["cni.dev/valid-attachments"] = json!(valid);
    let config = NetConf::parse(config.to_string().as_bytes()).unwrap();
    NodeRequest::gc(Vec::new(), config).unwrap()
}

/// Promise: del-own-namespace
#[test]
fn del_leaves_the_nodes_own_namespace_unchanged() {
    let (_dir, bond) = bond();
    for in_pod in [true, false] {
        let mut config = config(None);
        config["linksInContainer"] = json!(in_pod);
        // In a container nobody can tell whether a pod's namespace was there.
        let deleted = bond.del(&request(Some("/proc/self/ns/net"), &config), &delegates());
        assert_eq!(deleted.is_ok(), is_node_visible());
    }
}

/// Whether this process can tell that a namespace is over.
fn is_node_visible() -> bool {
    podbond_kernel::NetnsState::of_path(Path::new("/proc/self/ns/net")).is_over()
}

/// Promise: namespace-unknown
#[test]
fn del_fails_and_keeps_the_record_while_the_namespace_is_unknown() {
    let (dir, bond) = bond();
    let record = recorded(&bond, dir.path(), false, Some("not-installed"));
    let failure = bond.del(&request(None, &config(None)), &delegates()).unwrap_err();
    assert_eq!(failure.code, Code::TRY_AGAIN);
    assert_eq!(stored(&bond, &record), Stored::Whole(Box::new(record)));
}

/// Promise: del-after-reboot
#[test]
fn del_of_an_earlier_boot_removes_the_record() {
    let (dir, bond) = bond();
    let record = recorded(&bond, dir.path(), true, None);
    bond.del(&request(None, &config(None)), &delegates()).unwrap();
    assert_eq!(stored(&bond, &record), Stored::Missing);
}

/// Promise: del-config-changed
#[test]
fn del_uses_the_configuration_of_the_add_and_keeps_a_pending_lease() {
    let (dir, bond) = bond();
    let record = recorded(&bond, dir.path(), true, Some("not-installed"));
    bond.del(&request(None, &config(None)), &delegates()).unwrap();
    let Stored::Whole(left) = stored(&bond, &record) else { panic!("the lease is forgotten") };
    assert_eq!(left.state, State::IpamPending);
    assert!(left.ipam_problem.as_ref().is_some_and(|said| said.contains("not-installed")));
}

#[test]
fn del_of_a_chain_before_the_add_changes_nothing() {
    let (dir, bond) = bond();
    let record = recorded(&bond, dir.path(), false, None);
    let record = Record { add: None, ..record };
    bond.records.write(&record).unwrap();
    bond.del(&request(None, &config(None)), &delegates()).unwrap();
    assert_eq!(stored(&bond, &record), Stored::Whole(Box::new(record)));
}

/// Promise: gc-own-network
#[test]
fn gc_deletes_what_is_not_valid_and_reports_pending_leases() {
    let (dir, bond) = bond();
    let record = recorded(&bond, dir.path(), true, None);
    bond.gc(&gc(&["c1"]), &delegates()).unwrap();
    assert_eq!(stored(&bond, &record), Stored::Whole(Box::new(record.clone())));
    let other = Record { network: "other".to_owned(), ..record.clone() };
    bond.records.write(&other).unwrap();
    bond.gc(&gc(&[]), &delegates()).unwrap();
    assert_eq!(stored(&bond, &other), Stored::Whole(Box::new(other.clone())));
    bond.records.write(&record).unwrap();
    bond.gc(&gc(&["c2"]), &delegates()).unwrap();
    assert_eq!(stored(&bond, &record), Stored::Missing);

    let record = recorded(&bond, dir.path(), true, Some("not-installed"));
    let failure = bond.gc(&gc(&[]), &delegates()).unwrap_err();
    assert_eq!(failure.code, Code::TRY_AGAIN);
    assert!(failure.msg.contains("the lease of net3 of container c1 is pending"), "{failure}");
    assert!(matches!(stored(&bond, &record), Stored::Whole(_)));
}
