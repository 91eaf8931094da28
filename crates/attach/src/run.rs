use std::path::{Path, PathBuf};

use podbond_api::ObjectKey;
use podbond_cni::{ContainerId, Delegates};

use crate::{Chain, Devices, Error, NetworkStatus};

/// A pod's sandbox: what is attached to its networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// The pod.
    pub pod: ObjectKey,
    /// The pod's UID, where it is known.
    pub uid: Option<String>,
    /// `CNI_CONTAINERID`.
    pub container_id: ContainerId,
    /// `CNI_NETNS`.
    pub netns: PathBuf,
}

/// Makes attachments and takes them away.
pub struct Attacher<'a> {
    /// Through which every plugin is called.
    pub delegates: &'a Delegates<'a>,
    /// Who picks devices.
    pub devices: &'a dyn Devices,
    /// The state directory: `/var/lib/podbond`.
    pub state: &'a Path,
    /// `CNI_PATH`: where plugins are looked for.
    pub path: &'a [PathBuf],
    /// Whether a path is a network namespace that is alive: the kernel crate's `is_netns`.
    pub is_netns: &'a dyn Fn(&Path) -> bool,
}

impl Attacher<'_> {
    /// Makes the attachments of a chain in order, and gives the pod's network status. When one
    /// fails, it and those before it are taken away again in reverse.
    pub fn add(&self, _sandbox: &Sandbox, _chain: &Chain) -> Result<Vec<NetworkStatus>, Error> {
        todo!()
    }

    /// Takes a sandbox's attachments away, from their records alone, in reverse. It goes on past
    /// errors and gives them all; no records, no errors. What failed keeps its record, so that
    /// deleting again tries again.
    pub fn delete(&self, _container_id: &ContainerId) -> Vec<Error> {
        let _ = (self.delegates, self.devices, self.state, self.path, self.is_netns);
        todo!()
    }
}
