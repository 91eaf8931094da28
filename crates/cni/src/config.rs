//! The network configuration: what the CNI specification names in it is parsed and checked here.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use podbond_names::Mac;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::go_json::{Document, field, merge_spellings, set_field};
use crate::json_fields::fields;
use crate::nesting::{MAX_DEPTH, nests_deeper};
use crate::{CniResult, Code, Failure, Version};

/// The longest configuration that is read, in bytes: room for a GC with thousands of attachments.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// The key of `prevResult`.
pub(crate) const PREV_RESULT: &str = "prevResult";

/// The longest network name: it is a file name in the state of some plugins.
const MAX_NAME_BYTES: usize = 255;

/// One plugin's network configuration, as it arrives on standard input.
///
/// What the specification names is parsed and checked here; a plugin reads its own keys with
/// [`NetConf::keys`]. As a part of a record it is its object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct NetConf {
    /// `cniVersion`; 0.1.0 where it is absent.
    pub version: Version,
    /// `name`: of the network. Checked against the specification's charset, so that it may be a
    /// file name.
    pub name: String,
    /// `type`: of the plugin; a file name without `/`.
    pub plugin: String,
    /// `ipam.type`, where there is an `ipam` with a type.
    pub ipam: Option<String>,
    /// `prevResult`, where there is one.
    pub prev_result: Option<CniResult>,
    /// `runtimeConfig`.
    pub runtime: RuntimeConfig,
    /// The whole object, with the keys above.
    pub raw: Map<String, Value>,
}

/// The dynamic part of a configuration that the runtime fills in by capability.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RuntimeConfig {
    /// Addresses asked for, without the prefix length that some have: those of `args.cni.ips`, an older
    /// way to ask, and those of the capability `ips`.
    #[serde(deserialize_with = "addresses")]
    pub ips: Vec<IpAddr>,
    /// Capability `mac`.
    #[serde(deserialize_with = "mac_or_empty")]
    pub mac: Option<Mac>,
}

impl NetConf {
    /// Reads a configuration. Errors give line and column of what does not parse, and the field of
    /// what is invalid.
    pub fn parse(json: &[u8]) -> Result<Self, Failure> {
        Self::from_map(decode(json)?)
    }

    /// Reads a configuration that is JSON already.
    pub fn from_map(mut raw: Map<String, Value>) -> Result<Self, Failure> {
        merge_spellings(&mut raw);
        if let Some((key, _)) = raw.iter().find(|(_, value)| nests_deeper(value, MAX_DEPTH - 1)) {
            let msg = format!(
                "the network configuration: field {key} nests more than {MAX_DEPTH} levels deep: \
                 flatten it"
            );
            return Err(Failure::new(Code::INVALID_CONFIG, msg));
        }
        let version = match field(&raw, "cniVersion") {
            None | Some(Value::Null) => Version::V0_1_0,
            Some(Value::String(text)) if text.is_empty() => Version::V0_1_0,
            Some(Value::String(text)) => Version::parse(text).ok_or_else(|| unknown(text))?,
            Some(other) => {
                let msg = format!("field cniVersion is {other}: write a string, like \"1.0.0\"");
                return Err(Failure::new(Code::INVALID_CONFIG, msg));
            }
        };
        let keys: StandardKeys = fields("the network configuration", &raw)?;
        let name = network_name(keys.name)?;
        let plugin = file_name(&name, "type", keys.plugin)?
            .ok_or_else(|| invalid(&name, "type", "is missing: name the plugin, like \"bond\""))?;
        let ipam = file_name(&name, "ipam.type", keys.ipam.and_then(|ipam| ipam.plugin))?;
        let prev_result = match field(&raw, PREV_RESULT) {
            None | Some(Value::Null) => None,
            Some(value) => Some(CniResult::from_value(value, version).map_err(|failure| {
                invalid(&name, PREV_RESULT, format_args!("does not parse: {}", failure.msg))
            })?),
        };
        let mut runtime = keys.runtime.unwrap_or_default();
        let from_args = keys.args.and_then(|args| args.cni).unwrap_or_default().ips;
        runtime.ips.splice(..0, from_args);
        Ok(Self { version, name, plugin, ipam, prev_result, runtime, raw })
    }

    /// Returns the value of a key, found as Go's encoding/json finds it; null counts as absent.
    pub fn get(&self, key: &str) -> Option<&Value> {
        field(&self.raw, key)
    }

    /// Returns whether it names a log file, as sriov-cni's and Multus' may: podbond writes none that a
    /// network's author names.
    pub fn has_log_file(&self) -> bool {
        let file = self.get("logFile").and_then(Value::as_str);
        file.is_some_and(|file| !file.is_empty())
    }

    /// Reads the plugin's own keys. An error names the field, with the path to it.
    pub fn keys<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        fields(format_args!("network {:?}", self.name), &self.raw)
    }

    /// Returns the failure of a field, of which `problem` says what is wrong.
    pub(crate) fn invalid(&self, field: &str, problem: impl fmt::Display) -> Failure {
        invalid(&self.name, field, problem)
    }

    /// Sets or removes `prevResult`, here and in [`raw`](Self::raw).
    pub fn set_prev_result(&mut self, result: Option<CniResult>) {
        let value = result.as_ref().map(|result| result.to_value(self.version));
        set_field(&mut self.raw, PREV_RESULT, value);
        self.prev_result = result;
    }
}

impl TryFrom<Map<String, Value>> for NetConf {
    type Error = Failure;

    fn try_from(raw: Map<String, Value>) -> Result<Self, Failure> {
        Self::from_map(raw)
    }
}

impl From<NetConf> for Map<String, Value> {
    fn from(config: NetConf) -> Self {
        config.raw
    }
}

/// Reads the object on standard input.
pub(crate) fn decode(json: &[u8]) -> Result<Map<String, Value>, Failure> {
    let problem = if json.len() > MAX_BYTES {
        format!("is longer than {MAX_BYTES} bytes: shorten it")
    } else if json.iter().all(u8::is_ascii_whitespace) {
        "is empty: write {…}".to_owned()
    } else {
        match serde_json::from_slice::<Document>(json) {
            Ok(Document(Value::Object(object))) => return Ok(object),
            // What is there instead nobody knows: it is not shown.
            Ok(_) => "is no JSON object: write {…}".to_owned(),
            Err(error) => format!("is no JSON object: {error}"),
        }
    };
    let msg = format!("the network configuration on standard input {problem}");
    Err(Failure::new(Code::DECODE, msg))
}

fn unknown(text: &str) -> Failure {
    let supported = Version::ALL.map(Version::as_str);
    let msg = format!(
        "field cniVersion is {text:?}, which podbond does not speak: use one of {}",
        supported.join(", ")
    );
    Failure::new(Code::INCOMPATIBLE_VERSION, msg)
}

fn invalid(network: &str, field: &str, problem: impl fmt::Display) -> Failure {
    Failure::new(Code::INVALID_CONFIG, format!("network {network:?}: field {field} {problem}"))
}

/// "Must start with an alphanumeric character, optionally followed by any combination of one or
/// more alphanumeric characters, underscore, dot (.) or hyphen (-). Must not contain characters
/// disallowed in file paths" (section "Configuration format").
fn network_name(name: Option<String>) -> Result<String, Failure> {
    let name = name.unwrap_or_default();
    let problem = if name.is_empty() {
        "is missing: give the network a name".to_owned()
    } else if name.len() > MAX_NAME_BYTES {
        format!("has {} bytes: at most {MAX_NAME_BYTES} are possible", name.len())
    } else if !is_identifier(&name) {
        format!(
            "is {name:?}: it starts with a letter or digit, followed by letters, digits, `_`, `.` \
             and `-`"
        )
    } else {
        return Ok(name);
    };
    let msg = format!("the network configuration: field name {problem}");
    Err(Failure::new(Code::INVALID_CONFIG, msg))
}

/// Returns true for the charset that the specification gives to container IDs and network names. No
/// such text is `.`, `..` or holds `/`.
pub(crate) fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Returns true if the name of a plugin stays within the directory that it is looked for in.
pub(crate) fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\0']) && !matches!(name, "." | "..")
}

/// Checks the name of a plugin: "Must not contain characters disallowed in file paths for the system"
/// (section "Plugin configuration objects"). It is looked for in the directories of `CNI_PATH`,
/// and must not lead out of them. An empty name counts as absent, as Go
/// programs write it.
fn file_name(network: &str, field: &str, name: Option<String>) -> Result<Option<String>, Failure> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(None) };
    if !is_file_name(&name) {
        return Err(invalid(network, field, format_args!("is {name:?}: it must be a file name")));
    }
    Ok(Some(name))
}

/// The keys that the specification and its conventions name.
#[derive(Deserialize)]
struct StandardKeys {
    name: Option<String>,
    #[serde(rename = "type")]
    plugin: Option<String>,
    ipam: Option<IpamKeys>,
    #[serde(rename = "runtimeConfig")]
    runtime: Option<RuntimeConfig>,
    args: Option<ArgsKeys>,
}

#[derive(Deserialize)]
struct IpamKeys {
    #[serde(rename = "type")]
    plugin: Option<String>,
}

#[derive(Deserialize)]
struct ArgsKeys {
    cni: Option<CniArgsKeys>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CniArgsKeys {
    #[serde(deserialize_with = "addresses")]
    ips: Vec<IpAddr>,
}

/// An address that is asked for.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct WantedIp(IpAddr);

impl TryFrom<String> for WantedIp {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        wanted_ip(&text).map(Self)
    }
}

/// Reads an address that is asked for, with or without prefix length.
pub(crate) fn wanted_ip(text: &str) -> Result<IpAddr, String> {
    let address = text.parse::<IpNet>().map(|net| net.addr()).or_else(|_| text.parse());
    address.map_err(|_| format!("{text:?} is no address, like 10.56.217.5 or 10.56.217.5/24"))
}

/// Reads a list of addresses that are asked for; `null` is none.
fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    let wanted = Option::<Vec<WantedIp>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(wanted.into_iter().map(|ip| ip.0).collect())
}

/// Reads an address; an empty one counts as absent, as Go programs write it.
fn mac_or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Mac>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

#[cfg(test)]
mod tests;
