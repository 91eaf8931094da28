//! `SriovNetwork`: the SR-IOV operator's network over the VFs of one resource.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fields::Fields;
use crate::{FieldError, Namespace, ObjectKey, Reason, ResourceName, json_text};

/// A `SriovNetwork` (`sriovnetwork.openshift.io/v1`): a network over the VFs of one resource, from
/// which [`render`](crate::render) makes the NAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SriovNetwork {
    /// Namespace and name.
    pub key: ObjectKey,
    /// The namespace that its NAD belongs in; absent: its own.
    pub network_namespace: Option<Namespace>,
    /// The pool whose VFs are used.
    pub resource_name: ResourceName,
    /// The VLAN of the VF's traffic.
    pub vlan: Vlan,
    /// Whether the card drops frames with another source MAC than the VF's.
    pub spoof_chk: Option<Switch>,
    /// Whether the VF may change its MAC and enter promiscuous mode.
    pub trust: Option<Switch>,
    /// The link state that the VF sees.
    pub link_state: Option<LinkState>,
    /// Guaranteed transmit rate in Mbit/s; 0 is none.
    pub min_tx_rate: Option<u32>,
    /// Transmit limit in Mbit/s; 0 is none.
    pub max_tx_rate: Option<u32>,
    /// Capabilities that the runtime may use, as `{"ips": true}`.
    pub capabilities: Option<Map<String, Value>>,
    /// Configuration of the IPAM plugin.
    pub ipam: Option<Map<String, Value>>,
    /// Plugins that run after the sriov plugin, in order.
    pub meta_plugins: Vec<Map<String, Value>>,
    /// Verbosity of the sriov plugin.
    pub log_level: Option<LogLevel>,
    /// Where the sriov plugin logs.
    pub log_file: Option<String>,
}

/// The VLAN that a card puts a VF's traffic into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vlan {
    /// VLAN id 1..=4094; 0 is no VLAN.
    pub id: u16,
    /// Priority 0..=7.
    pub qos: u8,
    /// Absent: 802.1q.
    pub proto: Option<VlanProto>,
}

/// The tag of a VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum VlanProto {
    /// A customer tag.
    #[serde(rename = "802.1q", alias = "802.1Q")]
    Dot1q,
    /// A service tag, outside of a customer's own.
    #[serde(rename = "802.1ad", alias = "802.1AD")]
    Dot1ad,
}

/// A setting of a VF that is on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// `on`
    On,
    /// `off`
    Off,
}

/// The link state that a PF shows to a VF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// The PF's own.
    Auto,
    /// Up, whatever the PF's is: a bond does not see the PF go down.
    Enable,
    /// Down.
    Disable,
}

/// Verbosity of the sriov plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of log levels everywhere")]
pub enum LogLevel {
    Panic,
    Error,
    Warning,
    Info,
    Debug,
}

impl SriovNetwork {
    pub(crate) fn read(key: ObjectKey, spec: &Fields<'_>) -> Result<Self, FieldError> {
        let resource_name =
            spec.required("resourceName", "the resource whose VFs the network uses")?;
        let (min_tx_rate, max_tx_rate) = rates(spec)?;
        Ok(Self {
            key,
            network_namespace: spec.parsed("networkNamespace")?,
            resource_name,
            vlan: vlan(spec)?,
            spoof_chk: spec.choice("spoofChk")?,
            trust: spec.choice("trust")?,
            link_state: spec.choice("linkState")?,
            min_tx_rate,
            max_tx_rate,
            capabilities: json_object(spec, "capabilities")?,
            ipam: json_object(spec, "ipam")?,
            meta_plugins: meta_plugins(spec)?,
            log_level: spec.choice("logLevel")?,
            log_file: spec.text("logFile")?.map(str::to_owned),
        })
    }
}

/// Reads the VLAN. The sriov plugin refuses a priority or a service tag without one, and so does this,
/// before a pod waits for it.
fn vlan(spec: &Fields<'_>) -> Result<Vlan, FieldError> {
    let id = spec.integer("vlan", 0..=4094)?.unwrap_or(0);
    let qos = spec.integer("vlanQoS", 0..=7)?.unwrap_or(0);
    let proto = spec.choice("vlanProto")?;
    let (field, given) = match (id, qos, proto) {
        (0, 1.., _) => ("vlanQoS", qos.to_string()),
        (0, 0, Some(VlanProto::Dot1ad)) => ("vlanProto", "802.1ad".to_owned()),
        _ => return Ok(Vlan { id, qos, proto }),
    };
    let help = format!("set spec.vlan, or leave {field} out");
    Err(spec.error(field, Reason::conflict(given, "spec.vlan is 0", help)))
}

fn rates(spec: &Fields<'_>) -> Result<(Option<u32>, Option<u32>), FieldError> {
    let min: Option<u32> = spec.integer("minTxRate", 0..=u32::MAX)?;
    let max: Option<u32> = spec.integer("maxTxRate", 0..=u32::MAX)?;
    match (min, max) {
        (Some(min), Some(max)) if max != 0 && min > max => {
            let other = format!("spec.maxTxRate is {max} Mbit/s");
            let help = "give a minimum that is not above the maximum";
            Err(spec.error("minTxRate", Reason::conflict(format!("{min} Mbit/s"), other, help)))
        }
        rates => Ok(rates),
    }
}

fn json_object(spec: &Fields<'_>, name: &str) -> Result<Option<Map<String, Value>>, FieldError> {
    let Some(text) = spec.text(name)? else { return Ok(None) };
    json_text::object(text).map(Some).map_err(|reason| spec.error(name, reason))
}

fn meta_plugins(spec: &Fields<'_>) -> Result<Vec<Map<String, Value>>, FieldError> {
    let Some(text) = spec.text("metaPlugins")? else { return Ok(Vec::new()) };
    let plugins = json_text::objects(text).map_err(|reason| spec.error("metaPlugins", reason))?;
    for (position, plugin) in plugins.iter().enumerate() {
        if !plugin.get("type").is_some_and(Value::is_string) {
            let path = format!("metaPlugins[{position}].type");
            return Err(spec.error(&path, Reason::missing("the name of the plugin")));
        }
    }
    Ok(plugins)
}
