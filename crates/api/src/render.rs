//! Renders the NAD of a `SriovNetwork` as the SR-IOV operator does: existing pods and tools see the same
//! object.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    LinkState, LogLevel, Nad, ObjectKey, RESOURCE_NAME_ANNOTATION, SriovNetwork, Switch, VlanProto,
};

/// The prefix of a resource in a rendered NAD: the operator's own default.
pub const RESOURCE_PREFIX: &str = "openshift.io";

/// The operator's annotation on a NAD that it rendered: the network that it was rendered from.
const OWNER_ANNOTATION: &str = "sriovnetwork.openshift.io/owner-ref";

/// The prefix of namespace and name in it.
const OWNER_KIND: &str = "SriovNetwork.sriovnetwork.openshift.io/";

/// The version of the CNI specification that the configuration is written in.
const CNI_VERSION: &str = "1.0.0";

/// A configuration of one plugin, or of a list where meta plugins follow.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    cni_version: &'static str,
    name: &'a str,
    #[serde(flatten)]
    body: Body<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Single(Plugin<'a>),
    List { plugins: Vec<Entry<'a>> },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Sriov(Plugin<'a>),
    Meta(&'a Map<String, Value>),
}

/// The sriov plugin's own keys, in the order in which the operator writes them.
#[derive(Serialize)]
struct Plugin<'a> {
    r#type: &'static str,
    vlan: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    spoofchk: Option<Switch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trust: Option<Switch>,
    #[serde(rename = "vlanQoS")]
    vlan_qos: u8,
    #[serde(rename = "vlanProto", skip_serializing_if = "Option::is_none")]
    vlan_proto: Option<VlanProto>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_tx_rate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tx_rate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_state: Option<LinkState>,
    #[serde(rename = "logLevel", skip_serializing_if = "Option::is_none")]
    log_level: Option<LogLevel>,
    #[serde(rename = "logFile", skip_serializing_if = "Option::is_none")]
    log_file: Option<&'a str>,
    ipam: Value,
}

/// Returns the NAD of a `SriovNetwork`: named like it, in its `networkNamespace` or its own namespace.
///
/// `vlan`, `vlanQoS` and `ipam` are always written, every other key only where it was given. The
/// JSON is the operator's but for white space and the case of `vlanProto`, which is written small.
pub fn render(network: &SriovNetwork) -> Nad {
    let namespace = network.network_namespace.as_ref().unwrap_or(&network.key.namespace);
    let resource = format!("{RESOURCE_PREFIX}/{}", network.resource_name);
    let owner = format!("{OWNER_KIND}{}", network.key);
    Nad {
        key: ObjectKey { namespace: namespace.clone(), name: network.key.name.clone() },
        annotations: BTreeMap::from([
            (RESOURCE_NAME_ANNOTATION.to_owned(), resource),
            (OWNER_ANNOTATION.to_owned(), owner),
        ]),
        resource: Some(network.resource_name.clone()),
        config: Some(config(network)),
    }
}

impl Nad {
    /// Returns the SriovNetwork that it was rendered from; none for one that people wrote.
    pub fn owner(&self) -> Option<ObjectKey> {
        self.annotations.get(OWNER_ANNOTATION)?.strip_prefix(OWNER_KIND)?.parse().ok()
    }
}

fn config(network: &SriovNetwork) -> String {
    let body = if network.meta_plugins.is_empty() {
        Body::Single(plugin(network))
    } else {
        let sriov = std::iter::once(Entry::Sriov(plugin(network)));
        Body::List { plugins: sriov.chain(network.meta_plugins.iter().map(Entry::Meta)).collect() }
    };
    let config = Config { cni_version: CNI_VERSION, name: network.key.name.as_str(), body };
    // Serializing fails only for maps with keys other than texts, of which there are none.
    serde_json::to_string(&config).unwrap_or_default()
}

fn plugin(network: &SriovNetwork) -> Plugin<'_> {
    Plugin {
        r#type: "sriov",
        vlan: network.vlan.id,
        spoofchk: network.spoof_chk,
        trust: network.trust,
        vlan_qos: network.vlan.qos,
        vlan_proto: network.vlan.proto,
        min_tx_rate: network.min_tx_rate,
        max_tx_rate: network.max_tx_rate,
        capabilities: network.capabilities.as_ref(),
        link_state: network.link_state,
        log_level: network.log_level,
        log_file: network.log_file.as_deref(),
        ipam: Value::Object(network.ipam.clone().unwrap_or_default()),
    }
}
