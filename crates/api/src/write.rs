//! Writes objects as manifests, for records on disk: what people write and what is stored have one form
//! and one reader.

use serde_json::{Value, json};

use crate::manifest::Kind;
use crate::{Management, Nad, NicSelector, ObjectKey, SriovNetworkNodePolicy};

impl Nad {
    /// Returns the manifest that [`read_manifests`](crate::read_manifests) reads as this NAD.
    pub fn to_manifest(&self) -> Value {
        let mut manifest = header(Kind::Nad, &self.key, &json!({"config": self.config}));
        manifest["metadata"]["annotations"] = json!(self.annotations);
        manifest
    }
}

impl SriovNetworkNodePolicy {
    /// Returns the manifest that [`read_manifests`](crate::read_manifests) reads as this policy.
    pub fn to_manifest(&self) -> Value {
        let NicSelector { vendor, device_id, root_devices, pf_names } = &self.nic_selector;
        let pf_names: Vec<_> = pf_names.iter().map(ToString::to_string).collect();
        // Null is read as absent.
        let spec = json!({
            "resourceName": self.resource_name,
            "nodeSelector": self.node_selector,
            "priority": self.priority,
            "numVfs": self.num_vfs,
            "mtu": self.mtu,
            "nicSelector": {
                "vendor": vendor.map(|id| id.to_string()),
                "deviceID": device_id.map(|id| id.to_string()),
                "rootDevices": root_devices,
                "pfNames": pf_names,
            },
            "deviceType": self.device_type,
            "linkType": self.link_type,
            "externallyManaged": self.management == Management::External,
            "isRdma": self.is_rdma,
            "needVhostNet": self.need_vhost_net,
            "excludeTopology": self.exclude_topology,
        });
        header(Kind::SriovNetworkNodePolicy, &self.key, &spec)
    }
}

fn header(kind: Kind, key: &ObjectKey, spec: &Value) -> Value {
    json!({
        "apiVersion": kind.api_version(),
        "kind": kind.name(),
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use crate::{Object, read_manifests};

    fn read_one(text: &str) -> Object {
        read_manifests(text, "test").unwrap().remove(0)
    }

    #[test]
    fn policy_round_trips() {
        let written = read_one(
            r#"{"apiVersion": "sriovnetwork.openshift.io/v1", "kind": "SriovNetworkNodePolicy",
            "metadata": {"name": "p", "namespace": "ops"},
            "spec": {"resourceName": "r", "numVfs": 8, "mtu": 9000, "priority": 3,
              "linkType": "ib", "deviceType": "vfio-pci", "externallyManaged": true,
              "needVhostNet": true, "excludeTopology": true, "nodeSelector": {"a": "b"},
              "nicSelector": {"vendor": "15b3", "deviceID": "101d", "pfNames": ["a#0-3", "b"],
                "rootDevices": ["0000:3b:00.0"]}}}"#,
        );
        let Object::SriovNetworkNodePolicy(policy) = &written else { panic!("{written:?}") };
        assert_eq!(read_one(&policy.to_manifest().to_string()), written);
    }

    #[test]
    fn nad_round_trips() {
        let written = read_one(
            r#"{"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": "n", "namespace": "demo", "annotations":
              {"k8s.v1.cni.cncf.io/resourceName": "openshift.io/r", "other": "1"}},
            "spec": {"config": "{\"type\": \"sriov\",\n \"vlan\": 3}"}}"#,
        );
        let Object::Nad(nad) = &written else { panic!("{written:?}") };
        assert_eq!(read_one(&nad.to_manifest().to_string()), written);
    }
}
