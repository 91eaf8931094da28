//! Calling the plugins of a pod's networks.

use std::path::PathBuf;

use podbond_cni::{
    Args, CniResult, Command, ContainerId, Delegates, Failure, NetConf, PodRef, Request,
};
use podbond_record::{ChainPart, Record, Records};

use crate::{AttachmentId, Devices, Error};

/// The keys of `CNI_ARGS` that name the pod.
pub(crate) const OF_POD: [&str; 5] = [
    "IgnoreUnknown",
    "K8S_POD_NAMESPACE",
    "K8S_POD_NAME",
    "K8S_POD_INFRA_CONTAINER_ID",
    "K8S_POD_UID",
];

/// A pod's sandbox: what is attached to its networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// The pod.
    pub pod: PodRef,
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
    /// What is remembered of attachments.
    pub records: &'a Records,
    /// `CNI_PATH`: where plugins are looked for.
    pub path: &'a [PathBuf],
}

impl Attacher<'_> {
    /// Returns what a plugin of an attachment is given.
    pub(crate) fn request(
        &self,
        record: &Record,
        chain: &ChainPart,
        netns: Option<PathBuf>,
        mut config: NetConf,
        previous: Option<CniResult>,
    ) -> Request {
        config.set_prev_result(previous);
        Request {
            container_id: record.container_id.clone(),
            netns,
            ifname: record.ifname.clone(),
            args: args(record, chain),
            path: self.path.to_vec(),
            config,
        }
    }
}

/// Returns the error for a plugin's failure.
pub(crate) fn plugin_failed(
    attachment: AttachmentId,
    plugin: &str,
    command: Command,
    failure: Failure,
) -> Error {
    Error::Plugin {
        attachment: Box::new(attachment),
        plugin: plugin.to_owned(),
        command,
        failure: Box::new(failure),
    }
}

/// Returns `CNI_ARGS` as kubelet's runtimes and Multus give them: plugins find the pod by them.
fn args(record: &Record, chain: &ChainPart) -> Args {
    let mut pairs = chain.args.0.clone();
    let pod = record.pod.as_ref();
    let values = [
        Some("1".to_owned()),
        pod.map(|pod| pod.namespace.to_string()),
        pod.map(|pod| pod.name.to_string()),
        Some(record.container_id.to_string()),
        pod.and_then(|pod| pod.uid.as_ref().map(ToString::to_string)),
    ];
    for (key, value) in OF_POD.into_iter().zip(values) {
        pairs.extend(value.map(|value| (key.to_owned(), value)));
    }
    Args(pairs)
}
