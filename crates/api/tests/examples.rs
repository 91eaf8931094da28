//! The documented manifests, as they are in `examples/`.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::fs;
use std::path::Path;

use podbond_api::{NETWORKS_ANNOTATION, Object, read_manifests, render};
use serde_json::{Value, json};

fn example(name: &str) -> Vec<Object> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    read_manifests(&fs::read_to_string(path).unwrap(), name).unwrap()
}

#[test]
fn the_policies_make_four_vfs_on_each_of_two_pfs() {
    let policies: Vec<_> = example("policies.yaml")
        .into_iter()
        .map(|object| match object {
            Object::SriovNetworkNodePolicy(policy) => (
                policy.nic_selector.pf_names[0].to_string(),
                policy.resource_name.to_string(),
                policy.num_vfs,
            ),
            other => panic!("not a policy: {other:?}"),
        })
        .collect();
    let expected = |pf: &str, resource: &str| (pf.to_owned(), resource.to_owned(), 4);
    assert_eq!(policies, [expected("pf0", "sriovnic1"), expected("pf1", "sriovnic2")]);
}

#[test]
fn the_networks_render_to_the_nads_of_the_pods_namespace() {
    let nads: Vec<_> = example("networks.yaml")
        .into_iter()
        .map(|object| match object {
            Object::SriovNetwork(network) => render(&network),
            other => panic!("not a network: {other:?}"),
        })
        .map(|nad| (nad.key.to_string(), nad.resource.unwrap().to_string()))
        .collect();
    let expected = |key: &str, resource: &str| (key.to_owned(), resource.to_owned());
    assert_eq!(
        nads,
        [expected("demo/sriovnet1", "sriovnic1"), expected("demo/sriovnet2", "sriovnic2")]
    );
}

#[test]
fn the_bond_is_configured_exactly_as_documented() {
    let [Object::Nad(nad)] = &example("bond-net1.yaml")[..] else { panic!("not one NAD") };
    assert_eq!(nad.key.to_string(), "demo/bond-net1");
    assert_eq!(nad.resource, None);
    assert_eq!(
        serde_json::from_str::<Value>(&nad.config).unwrap(),
        json!({
            "type": "bond",
            "cniVersion": "0.3.1",
            "name": "bond-net1",
            "mode": "active-backup",
            "failOverMac": 1,
            "linksInContainer": true,
            "miimon": "100",
            "mtu": 1500,
            "links": [{"name": "net1"}, {"name": "net2"}],
            "ipam": {
                "type": "host-local",
                "subnet": "10.56.217.0/24",
                "routes": [{"dst": "0.0.0.0/0"}],
                "gateway": "10.56.217.1",
            },
        })
    );
}

#[test]
fn the_pod_asks_for_both_vfs_and_then_the_bond() {
    let [Object::Pod(pod)] = &example("bondpod1.yaml")[..] else { panic!("not one pod") };
    assert_eq!(pod.key.to_string(), "demo/bondpod1");
    assert_eq!(
        pod.annotations[NETWORKS_ANNOTATION],
        "demo/sriovnet1, demo/sriovnet2, demo/bond-net1"
    );
}
