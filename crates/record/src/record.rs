//! The record of an attachment: its key, pod, network namespace, devices, ADD, links before and pending lease.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use podbond_api::{ObjectKey, ResourceName};
use podbond_cni::{Args, Attachment, CniResult, ContainerId, NetConf, PodRef, Request};
use podbond_kernel::{NetnsIdentity, NetnsState};
use podbond_names::{LinkName, PciAddress};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Error;

/// The version of the form of records. A record of another version is treated as unreadable.
pub(crate) const VERSION: u32 = 1;

/// How many characters of a container ID are shown, as by `crictl`.
const SHORT_ID: usize = 12;

/// How much of an IPAM plugin's message is recorded, in bytes.
const MAX_PROBLEM: usize = 4096;

/// The state of an attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its ADD has begun, and may have changed any link that the record names.
    Prepared,
    /// Its ADD has succeeded.
    Active,
    /// Its DEL has begun.
    Releasing,
    /// Its links are back, and its IPAM plugin has not taken back the lease.
    IpamPending,
}

impl State {
    /// Returns the state's name, as written and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Active => "active",
            Self::Releasing => "releasing",
            Self::IpamPending => "ipam-pending",
        }
    }
}

/// The record of an attachment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// `CNI_CONTAINERID`; with `ifname` the key.
    pub container_id: ContainerId,
    /// `CNI_IFNAME`.
    pub ifname: LinkName,
    /// Its state.
    pub state: State,
    /// When its ADD began, in s since 1970; shown to people only.
    #[serde(default)]
    pub begun: u64,
    /// The pod, where `CNI_ARGS` name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodRef>,
    /// The network's name in its CNI configuration.
    pub network: String,
    /// The pod's network namespace; none where only the lease remains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns: Option<NetnsIdentity>,
    /// The PCI functions that it holds: its VF, or those of its bond's ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<PciAddress>,
    /// The ADD of our own plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add: Option<Add>,
    /// The links that our own plugin has changed, as they were before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkPart>,
    /// The part of the meta-plugin or of `podbond apply`, where it calls the plugins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainPart>,
    /// The IPAM plugin's message when it did not take back the lease, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipam_problem: Option<String>,
}

/// The ADD of a plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Add {
    /// Its configuration without `prevResult`.
    pub config: NetConf,
    /// `CNI_ARGS`. They may hold secrets.
    pub args: Args,
    /// `CNI_PATH`.
    pub path: Vec<PathBuf>,
    /// The plugin's result; none before its success.
    #[serde(default, with = "crate::result", skip_serializing_if = "Option::is_none")]
    pub result: Option<CniResult>,
}

/// The links that a plugin has changed, as they were before, in the plugin's own form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkPart {
    /// The plugin: `bond` or `sriov`.
    pub plugin: String,
    /// Its own data.
    data: Value,
}

/// An attachment as a part of a pod's chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainPart {
    /// Position in the chain, from 0.
    pub position: usize,
    /// The NAD; none for a network without one.
    pub nad: Option<ObjectKey>,
    /// Whether it is the pod's default network. Where a record does not say so, that is a network without
    /// a NAD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_network: Option<bool>,
    /// The network of the meta-plugin that a runtime called; none where `podbond apply` made the attachment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta_network: Option<String>,
    /// The resource from which the device was taken, if from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceName>,
    /// The device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<PciAddress>,
    /// The configuration of each plugin at ADD, without `prevResult`.
    pub configs: Vec<NetConf>,
    /// `CNI_ARGS` of the meta-plugin, without those that name the pod.
    pub args: Args,
    /// `device-info` of the pod's status, from the file that a device plugin or CNI plugin wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_info: Option<Map<String, Value>>,
    /// How many of the plugins were called; the last of them may have failed.
    pub called: usize,
    /// The result of the last plugin that succeeded, until all have.
    #[serde(default, with = "crate::result", skip_serializing_if = "Option::is_none")]
    pub so_far: Option<CniResult>,
    /// The result of the last plugin, once all have succeeded.
    #[serde(default, with = "crate::result", skip_serializing_if = "Option::is_none")]
    pub result: Option<CniResult>,
}

impl ChainPart {
    /// Returns whether it is the pod's default network.
    pub fn is_default(&self) -> bool {
        self.default_network.unwrap_or(self.nad.is_none())
    }
}

impl LinkPart {
    /// Returns the part of a plugin with this data; an error where it cannot be written as JSON.
    pub fn new(plugin: &str, data: &impl Serialize) -> Result<Self, Error> {
        let data =
            serde_json::to_value(data).map_err(|error| Error::Unwritten(error.to_string()))?;
        Ok(Self { plugin: plugin.to_owned(), data })
    }
}

impl Record {
    /// Returns the record of an ADD that begins in this namespace.
    pub fn of_add(request: &Request, netns: NetnsIdentity) -> Self {
        Self { state: State::Prepared, netns: Some(netns), ..Self::of(request) }
    }

    /// Returns the record of an attachment of which only the lease remains, from its DEL.
    pub fn of_del(request: &Request) -> Self {
        Self { state: State::IpamPending, ..Self::of(request) }
    }

    fn of(request: &Request) -> Self {
        let mut config = request.config.clone();
        config.set_prev_result(None);
        let (args, path) = (request.args.clone(), request.path.clone());
        Self {
            container_id: request.container_id.clone(),
            ifname: request.ifname.clone(),
            state: State::Prepared,
            begun: now(),
            pod: request.pod(),
            network: request.config.name.clone(),
            netns: None,
            devices: Vec::new(),
            add: Some(Add { config, args, path, result: None }),
            link: None,
            chain: None,
            ipam_problem: None,
        }
    }

    /// Returns the record of one network of a pod's chain before any of its plugins is called.
    pub fn of_chain(
        container_id: ContainerId,
        ifname: LinkName,
        pod: PodRef,
        network: String,
        netns: Option<NetnsIdentity>,
        chain: ChainPart,
    ) -> Self {
        Self {
            container_id,
            ifname,
            state: State::Prepared,
            begun: now(),
            pod: Some(pod),
            network,
            netns,
            devices: chain.device.into_iter().collect(),
            add: None,
            link: None,
            chain: Some(chain),
            ipam_problem: None,
        }
    }

    /// Returns the key.
    pub fn attachment(&self) -> Attachment {
        Attachment { container_id: self.container_id.clone(), ifname: self.ifname.clone() }
    }

    /// Returns what a plugin has recorded of its links; none where it has recorded nothing, or where it is
    /// of an earlier boot.
    pub fn link<T: DeserializeOwned>(&self, plugin: &str) -> Option<T> {
        let link = self.link.as_ref().filter(|link| link.plugin == plugin)?;
        let is_void = self.netns.as_ref().is_some_and(|netns| !netns.is_of_this_boot());
        if is_void { None } else { T::deserialize(&link.data).ok() }
    }

    /// Returns the state of the attachment's network namespace: gone where none is recorded.
    pub fn netns_state(&self) -> NetnsState {
        self.netns.as_ref().map_or(NetnsState::Gone, NetnsIdentity::state)
    }

    /// Returns whether the attachment is orphaned: its namespace is certainly over, or only its lease
    /// remains.
    pub fn is_orphan(&self) -> bool {
        self.state == State::IpamPending || self.netns_state().is_over()
    }

    /// Returns whether it keeps a PCI function from others.
    pub fn holds(&self, device: PciAddress) -> bool {
        self.state != State::IpamPending && self.devices.contains(&device)
    }

    /// Returns whether the record must outlive the kernel, since a lease does.
    pub fn has_ipam(&self) -> bool {
        let add = self.add.iter().map(|add| &add.config);
        let chain = self.chain.iter().flat_map(|chain| &chain.configs);
        add.chain(chain).any(|config| config.ipam.is_some())
    }

    /// Returns the DEL of the recorded ADD: its configuration with its result, and `path` before its own
    /// `CNI_PATH`. Its namespace is that of the record while it is alive. None where no ADD of a plugin of
    /// ours is recorded.
    pub fn del(&self, path: &[PathBuf]) -> Option<Request> {
        let add = self.add.as_ref()?;
        let mut config = add.config.clone();
        config.set_prev_result(add.result.clone());
        let netns = self.netns.as_ref().filter(|netns| netns.state() == NetnsState::Alive);
        Some(Request {
            container_id: self.container_id.clone(),
            netns: netns.map(|netns| netns.path.clone()),
            ifname: self.ifname.clone(),
            args: add.args.clone(),
            path: path.iter().chain(&add.path).cloned().collect(),
            config,
        })
    }

    /// Returns the DEL of the recorded ADD, whose configuration today's may not be, for the DEL that a
    /// runtime asks for: with the result that it passes on where it does.
    pub fn del_for(&self, asked: &Request) -> Request {
        let Some(mut del) = self.del(&asked.path) else { return asked.clone() };
        if let Some(result) = &asked.config.prev_result {
            del.config.set_prev_result(Some(result.clone()));
        }
        del
    }

    /// Returns whether it is of an ADD of this plugin.
    pub fn is_of(&self, plugin: &str) -> bool {
        self.add.as_ref().is_some_and(|add| add.config.plugin == plugin)
    }

    /// Records the message of an IPAM plugin that did not take back the lease. Without a chain, whose other
    /// plugins may still have to be undone, only the lease remains of the attachment.
    pub fn set_ipam_pending(&mut self, problem: &str) {
        self.ipam_problem = Some(one_line(problem));
        if self.chain.is_none() {
            self.state = State::IpamPending;
            (self.link, self.devices) = (None, Vec::new());
        }
    }

    /// Returns the name of the network for people: the NAD's where it has one.
    pub fn network_name(&self) -> String {
        let nad = self.chain.as_ref().and_then(|chain| chain.nad.as_ref());
        nad.map_or_else(|| self.network.clone(), ToString::to_string)
    }
}

/// `net1 of pod demo/bondpod1`, or `net1 of container 0123456789ab` where no pod is recorded.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of ", self.ifname)?;
        let id = self.container_id.as_str();
        match &self.pod {
            Some(pod) => write!(f, "pod {pod}"),
            None => write!(f, "container {}", id.get(..SHORT_ID).unwrap_or(id)),
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Returns a plugin's message, of any number and length of lines, in one line of limited length.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut line = lines.collect::<Vec<_>>().join(" / ");
    if line.len() > MAX_PROBLEM {
        line.truncate(line.floor_char_boundary(MAX_PROBLEM));
        line.push('\u{2026}');
    }
    line
}
