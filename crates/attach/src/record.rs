use std::path::{Path, PathBuf};

use podbond_api::ObjectKey;
use podbond_cni::ContainerId;
use podbond_names::{LinkName, PciAddress};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Error, NetnsRef, NetworkStatus};

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
    /// The configuration of each plugin, exactly as it was given at ADD.
    pub configs: Vec<Map<String, Value>>,
    /// How many of the plugins were called.
    pub called: usize,
    /// The result of the last plugin, once all have succeeded.
    pub result: Option<Value>,
}

/// The records below a state directory: `attachments/<container ID>/<interface>.json`.
#[derive(Debug, Clone)]
pub struct Records {
    directory: PathBuf,
}

impl Record {
    /// The status of the attachment; empty where its ADD did not come to its end.
    pub fn statuses(&self) -> Result<Vec<NetworkStatus>, Error> {
        todo!()
    }
}

impl Records {
    /// The records of this state directory (`/var/lib/podbond`), which need not exist.
    pub fn new(state: &Path) -> Self {
        Self { directory: state.join("attachments") }
    }

    /// The sandboxes that have records.
    pub fn containers(&self) -> Result<Vec<ContainerId>, Error> {
        let _ = &self.directory;
        todo!()
    }

    /// The records of a sandbox in the order of its chain, and an error for each file that cannot
    /// be read.
    pub fn of(&self, _container_id: &ContainerId) -> (Vec<Record>, Vec<Error>) {
        todo!()
    }

    /// All records, and an error for each file that cannot be read.
    pub fn all(&self) -> (Vec<Record>, Vec<Error>) {
        todo!()
    }
}
