use podbond_api::{
    DEFAULT_NETWORK_ANNOTATION, NETWORKS_ANNOTATION, Nad, ObjectKey, ObjectName, Pod,
    RESOURCE_NAME_ANNOTATION,
};
use podbond_cni::{Code, Failure};
use serde_json::{Value, json};

use super::*;
use crate::{Error, PassedOver, Source};

/// NADs in namespace `demo`, and one in `other`.
struct Nads(Vec<Nad>);

impl Source for Nads {
    fn nad(&self, key: &ObjectKey) -> Result<Option<Nad>, Failure> {
        if key.namespace.as_str() == "broken" {
            return Err(Failure::new(Code::TRY_AGAIN, "the agent does not answer"));
        }
        Ok(self.0.iter().find(|nad| nad.key == *key).cloned())
    }

    fn configuration(&self, name: &ObjectName) -> Result<Option<String>, Failure> {
        let found = name.as_str() == "on-disk";
        Ok(found.then(|| r#"{"name": "on-disk", "type": "bridge"}"#.to_owned()))
    }
}

fn nad(key: &str, resource: Option<&str>, config: &Value) -> Nad {
    Nad {
        key: key.parse().unwrap(),
        annotations: resource
            .map(|name| (RESOURCE_NAME_ANNOTATION.to_owned(), format!("openshift.io/{name}")))
            .into_iter()
            .collect(),
        resource: resource.map(|name| name.parse().unwrap()),
        config: Some(config.to_string()),
    }
}

fn nads() -> Nads {
    let sriov = json!({"cniVersion": "1.0.0", "type": "sriov", "name": "s"});
    let own_device =
        json!({"cniVersion": "1.0.0", "type": "sriov", "name": "d", "deviceID": "0000:03:10.1"});
    let bond = json!({"cniVersion": "0.3.1", "type": "bond", "name": "bond-net1"});
    Nads(vec![
        nad("demo/sriovnet1", Some("sriovnic1"), &sriov),
        nad("demo/own-device", None, &own_device),
        nad("demo/bond-net1", None, &bond),
        nad("demo/wrong", None, &json!({"type": 1})),
        nad("other/bond-net1", None, &bond),
        nad("kube-system/other-default", None, &json!({"type": "bridge"})),
        Nad { config: None, ..nad("demo/on-disk", None, &Value::Null) },
        Nad { config: None, ..nad("demo/nowhere", None, &Value::Null) },
    ])
}

fn pod(networks: &str) -> Pod {
    Pod {
        key: "demo/bondpod1".parse().unwrap(),
        uid: None,
        annotations: [(NETWORKS_ANNOTATION.to_owned(), networks.to_owned())].into(),
    }
}

fn resolve(networks: &str) -> Result<Chain, Error> {
    Chain::resolve(&pod(networks), &nads(), None)
}

fn names(chain: &Chain) -> Vec<String> {
    chain.attachments.iter().map(|a| format!("{} {}", a.ifname, a.name())).collect()
}

#[test]
fn attachments_follow_the_default_network_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("10-net.conf");
    std::fs::write(&file, r#"{"name": "cluster", "type": "bridge"}"#).unwrap();
    let default = crate::default_network(directory.path()).unwrap();
    let pod = pod("demo/sriovnet1, sriovnet1@x, other/bond-net1");
    let chain = Chain::resolve(&pod, &nads(), default.as_ref()).unwrap();
    let expected =
        ["eth0 cluster", "net1 demo/sriovnet1", "x demo/sriovnet1", "net3 other/bond-net1"];
    assert_eq!(names(&chain), expected);
    assert_eq!(chain.attachments[0].nad, None);
}

#[test]
fn pod_without_annotation_has_eth0_alone() {
    let mut pod = pod("");
    assert_eq!(Chain::resolve(&pod, &nads(), None).unwrap().attachments, []);
    pod.annotations.clear();
    assert_eq!(Chain::resolve(&pod, &nads(), None).unwrap().attachments, []);
}

#[test]
fn interface_name_that_is_taken_is_refused() {
    for (networks, part) in [
        (
            "bond-net1@net2,bond-net1",
            "element 2 (demo/bond-net1) gets interface net2, which is that of element 1 already: \
             give the element another name, as demo/bond-net1@NAME",
        ),
        ("bond-net1@a,other/bond-net1@a", "element 2 (other/bond-net1) gets interface a"),
        ("bond-net1@eth0", "interface eth0, which is the default network's"),
        ("bond-net1@lo", "interface lo, which is the loopback interface"),
    ] {
        let message = resolve(networks).unwrap_err().to_string();
        assert!(message.starts_with("pod demo/bondpod1: annotation k8s.v1"), "{message}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn missing_nad_is_named_with_the_remedy() {
    assert_eq!(
        resolve("bond-net1, nothere").unwrap_err().to_string(),
        "pod demo/bondpod1: annotation k8s.v1.cni.cncf.io/networks element 2 asks for \
         NetworkAttachmentDefinition nothere in namespace demo, which does not exist: apply it \
         there, or correct the element (it names no namespace, so the pod's own is meant)"
    );
    let message = resolve("other/sriovnet1").unwrap_err().to_string();
    assert!(message.ends_with("apply it there, or correct the element"), "{message}");
}

#[test]
fn error_names_its_object() {
    for (networks, start) in [
        ("a b", "pod demo/bondpod1: annotation k8s.v1.cni.cncf.io/networks element 1 (\"a b\"): "),
        ("wrong", "NetworkAttachmentDefinition demo/wrong: spec.config is invalid: "),
        ("broken/x", "NetworkAttachmentDefinition broken/x of pod demo/bondpod1 cannot be looked"),
    ] {
        let message = resolve(networks).unwrap_err().to_string();
        assert!(message.starts_with(start), "{message}");
    }
    let failure = Failure::from(resolve("broken/x").unwrap_err());
    assert_eq!(failure.code, Code::TRY_AGAIN);
}

#[test]
fn device_is_from_resource_annotation_or_configuration() {
    let chain = resolve(
        r#"[{"name": "sriovnet1", "deviceID": "0000:05:10.1"}, {"name": "own-device"},
            {"name": "bond-net1", "deviceID": "0000:04:10.1"}, {"name": "bond-net1"}]"#,
    )
    .unwrap();
    let requests: Vec<DeviceRequest> =
        chain.attachments.iter().map(|attachment| attachment.device.clone()).collect();
    let this = |text: &str| DeviceRequest::This(text.parse().unwrap());
    let resource = DeviceRequest::OneOf("sriovnic1".parse().unwrap());
    let expected = [resource, this("0000:03:10.1"), this("0000:04:10.1"), DeviceRequest::None];
    assert_eq!(requests, expected);
    assert_eq!(chain.attachments[0].passed_over, [PassedOver::DeviceOfResource]);

    let chosen = Some("0000:06:10.1".parse().unwrap());
    let given = |attachment: &Attachment| {
        let raw = attachment.configs(chosen).remove(0).raw;
        (raw.get("deviceID").cloned(), raw.get("pciBusID").cloned())
    };
    let both = |text: &str| (Some(Value::from(text)), Some(Value::from(text)));
    assert_eq!(given(&chain.attachments[0]), both("0000:06:10.1"));
    assert_eq!(given(&chain.attachments[1]), (Some("0000:03:10.1".into()), None));
    assert_eq!(given(&chain.attachments[2]), both("0000:04:10.1"));
    assert_eq!(given(&chain.attachments[3]), (None, None));
    assert!(!chain.attachments[0].configs(None)[0].raw.contains_key("deviceID"));
}

#[test]
fn nad_without_configuration_has_that_of_the_node() {
    let chain = resolve("on-disk").unwrap();
    assert_eq!(names(&chain), ["net1 demo/on-disk"]);
    assert_eq!(chain.attachments[0].configs(None)[0].plugin, "bridge");
    let message = resolve("nowhere").unwrap_err().to_string();
    let start = "NetworkAttachmentDefinition demo/nowhere: spec.config is missing, and no file of the \
                 node's CNI configuration has the name nowhere: ";
    assert!(message.starts_with(start), "{message}");
}

/// Expected of Multus 4: the NAD in kube-system, under the interface's name that the runtime gives.
#[test]
fn default_network_of_the_annotation_takes_the_place_of_the_nodes() {
    let with = |default: &str, networks: &str| {
        let mut pod = pod(networks);
        pod.annotations.insert(DEFAULT_NETWORK_ANNOTATION.to_owned(), default.to_owned());
        Chain::resolve(&pod, &nads(), None).map_err(|error| error.to_string())
    };
    let chain = with("other-default", "bond-net1").unwrap();
    assert_eq!(names(&chain), ["eth0 kube-system/other-default", "net1 demo/bond-net1"]);
    let places = chain.attachments.iter().map(|attachment| attachment.place);
    assert_eq!(places.collect::<Vec<_>>(), [Place::Default, Place::Secondary]);
    let chain = with("demo/bond-net1@bond0", "").unwrap();
    assert_eq!(names(&chain), ["bond0 demo/bond-net1"]);
    for (default, networks, part) in [
        (
            "bond-net1",
            "",
            "NetworkAttachmentDefinition bond-net1 in namespace kube-system, which does",
        ),
        ("bond-net1", "", "(it names no namespace, so kube-system is meant)"),
        (
            "a, b",
            "",
            "default-network names 2 networks, and a pod has one default network: name one",
        ),
        ("demo/bond-net1@x", "bond-net1@x", "gets interface x, which is the default network's"),
        (
            r#"[{"name": "other-default", "default-route": []}]"#,
            r#"[{"name": "bond-net1", "default-route": []}]"#,
            "its networks eth0 and net1 both have default-route",
        ),
    ] {
        let message = with(default, networks).unwrap_err();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn keys_that_no_plugin_takes_are_refused_where_the_administrator_says_so() {
    let chain = resolve(
        r#"[{"name": "bond-net1", "vlan": 7, "ipam-claim-reference": "vm-a"},
            {"name": "bond-net1", "ips": ["10.0.0.1"]}]"#,
    )
    .unwrap();
    let unknown = PassedOver::Unknown("vlan".to_owned());
    assert_eq!(chain.attachments[0].passed_over, [PassedOver::ClaimReference, unknown]);
    let pod = &pod("").key;
    Undeclared::PassOver.check(pod, &chain).unwrap();
    let message = Undeclared::Refuse.check(pod, &chain).unwrap_err().to_string();
    let start = "pod demo/bondpod1: annotation k8s.v1.cni.cncf.io/networks: net2 (demo/bond-net1): ips has no \
                 effect, since no plugin of the network declares the capability ips: ";
    assert!(message.starts_with(start), "{message}");
    let harmless = Chain { attachments: chain.attachments[..1].to_vec() };
    Undeclared::Refuse.check(pod, &harmless).unwrap();
}
