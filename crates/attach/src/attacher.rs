//! Calls of CNI plugins for a pod's networks: what each is given, and the error for one that fails.

use std::path::PathBuf;

use podbond_cni::{CniResult, Command, ContainerId, Delegates, Failure, NetConf, PodRef, Request};
use podbond_kernel::NetnsIdentity;
use podbond_names::PciAddress;
use podbond_record::{ChainPart, Record, Records};

use crate::chain::{Attachment, Place};
use crate::cni_args::cni_args;
use crate::device_info::DeviceInfoFiles;
use crate::error::{AttachmentId, Error};
use crate::traits::Devices;

/// A pod's sandbox: the network namespace that is attached to its networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// The pod.
    pub pod: PodRef,
    /// `CNI_CONTAINERID`.
    pub container_id: ContainerId,
    /// `CNI_NETNS`.
    pub netns: PathBuf,
    /// The network of the meta-plugin that a runtime calls; none where no runtime does.
    pub meta_network: Option<String>,
}

/// ADD, DEL, CHECK and STATUS of a pod's networks through their plugins.
pub struct Attacher<'a> {
    /// How plugins are called.
    pub delegates: &'a Delegates<'a>,
    /// Where free devices come from.
    pub devices: &'a dyn Devices,
    /// The node's records of attachments.
    pub records: &'a Records,
    /// `CNI_PATH`.
    pub path: &'a [PathBuf],
    /// The files in which device plugins and CNI plugins describe devices.
    pub device_info: &'a DeviceInfoFiles,
}

impl Attacher<'_> {
    /// Reports something about an attachment that is no reason to fail.
    pub(crate) fn warn(&self, record: &Record, what: &str) {
        let Some(chain) = &record.chain else { return };
        let Some(config) = chain.configs.first() else { return };
        let request = self.request(record, chain, None, config.clone(), None);
        let id = AttachmentId::from(record);
        self.delegates.warn(Command::Add, &request, "warning", &format_args!("{id}: {what}"));
    }

    /// Returns the request to a plugin of an attachment.
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
            args: cni_args(record, chain),
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

impl Sandbox {
    /// Returns the record of an attachment before any of its plugins is called.
    pub(crate) fn record(
        &self,
        netns: Option<NetnsIdentity>,
        attachment: &Attachment,
        device: Option<PciAddress>,
        position: usize,
    ) -> Record {
        let chain = ChainPart {
            position,
            nad: attachment.nad.clone(),
            default_network: Some(attachment.place == Place::Default),
            meta_network: self.meta_network.clone(),
            resource: attachment.resource.clone(),
            device,
            device_info: None,
            configs: attachment.configs(device),
            args: attachment.args.clone(),
            called: 0,
            so_far: None,
            result: None,
        };
        Record::of_chain(
            self.container_id.clone(),
            attachment.ifname.clone(),
            self.pod.clone(),
            attachment.network.clone(),
            netns,
            chain,
        )
    }

    /// Returns which attachment of the sandbox an error is about.
    pub fn attachment_id(&self, attachment: &Attachment) -> AttachmentId {
        AttachmentId {
            pod: Some(self.pod.clone()),
            container_id: self.container_id.clone(),
            ifname: attachment.ifname.clone(),
            network: attachment.name(),
        }
    }
}
