//! What a CNI plugin is asked for: commands, container IDs, `CNI_ARGS`, and whole requests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use podbond_names::LinkName;
use serde::{Deserialize, Serialize};

use crate::config::{is_identifier, wanted_ip};
use crate::{Code, Failure, NetConf, Version};

/// `CNI_COMMAND`. VERSION is answered before there is a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Add a container to the network, or apply a modification.
    Add,
    /// Remove it, or undo the modification.
    Del,
    /// Check that its networking is as expected.
    Check,
    /// Check that the plugin is ready for ADD.
    Status,
    /// Clean up what no valid attachment owns.
    Gc,
}

impl Command {
    const ALL: [Self; 5] = [Self::Add, Self::Del, Self::Check, Self::Status, Self::Gc];

    /// Returns the command of this spelling.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.as_str() == text)
    }

    /// Returns the command as `CNI_COMMAND` spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Status => "STATUS",
            Self::Gc => "GC",
        }
    }

    /// Returns the first version of the specification that has the command.
    pub(crate) const fn since(self) -> Version {
        match self {
            Self::Add | Self::Del => Version::V0_1_0,
            Self::Check => Version::V0_4_0,
            Self::Status | Self::Gc => Version::V1_1_0,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `CNI_CONTAINERID`: "must start with an alphanumeric character, optionally followed by any
/// combination of one or more alphanumeric characters, underscore (), dot (.) or hyphen (-)"
/// (section "Parameters"). It is therefore a safe file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

/// The longest container ID, in bytes: of the 255 of a file name made of it there is room for a
/// character between, an interface name, and the twelve that a temporary file has beside them.
const MAX_ID_BYTES: usize = 255 - 1 - 15 - 12;

impl ContainerId {
    /// Returns the ID as the runtime gave it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ContainerId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.len() > MAX_ID_BYTES {
            Err(format!(
                "container ID {text:?} has {} bytes: at most {MAX_ID_BYTES} are possible",
                text.len()
            ))
        } else if is_identifier(&text) {
            Ok(Self(text))
        } else {
            Err(format!(
                "container ID {text:?} is malformed: it starts with a letter or digit, followed by \
                 letters, digits, `_`, `.` and `-`"
            ))
        }
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `CNI_ARGS`: pairs of key and value, as `FOO=BAR;ABC=123`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Args(pub BTreeMap<String, String>);

impl Args {
    /// Reads the pairs. A part that is not one is not shown: it may be the rest of a secret with a `;`
    /// in it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let args = Self::readable(text);
        match parts(text).position(|part| pair(part).is_none()) {
            None => Ok(args),
            Some(position) => Err(format!(
                "part {} is no pair of key and value: write it as KEY=VALUE",
                position + 1
            )),
        }
    }

    /// Reads what is a pair, and leaves out the rest.
    pub(crate) fn readable(text: &str) -> Self {
        Self(parts(text).filter_map(pair).collect())
    }

    /// Returns the value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

/// Returns the parts of `CNI_ARGS` that hold anything.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(';').filter(|part| !part.is_empty())
}

/// Returns key and value of a part of `CNI_ARGS`, if it has a key.
fn pair(part: &str) -> Option<(String, String)> {
    let (key, value) = part.split_once('=').filter(|(key, _)| !key.is_empty())?;
    Some((key.to_owned(), value.to_owned()))
}

impl fmt::Display for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (key, value)) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { ";" };
            write!(f, "{separator}{key}={value}")?;
        }
        Ok(())
    }
}

/// One operation on an attachment that a plugin is asked for (ADD, DEL, CHECK), complete and checked.
/// A plugin may keep it, for an operation that is due later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The container.
    pub container_id: ContainerId,
    /// `CNI_NETNS`: required for ADD and CHECK, may be absent for DEL.
    pub netns: Option<PathBuf>,
    /// `CNI_IFNAME`.
    pub ifname: LinkName,
    /// `CNI_ARGS`.
    pub args: Args,
    /// `CNI_PATH`.
    pub path: Vec<PathBuf>,
    /// Standard input.
    pub config: NetConf,
}

impl Request {
    /// Returns what identifies the attachment.
    pub fn attachment(&self) -> Attachment {
        Attachment { container_id: self.container_id.clone(), ifname: self.ifname.clone() }
    }

    /// Returns every address that is asked for: `IP` in `CNI_ARGS`, `args.cni.ips` and the capability
    /// `ips`, in this order, each once.
    pub fn wanted_ips(&self) -> Result<Vec<IpAddr>, Failure> {
        let mut wanted = Vec::new();
        if let Some(text) = self.args.get("IP").filter(|text| !text.is_empty()) {
            wanted.push(wanted_ip(text).map_err(|problem| {
                Failure::new(Code::INVALID_ENVIRONMENT, format!("CNI_ARGS: IP: {problem}"))
            })?);
        }
        wanted.extend(&self.config.runtime.ips);
        let mut seen = BTreeSet::new();
        wanted.retain(|ip| seen.insert(*ip));
        Ok(wanted)
    }
}

/// An operation that concerns no single attachment (STATUS, GC), complete and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeRequest {
    /// `CNI_PATH`.
    pub path: Vec<PathBuf>,
    /// Standard input.
    pub config: NetConf,
    /// `cni.dev/valid-attachments`, for GC: every attachment of the network that is still valid.
    /// Empty for STATUS.
    pub valid_attachments: BTreeSet<Attachment>,
}

/// What identifies an attachment to a network (section "Attachment Parameters").
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Attachment {
    /// The container.
    #[serde(rename = "containerID")]
    pub container_id: ContainerId,
    /// The interface's name in it.
    pub ifname: LinkName,
}

impl NodeRequest {
    /// Creates the request of a STATUS.
    pub fn status(path: Vec<PathBuf>, config: NetConf) -> Self {
        Self { path, config, valid_attachments: BTreeSet::new() }
    }

    /// Creates the request of a GC. A configuration without `cni.dev/valid-attachments` is refused, and
    /// so is one with an attachment that cannot be read: to treat it as missing would take the addresses
    /// of living containers.
    pub fn gc(path: Vec<PathBuf>, config: NetConf) -> Result<Self, Failure> {
        let key = "cni.dev/valid-attachments";
        if !config.raw.contains_key(key) {
            let problem = "is missing: GC needs the list of valid attachments";
            return Err(config.invalid(key, problem));
        }
        let keys: GcKeys = config.keys()?;
        Ok(Self { path, config, valid_attachments: keys.valid_attachments.unwrap_or_default() })
    }
}

/// libcni writes an empty list as `null`.
#[derive(Deserialize)]
struct GcKeys {
    #[serde(rename = "cni.dev/valid-attachments")]
    valid_attachments: Option<BTreeSet<Attachment>>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn args_are_written_as_they_were_read() {
        let args = Args::parse("IgnoreUnknown=1;K8S_POD_NAME=bondpod1;X=a=b;").unwrap();
        assert_eq!(args.get("K8S_POD_NAME"), Some("bondpod1"));
        assert_eq!((args.get("X"), args.get("Y")), (Some("a=b"), None));
        assert_eq!(args.to_string(), "IgnoreUnknown=1;K8S_POD_NAME=bondpod1;X=a=b");
        assert_eq!(Args::parse("").unwrap(), Args::default());
        let message = Args::parse("TOKEN=abc;def").unwrap_err();
        assert_eq!(message, "part 2 is no pair of key and value: write it as KEY=VALUE");
    }

    #[test]
    fn container_id_is_a_safe_file_name() {
        let id = |text: &str| ContainerId::try_from(text.to_owned());
        assert_eq!(id("0a_b.c-D").unwrap().as_str(), "0a_b.c-D");
        assert!(id(&"a".repeat(MAX_ID_BYTES)).is_ok());
        let long = "a".repeat(MAX_ID_BYTES + 1);
        for wrong in ["", ".", "..", "-a", "a/b", "a b", "\u{e9}", "a\n", long.as_str()] {
            assert!(id(wrong).is_err(), "{wrong:?} was accepted");
        }
    }

    #[test]
    fn addresses_are_wanted_in_order_and_once() {
        let json = json!({
            "name": "n", "type": "bond", "args": {"cni": {"ips": ["10.0.0.2/24", "10.0.0.1"]}},
            "runtimeConfig": {"ips": ["fd00::1/64", "10.0.0.2"]},
        });
        let mut request = Request {
            container_id: ContainerId("c1".to_owned()),
            netns: None,
            ifname: "net1".parse().unwrap(),
            args: Args::parse("IgnoreUnknown=1;IP=10.0.0.1").unwrap(),
            path: Vec::new(),
            config: NetConf::parse(json.to_string().as_bytes()).unwrap(),
        };
        let wanted = ["10.0.0.1", "10.0.0.2", "fd00::1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        assert_eq!(request.wanted_ips().unwrap(), wanted);
        request.args = Args::parse("IP=10.0.0").unwrap();
        assert_eq!(request.wanted_ips().unwrap_err().code, Code::INVALID_ENVIRONMENT);
    }

    fn gc(attachments: &serde_json::Value) -> Result<NodeRequest, Failure> {
        let json = json!({
            "cniVersion": "1.1.0", "name": "n", "type": "bond",
            "cni.dev/valid-attachments": attachments,
        });
        NodeRequest::gc(Vec::new(), NetConf::parse(json.to_string().as_bytes())?)
    }

    #[test]
    fn stored_request_is_checked_when_read() {
        let config = json!({"cniVersion": "1.0.0", "name": "n", "type": "bond", "mode": 1});
        let request = Request {
            container_id: ContainerId("c1".to_owned()),
            netns: Some("/run/netns/c1".into()),
            ifname: "net1".parse().unwrap(),
            args: Args::parse("K8S_POD_NAME=p").unwrap(),
            path: vec!["/opt/cni/bin".into()],
            config: NetConf::parse(config.to_string().as_bytes()).unwrap(),
        };
        let mut kept = serde_json::to_value(&request).unwrap();
        assert_eq!(kept["config"], config);
        assert_eq!(serde_json::from_value::<Request>(kept.clone()).unwrap(), request);
        kept["config"]["name"] = json!("../x");
        assert!(serde_json::from_value::<Request>(kept.clone()).is_err());
        kept["config"]["name"] = json!("n");
        kept["container_id"] = json!("../x");
        assert!(serde_json::from_value::<Request>(kept).is_err());
    }

    #[test]
    fn gc_reads_valid_attachments() {
        let request = gc(&json!([{"containerID": "c1", "ifname": "net1"}])).unwrap();
        let only = request.valid_attachments.first().unwrap();
        assert_eq!((only.container_id.as_str(), only.ifname.as_str()), ("c1", "net1"));
        assert!(gc(&json!(null)).unwrap().valid_attachments.is_empty());
    }

    #[test]
    fn gc_without_readable_list_is_refused() {
        let msg = gc(&json!([{"containerID": "a/b", "ifname": "net1"}])).unwrap_err().msg;
        assert!(msg.contains("field cni.dev/valid-attachments[0].containerID"), "{msg}");
        let config = NetConf::parse(br#"{"cniVersion":"1.1.0","name":"n","type":"bond"}"#).unwrap();
        assert!(NodeRequest::gc(Vec::new(), config).unwrap_err().msg.contains("is missing"));
    }
}
