//! The devices of a pod: of device plugins by resource, and of resource claims. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::proto::pod_resources as proto;

/// The devices that the kubelet has given to a pod, over all its containers but ordinary init containers,
/// which the kubelet does not list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodDevices {
    /// Of device plugins: the IDs by resource with its prefix, each once, in string order.
    pub by_resource: BTreeMap<String, BTreeSet<String>>,
    /// Of resource claims (DRA).
    pub claims: Vec<ClaimDevice>,
}

/// A device of a resource claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClaimDevice {
    /// The ResourceClaim's namespace.
    pub namespace: String,
    /// The ResourceClaim's name.
    pub claim: String,
    /// The driver that the device is of.
    pub driver: String,
    /// The device's name in its driver's ResourceSlice.
    pub device: String,
}

impl PodDevices {
    /// Returns what the kubelet says of a pod, put in order: it repeats a device for each NUMA node that the
    /// device is near, and gives no order.
    pub(crate) fn of(pod: &proto::PodResources) -> Self {
        let mut by_resource: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let devices = pod.containers.iter().flat_map(|container| &container.devices);
        for devices in devices {
            let ids = by_resource.entry(devices.resource_name.clone()).or_default();
            ids.extend(devices.device_ids.iter().cloned());
        }
        let mut claims: Vec<ClaimDevice> = pod
            .containers
            .iter()
            .flat_map(|container| &container.dynamic_resources)
            .flat_map(claim_devices)
            .collect();
        claims.sort();
        claims.dedup();
        Self { by_resource, claims }
    }
}

fn claim_devices(claim: &proto::DynamicResource) -> impl Iterator<Item = ClaimDevice> + '_ {
    claim.claim_resources.iter().map(|resource| ClaimDevice {
        namespace: claim.claim_namespace.clone(),
        claim: claim.claim_name.clone(),
        driver: resource.driver_name.clone(),
        device: resource.device_name.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(resource: &str, ids: &[&str]) -> proto::ContainerDevices {
        proto::ContainerDevices {
            resource_name: resource.to_owned(),
            device_ids: ids.iter().map(|&id| id.to_owned()).collect(),
        }
    }

    fn container(devices: Vec<proto::ContainerDevices>) -> proto::ContainerResources {
        proto::ContainerResources { name: "c".to_owned(), devices, dynamic_resources: Vec::new() }
    }

    fn pod(containers: Vec<proto::ContainerResources>) -> proto::PodResources {
        proto::PodResources { name: "p".to_owned(), namespace: "demo".to_owned(), containers }
    }

    #[test]
    fn devices_of_all_containers_are_each_once_in_string_order() {
        let of_pod = pod(vec![
            container(vec![
                devices("openshift.io/a", &["0000:02:10.0"]),
                // The kubelet tells a device again for its second NUMA node.
                devices("openshift.io/a", &["0000:02:10.0", "0000:01:10.2"]),
            ]),
            container(vec![
                devices("openshift.io/b", &["0000:03:10.0"]),
                devices("openshift.io/a", &["0000:01:10.0"]),
            ]),
        ]);
        let found = PodDevices::of(&of_pod);
        let ids = |resource: &str| found.by_resource[resource].iter().cloned().collect::<Vec<_>>();
        assert_eq!(ids("openshift.io/a"), ["0000:01:10.0", "0000:01:10.2", "0000:02:10.0"]);
        assert_eq!(ids("openshift.io/b"), ["0000:03:10.0"]);
        assert_eq!(found.by_resource.len(), 2);
    }

    #[test]
    fn devices_of_a_claim_shared_by_containers_are_named_once() {
        let claim = proto::DynamicResource {
            claim_name: "vfs".to_owned(),
            claim_namespace: "demo".to_owned(),
            claim_resources: vec![proto::ClaimResource {
                driver_name: "sriovnetwork.k8snetworkplumbingwg.io".to_owned(),
                pool_name: "node-a".to_owned(),
                device_name: "0000-01-10-0".to_owned(),
            }],
        };
        let with_claim =
            proto::ContainerResources { dynamic_resources: vec![claim], ..container(Vec::new()) };
        let found = PodDevices::of(&pod(vec![with_claim.clone(), with_claim]));
        assert_eq!(
            found.claims,
            [ClaimDevice {
                namespace: "demo".to_owned(),
                claim: "vfs".to_owned(),
                driver: "sriovnetwork.k8snetworkplumbingwg.io".to_owned(),
                device: "0000-01-10-0".to_owned(),
            }]
        );
        assert!(found.by_resource.is_empty());
    }
}
