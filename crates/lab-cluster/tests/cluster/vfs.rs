//! VFs as resources: the nodes offer them, pods get them, the scheduler counts them.

use std::time::Duration;

use podbond_lab_cluster::kubectl::{self, NodeShell};
use serde_json::json;

use crate::namespace::Namespace;

#[test]
fn node_offers_the_vfs_of_each_pf() {
    let described = kubectl::run(&["describe", "node", "node1"]).unwrap();
    let allocatable = described.split("Allocatable:").nth(1).unwrap();
    let allocatable = allocatable.split("System Info:").next().unwrap();
    for resource in ["openshift.io/sriovnic1:", "openshift.io/sriovnic2:"] {
        let line = allocatable.lines().find(|line| line.trim().starts_with(resource)).unwrap();
        assert_eq!(line.split_whitespace().last(), Some("4"), "{described}");
    }
}

#[test]
fn pod_gets_a_vf_of_the_pf_that_its_resource_names() {
    let namespace = Namespace::new("vf-of-its-pf");
    let wanted = json!({ "openshift.io/sriovnic1": 1, "openshift.io/sriovnic2": 2 });
    namespace.pod("one", &json!({}), &wanted);
    namespace.wait_until_ready("one");
    let environment = namespace.exec("one", &["env"]);
    let variable = |name: &str| {
        let value = environment.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap_or_else(|| panic!("no {name} in {environment}")).to_owned()
    };
    let pod = kubectl::get(namespace.0, "pod", "one").unwrap();
    let node = NodeShell::open(pod["spec"]["nodeName"].as_str().unwrap()).unwrap();
    let pf_of = |vf: &str| {
        let pf = node.run(&["ls", &format!("/sys/bus/pci/devices/{vf}/physfn/net")]).unwrap();
        pf.trim().to_owned()
    };
    let first = variable("PCIDEVICE_OPENSHIFT_IO_SRIOVNIC1=");
    assert_eq!(pf_of(&first), "pf0");
    let info = format!(r#"{{"{first}":{{"generic":{{"deviceID":"{first}"}}}}}}"#);
    assert_eq!(variable("PCIDEVICE_OPENSHIFT_IO_SRIOVNIC1_INFO="), info);
    let both = variable("PCIDEVICE_OPENSHIFT_IO_SRIOVNIC2=");
    let pfs: Vec<_> = both.split(',').map(pf_of).collect();
    assert_eq!(pfs, ["pf1", "pf1"]);
}

#[test]
fn pod_that_wants_more_vfs_than_a_node_has_is_not_scheduled() {
    let namespace = Namespace::new("more-vfs-than-there-are");
    namespace.pod("greedy", &json!({}), &json!({ "openshift.io/sriovnic1": 5 }));
    let condition = kubectl::wait_for("the scheduler's word", Duration::from_mins(1), || {
        let pod = kubectl::get(namespace.0, "pod", "greedy")?;
        let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        Ok(conditions.into_iter().find(|condition| condition["type"] == "PodScheduled"))
    });
    let message = condition.unwrap()["message"].to_string();
    assert!(message.contains("2 Insufficient openshift.io/sriovnic1"), "{message}");
}
