use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use podbond_api::ObjectKey;
use podbond_cni::{Args, CniResult, ContainerId, NetConf};
use podbond_names::{LinkName, PciAddress};
use podbond_state::{names, read as read_file, remove, sweep, writable, write};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::status::{Subject, statuses};
use crate::{Error, NetnsRef, NetworkStatus};

/// The layout of a record. Another number is not understood: to guess would remove wrong things.
const VERSION: u64 = 1;

/// What is written down of an attachment before its first plugin is called: all that its DEL needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The sandbox; with `ifname` the key.
    pub container_id: ContainerId,
    /// The interface.
    pub ifname: LinkName,
    /// The pod.
    pub pod: ObjectKey,
    /// The pod's UID, where it is known.
    pub uid: Option<String>,
    /// The sandbox's network namespace.
    pub netns: NetnsRef,
    /// Place in the chain, from 0.
    pub position: usize,
    /// The NAD; none for the default network.
    pub nad: Option<ObjectKey>,
    /// The network's name in its CNI configuration.
    pub network: String,
    /// The device that it holds.
    pub device: Option<PciAddress>,
    /// The configuration of each plugin, exactly as it is given at ADD but for `prevResult`.
    #[serde(with = "configs")]
    pub configs: Vec<NetConf>,
    /// `CNI_ARGS` of who called, beside what names the pod. They may hold secrets.
    #[serde(default, skip_serializing_if = "is_none")]
    pub args: Args,
    /// How many of the plugins were called, the last of them perhaps without an answer.
    pub called: usize,
    /// The result of the last plugin that answered, until all have.
    #[serde(default, with = "result", skip_serializing_if = "Option::is_none")]
    pub so_far: Option<CniResult>,
    /// The result of the last plugin, once all have succeeded.
    #[serde(with = "result")]
    pub result: Option<CniResult>,
}

impl Record {
    /// What the status calls the network.
    pub fn name(&self) -> String {
        self.nad.as_ref().map_or_else(|| self.network.clone(), ToString::to_string)
    }

    /// The status of the attachment; empty where its ADD did not come to its end.
    pub fn statuses(&self) -> Vec<NetworkStatus> {
        let subject = Subject {
            name: self.name(),
            ifname: &self.ifname,
            is_default: self.nad.is_none(),
            device: self.device,
        };
        self.result.as_ref().map_or_else(Vec::new, |result| statuses(&subject, result))
    }
}

/// The records below a state directory: `attachments/<container ID>/<interface>.json`. Both parts
/// of a path are types that hold no `/` and are never `.` or `..`.
#[derive(Debug, Clone)]
pub struct Records {
    directory: PathBuf,
}

impl Records {
    /// The records of this state directory (`/var/lib/podbond`), which need not exist.
    pub fn new(state: &Path) -> Self {
        Self { directory: state.join("attachments") }
    }

    /// The sandboxes that have records.
    pub fn containers(&self) -> Result<Vec<ContainerId>, Error> {
        let names = names(&self.directory)?;
        Ok(names.into_iter().filter_map(|name| ContainerId::try_from(name).ok()).collect())
    }

    /// The records of a sandbox in the order of its chain, and an error for each file that cannot
    /// be read.
    pub fn of(&self, container_id: &ContainerId) -> (Vec<Record>, Vec<Error>) {
        let directory = self.directory.join(container_id.as_str());
        let names = match names(&directory) {
            Ok(names) => names,
            Err(error) => return (Vec::new(), vec![error.into()]),
        };
        let (mut records, mut errors) = (Vec::new(), Vec::new());
        for ifname in names.iter().filter_map(|name| name.strip_suffix(".json")) {
            match read(&directory.join(format!("{ifname}.json")), container_id, ifname) {
                Ok(record) => records.push(record),
                Err(error) => errors.push(error),
            }
        }
        records.sort_by_key(|record| record.position);
        (records, errors)
    }

    /// All records, and an error for each file that cannot be read.
    pub fn all(&self) -> (Vec<Record>, Vec<Error>) {
        let containers = match self.containers() {
            Ok(containers) => containers,
            Err(error) => return (Vec::new(), vec![error]),
        };
        let (mut records, mut errors) = (Vec::new(), Vec::new());
        for container_id in containers {
            let (of_container, wrong) = self.of(&container_id);
            records.extend(of_container);
            errors.extend(wrong);
        }
        (records, errors)
    }

    /// How long ago a record was last written, as it is before each of its plugins is called; none where
    /// it is not there any more.
    pub fn age(&self, record: &Record) -> Option<Duration> {
        let written =
            fs::metadata(self.path(record)).and_then(|metadata| metadata.modified()).ok()?;
        Some(written.elapsed().unwrap_or_default())
    }

    /// Whether records can be written: it is tried.
    pub(crate) fn writable(&self) -> Result<(), Error> {
        Ok(writable(&self.directory)?)
    }

    fn path(&self, record: &Record) -> PathBuf {
        let file = format!("{}.json", record.ifname);
        self.directory.join(record.container_id.as_str()).join(file)
    }

    /// Writes a record whole or not at all: what follows must be undone from it.
    pub(crate) fn write(&self, record: &Record) -> Result<(), Error> {
        let path = self.path(record);
        let wrong = |error: serde_json::Error| Error::Record {
            path: path.clone(),
            problem: format!("cannot be written ({error})"),
        };
        Ok(write(&path, to_text(record).map_err(wrong)?.as_bytes())?)
    }

    /// Removes a record, and the sandbox's directory with the last one.
    pub(crate) fn remove(&self, record: &Record) -> Result<(), Error> {
        remove(&self.path(record))?;
        self.remove_unfinished(&record.container_id)
    }

    /// Removes what a crash left of writing a record: nothing had been done for it yet. The
    /// sandbox's directory goes too, once it is empty.
    pub(crate) fn remove_unfinished(&self, container_id: &ContainerId) -> Result<(), Error> {
        Ok(sweep(&self.directory.join(container_id.as_str()))?)
    }
}

fn read(path: &Path, container_id: &ContainerId, ifname: &str) -> Result<Record, Error> {
    let wrong = |problem: String| Error::Record { path: path.to_owned(), problem };
    let record = parse(&read_file(path)?.unwrap_or_default()).map_err(wrong)?;
    if record.container_id != *container_id || record.ifname.as_str() != ifname {
        let (container_id, ifname) = (&record.container_id, &record.ifname);
        return Err(wrong(format!("is that of container {container_id} and interface {ifname}")));
    }
    Ok(record)
}

/// A record as it is kept.
pub(crate) fn to_text(record: &Record) -> serde_json::Result<String> {
    let mut value = serde_json::to_value(record)?;
    value["version"] = VERSION.into();
    Ok(value.to_string())
}

/// Reads what [`to_text`] wrote. The error continues a sentence that begins with the file.
pub(crate) fn parse(text: &[u8]) -> Result<Record, String> {
    let mut value: Map<String, Value> =
        serde_json::from_slice(text).map_err(|error| format!("does not parse ({error})"))?;
    let version = value.remove("version").unwrap_or_default();
    if version != VERSION {
        return Err(format!(
            "has version {version}, of which this podbond knows {VERSION} alone (delete the pod \
             with the podbond that made it)"
        ));
    }
    serde_json::from_value(Value::Object(value)).map_err(|error| format!("is wrong ({error})"))
}

fn is_none(args: &Args) -> bool {
    args.0.is_empty()
}

mod configs {
    use podbond_cni::NetConf;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::{Map, Value};

    pub(super) fn serialize<S: Serializer>(all: &[NetConf], to: S) -> Result<S::Ok, S::Error> {
        all.iter().map(|config| &config.raw).collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<NetConf>, D::Error> {
        let all = Vec::<Map<String, Value>>::deserialize(from)?;
        all.into_iter().map(|raw| NetConf::from_map(raw).map_err(D::Error::custom)).collect()
    }
}

mod result {
    use podbond_cni::{CniResult, Version};
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    /// The version that can say everything.
    const VERSION: Version = Version::V1_1_0;

    #[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
    pub(super) fn serialize<S: Serializer>(
        result: &Option<CniResult>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        result.as_ref().map(|result| result.to_value(VERSION)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<CniResult>, D::Error> {
        let value = Option::<Value>::deserialize(from)?;
        let read = |value| CniResult::from_value(&value, VERSION).map_err(D::Error::custom);
        value.map(read).transpose()
    }
}

#[cfg(test)]
mod tests;
