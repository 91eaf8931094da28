//! The documented manifests, as they are in `examples/`.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use podbond_api::{NETWORKS_ANNOTATION, Object, read_manifests, render};
use serde_json::{Value, json};

fn example(name: &str) -> Vec<Object> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    read_manifests(&fs::read_to_string(path).unwrap(), name).unwrap()
}

#[test]
fn example_policies_make_four_vfs_on_two_pfs() {
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
fn example_networks_render_to_nads() {
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
fn example_bond_is_the_documented_one() {
    let [Object::Nad(nad)] = &example("bond-net1.yaml")[..] else { panic!("not one NAD") };
    assert_eq!(nad.key.to_string(), "demo/bond-net1");
    assert_eq!(nad.resource, None);
    assert_eq!(
        serde_json::from_str::<Value>(nad.config.as_ref().unwrap()).unwrap(),
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
fn example_pod_requests_two_vfs_and_the_bond() {
    let [Object::Pod(pod)] = &example("bondpod1.yaml")[..] else { panic!("not one pod") };
    assert_eq!(pod.key.to_string(), "demo/bondpod1");
    assert_eq!(
        pod.annotations[NETWORKS_ANNOTATION],
        "demo/sriovnet1, demo/sriovnet2, demo/bond-net1"
    );
}

/// Every mode of the bonding driver, with the name of its example's objects, and whether its VFs must
/// be trusted and may not be checked for the address that they send with.
const MODES: [(&str, &str, Option<bool>); 7] = [
    ("802.3ad", "lacp", Some(true)),
    ("active-backup", "active-backup", None),
    ("balance-alb", "balance-alb", Some(true)),
    ("balance-rr", "balance-rr", Some(true)),
    ("balance-tlb", "balance-tlb", Some(true)),
    ("balance-xor", "balance-xor", Some(true)),
    ("broadcast", "broadcast", Some(true)),
];

#[test]
fn each_mode_has_an_example() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/modes");
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let mut files: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, MODES.map(|(mode, ..)| format!("{mode}.yaml")));
}

#[test]
fn mode_example_has_two_networks_a_bond_and_a_pod() {
    for (mode, name, trust) in MODES {
        let objects = example(&format!("modes/{mode}.yaml"));
        let [first, second, Object::Nad(nad), Object::Pod(pod)] = &objects[..] else {
            panic!("{mode}: {objects:?}")
        };
        let ports = [format!("{name}-port1"), format!("{name}-port2")];
        for (object, (port, pool)) in
            [first, second].into_iter().zip(ports.iter().zip(["sriovnic1", "sriovnic2"]))
        {
            let Object::SriovNetwork(network) = object else { panic!("{mode}: {object:?}") };
            let rendered = render(network);
            assert_eq!(rendered.key.to_string(), format!("demo/{port}"));
            assert_eq!(rendered.resource.unwrap().to_string(), pool);
            let config: BTreeMap<String, Value> =
                serde_json::from_str(rendered.config.as_ref().unwrap()).unwrap();
            let on_off = |on: bool| json!(if on { "on" } else { "off" });
            assert_eq!(config.get("trust"), trust.map(on_off).as_ref(), "{mode}");
            assert_eq!(config.get("spoofchk"), trust.map(|on| on_off(!on)).as_ref(), "{mode}");
            assert_eq!(config.get("link_state"), None, "{mode}: a VF must see its PF die");
        }
        let config: Value = serde_json::from_str(nad.config.as_ref().unwrap()).unwrap();
        assert_eq!(config["mode"], mode);
        assert_eq!(config["name"], name);
        assert_eq!(nad.key.to_string(), format!("demo/{name}"));
        let networks = format!("demo/{}, demo/{}, demo/{name}@bond0", ports[0], ports[1]);
        assert_eq!(pod.key.to_string(), format!("demo/{name}"));
        assert_eq!(pod.annotations[NETWORKS_ANNOTATION], networks);
    }
}

#[test]
fn mode_examples_share_no_address() {
    let ranges = MODES.map(|(mode, ..)| {
        let config = example(&format!("modes/{mode}.yaml")).into_iter().find_map(|object| {
            let Object::Nad(nad) = object else { return None };
            Some(serde_json::from_str::<Value>(nad.config.as_ref().unwrap()).unwrap())
        });
        let ipam = &config.unwrap()["ipam"];
        let last = |key: &str| {
            let address = ipam[key].as_str().unwrap();
            address.strip_prefix("10.56.217.").unwrap().parse::<u8>().unwrap()
        };
        (last("rangeStart"), last("rangeEnd"))
    });
    for (place, (start, end)) in ranges.iter().enumerate() {
        assert!(start < end);
        let is_disjoint =
            |(other_start, other_end): &(u8, u8)| end < other_start || other_end < start;
        assert!(ranges[..place].iter().all(is_disjoint), "{ranges:?}");
    }
}
