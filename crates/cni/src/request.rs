use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use podbond_names::LinkName;
use serde::{Deserialize, Serialize};

use crate::NetConf;

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

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Status => "STATUS",
            Self::Gc => "GC",
        })
    }
}

/// `CNI_CONTAINERID`: "must start with an alphanumeric character, optionally followed by any
/// combination of one or more alphanumeric characters, underscore (), dot (.) or hyphen (-)"
/// (section "Parameters"). It is therefore a safe file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

impl ContainerId {
    /// The ID as the runtime gave it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ContainerId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let rest =
            text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if first && rest && text.len() <= 255 - 16 {
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args(pub BTreeMap<String, String>);

impl Args {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

/// One operation that a plugin is asked for, complete and checked.
#[derive(Debug, Clone, PartialEq)]
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
