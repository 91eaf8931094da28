use std::path::PathBuf;

use podbond_api::{NETWORKS_ANNOTATION, Pod};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::AnsweredNads;

const VF: [&str; 6] = [
    "0000:01:10.0",
    "0000:01:10.2",
    "0000:01:10.4",
    "0000:02:10.0",
    "0000:02:10.2",
    "0000:03:10.0",
];

/// The PF of a VF is function 0 of the VF's bus.
fn pf_of(vf: PciAddress) -> Option<PciAddress> {
    format!("{}:00.0", &vf.to_string()[..7]).parse().ok()
}

/// NADs `a` and `b` of two resources, `x` of one of another prefix, and bonds over net1 and net2, and net3 and net4.
fn resolved(devices: &Value, requested: &Value) -> Resolved {
    let nad = |name: &str, resource: Option<&str>, config: Value| json!({"key": format!("demo/{name}"), "resource": resource, "config": config.to_string()});
    let sriov = json!({"type": "sriov", "cniVersion": "1.0.0"});
    let bond = |links: [&str; 2]| {
        let links = links.map(|name| json!({ "name": name }));
        json!({"type": "bond", "linksInContainer": true, "links": links, "vlan": 7})
    };
    let mut fixed = sriov.clone();
    fixed["deviceID"] = VF[0].into();
    serde_json::from_value(json!({
        "uid": "u-1",
        "devices": devices,
        "requested": requested,
        "nads": [
            nad("a", Some("openshift.io/nic"), sriov.clone()),
            nad("b", Some("openshift.io/other"), sriov.clone()),
            nad("x", Some("example.com/nic"), sriov.clone()),
            nad("fixed", None, fixed),
            nad("bond", None, bond(["net1", "net2"])),
            nad("bond34", None, bond(["net3", "net4"])),
            nad("foreign", Some("openshift.io/nic"), json!({"type": "macvtap"})),
        ],
    }))
    .unwrap()
}

fn nic(devices: &[&str]) -> Value {
    json!([{"resource": "openshift.io/nic", "devices": devices}])
}

fn chain(networks: &str, resolved: &Resolved) -> Chain {
    let pod = Pod {
        key: "demo/p".parse().unwrap(),
        uid: None,
        annotations: [(NETWORKS_ANNOTATION.to_owned(), networks.to_owned())].into(),
    };
    let nads = AnsweredNads::new(&resolved.nads, PathBuf::from("/nonexistent"));
    Chain::resolve(&pod, &nads, None).unwrap()
}

/// Returns `deviceID` of each attachment, and what is found.
fn assigned(
    networks: &str,
    resolved: &Resolved,
) -> Result<(Vec<Option<String>>, Vec<String>), String> {
    let mut chain = chain(networks, resolved);
    let pod = "demo/p".parse().unwrap();
    let found =
        assign_devices(&mut chain, &pod, resolved, pf_of).map_err(|error| error.to_string())?;
    let devices = chain.attachments.iter().map(|attachment| {
        let raw = attachment.configs(None).remove(0).raw;
        Some(raw.get("deviceID")?.as_str().unwrap().to_owned())
    });
    Ok((devices.collect(), found.iter().map(ToString::to_string).collect()))
}

fn devices(networks: &str, given: &[&str]) -> Vec<Option<String>> {
    assigned(networks, &resolved(&nic(given), &json!({}))).unwrap().0
}

fn some(ids: &[&str]) -> Vec<Option<String>> {
    ids.iter().map(|id| Some((*id).to_owned())).collect()
}

/// Promise: devices-in-order
#[test]
fn nth_mention_gets_the_nth_device_of_its_full_name() {
    // Whatever the order of the answer, and each once.
    assert_eq!(devices("a, a, a", &[VF[2], VF[0], VF[1], VF[0]]), some(&VF[..3]));
    let of_both = json!([
        {"resource": "openshift.io/nic", "devices": [VF[1]]},
        {"resource": "example.com/nic", "devices": [VF[0]]},
        {"resource": "openshift.io/other", "devices": [VF[3]]},
    ]);
    let (given, _) = assigned("a, x, b", &resolved(&of_both, &json!({}))).unwrap();
    assert_eq!(given, some(&[VF[1], VF[0], VF[3]]));
}

#[test]
fn device_that_the_annotation_names_goes_first_if_the_pod_has_it() {
    let annotation = |device: &str| {
        format!(r#"[{{"name": "a"}}, {{"name": "a", "deviceID": "{device}"}}, {{"name": "a"}}]"#)
    };
    let given = devices(&annotation(VF[0]), &VF[..3]);
    assert_eq!(given, some(&[VF[1], VF[0], VF[2]]));
    // One of another pod is not given away.
    assert_eq!(devices(&annotation(VF[5]), &VF[..3]), some(&VF[..3]));
    let resolved = resolved(&nic(&VF[..3]), &json!({}));
    for (device, passed_over) in [(VF[0], vec![]), (VF[5], vec![PassedOver::DeviceOfResource])] {
        let mut chain = chain(&annotation(device), &resolved);
        assign_devices(&mut chain, &"demo/p".parse().unwrap(), &resolved, pf_of).unwrap();
        assert_eq!(chain.attachments[1].passed_over, passed_over);
    }
}

#[test]
fn device_that_is_not_on_the_pci_bus_is_given_by_its_id() {
    let resolved = resolved(&nic(&["dataplane0"]), &json!({}));
    let mut chain = chain("foreign", &resolved);
    assign_devices(&mut chain, &"demo/p".parse().unwrap(), &resolved, pf_of).unwrap();
    let raw = &chain.attachments[0].configs(None)[0].raw;
    assert_eq!((&raw["deviceID"], &raw["pciBusID"]), (&json!("dataplane0"), &json!("dataplane0")));
    assert_eq!(chain.attachments[0].device, DeviceRequest::None);
}

/// Promise: bond-over-two-pfs
#[test]
fn ports_of_one_bond_are_of_different_pfs_where_that_is_possible() {
    for (networks, given, expected) in [
        // Two PFs in order: nothing is changed.
        ("a, a, bond", &[VF[0], VF[3]][..], &[VF[0], VF[3]][..]),
        // Only as much as needed, and what a port has had goes to who comes after.
        ("a, a, bond, a, a", &[VF[0], VF[1], VF[3], VF[4]], &[VF[0], VF[3], "", VF[1], VF[4]]),
        // Two bonds, each over both.
        ("a, a, a, a, bond, bond34", &[VF[0], VF[1], VF[3], VF[4]], &[VF[0], VF[3], VF[1], VF[4]]),
        // The first bond leaves the second what it needs.
        ("a, a, a, a, bond, bond34", &[VF[0], VF[1], VF[3], VF[5]], &[VF[0], VF[3], VF[1], VF[5]]),
        // A device beyond those that are needed.
        ("a, a, bond", &[VF[0], VF[1], VF[3]], &[VF[0], VF[3]]),
        // Of no bond: in order.
        ("a, a", &[VF[0], VF[1], VF[3]], &[VF[0], VF[1]]),
        // The bond before its links takes none of them.
        ("bond, a, a", &[VF[0], VF[1], VF[3]], &["", VF[0], VF[1]]),
        // A port whose configuration names its device.
        ("fixed, a, bond", &[VF[1], VF[3]], &[VF[0], VF[3]]),
    ] {
        let (ids, found) = assigned(networks, &resolved(&nic(given), &json!({}))).unwrap();
        let ids: Vec<String> = ids.into_iter().map(Option::unwrap_or_default).collect();
        assert_eq!(ids[..expected.len()], *expected, "{networks}");
        assert_eq!(found, [""; 0], "{networks}");
    }
}

#[test]
fn bond_without_enough_pfs_is_found_and_stays_in_order() {
    let (ids, found) = assigned("a, a, bond", &resolved(&nic(&VF[..3]), &json!({}))).unwrap();
    assert_eq!(ids[..2], some(&VF[..2]));
    let [found] = &found[..] else { panic!("{found:?}") };
    let start =
        "bond net3: its ports net1 and net2 are VFs of one PF (0000:01:00.0), since the pod";
    assert!(found.starts_with(start), "{found}");
}

/// Promise: missing-device-named
#[test]
fn missing_device_is_named_with_resource_network_and_cause() {
    let start = "pod demo/p: net1 (demo/a) needs a device of openshift.io/nic, ";
    for (networks, given, requested, expected) in [
        (
            "a",
            json!([]),
            json!({}),
            "and the pod has no openshift.io/nic: was the injector there when it was created?",
        ),
        ("a", json!([]), json!({"openshift.io/nic": "init-only"}), "which only init containers"),
        ("a", json!([]), json!({"openshift.io/nic": "running"}), "which the pod requests, and"),
    ] {
        let message = assigned(networks, &resolved(&given, &requested)).unwrap_err();
        assert!(message.starts_with(&format!("{start}{expected}")), "{message}");
    }
    let message = assigned("a, a, a", &resolved(&nic(&VF[..2]), &json!({}))).unwrap_err();
    let expected = "pod demo/p: net3 (demo/a) needs a device of openshift.io/nic, the pod has 2 of it and \
                    its annotation names 3 networks of it: request 3";
    assert_eq!(message, expected);
    // Of the same name with another prefix.
    assert!(assigned("x", &resolved(&nic(&VF[..1]), &json!({}))).is_err());
}

proptest! {
    /// Whatever the pod has and asks for: each network has a device of its own, and the search ends.
    #[test]
    fn each_network_has_a_device_of_its_own(
        pfs in prop::collection::vec(1_u8..9, 1..40),
        ports in prop::collection::vec(prop::collection::vec(0_usize..40, 2..5), 0..12),
    ) {
        let ids: BTreeSet<String> = (0_u8..).zip(&pfs)
            .map(|(index, pf)| format!("0000:{pf:02x}:{:02x}.{}", index / 8 + 1, index % 8))
            .collect();
        let bonds = ports.iter().enumerate().map(|(number, ports)| {
            let links: Vec<Value> =
                ports.iter().map(|port| json!({"name": format!("net{}", port + 1)})).collect();
            let config = json!({"type": "bond", "linksInContainer": true, "links": links}).to_string();
            json!({"key": format!("demo/bond{number}"), "config": config})
        });
        let mut nads: Vec<Value> = bonds.collect();
        let networks: Vec<String> =
            ids.iter().map(|_| "vf".to_owned()).chain((0..nads.len()).map(|n| format!("bond{n}"))).collect();
        nads.push(json!({"key": "demo/vf", "resource": "r/nic", "config": "{\"type\": \"sriov\"}"}));
        let resolved: Resolved = serde_json::from_value(json!({
            "uid": "u", "nads": nads, "devices": [{"resource": "r/nic", "devices": &ids}],
        })).unwrap();
        let (given, _) = assigned(&networks.join(","), &resolved).unwrap();
        let given: Vec<String> = given.into_iter().flatten().collect();
        prop_assert_eq!(given.len(), ids.len());
        prop_assert_eq!(given.into_iter().collect::<BTreeSet<_>>(), ids);
    }
}
