//! Why a pod's networks cannot be attached or detached, and the CNI error code of each.

use std::fmt;
use std::path::PathBuf;

use podbond_api::{NETWORKS_ANNOTATION, ObjectKey};
use podbond_cni::{Code, Command, ContainerId, Failure, PodRef};
use podbond_names::{LinkName, NameError};
use podbond_record::Record;
use podbond_state::settings::PATH;

use crate::passed_over::PassedOver;

mod device;
mod input;

pub use device::{MissingDevice, NoDevice};
pub use input::{ConfigError, ElementError, NetworksError};

/// Why a pod's networks cannot be attached or detached. Each message begins with the object that it is
/// about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An annotation of the pod that names networks is wrong.
    #[error("pod {pod}: annotation {annotation} {reason}")]
    Networks {
        /// The pod.
        pod: ObjectKey,
        /// The annotation.
        annotation: &'static str,
        /// What is wrong with it.
        #[source]
        reason: Box<NetworksError>,
    },
    /// The annotation names a NAD that is not there.
    #[error(
        "pod {pod}: annotation {annotation} element {number} asks for \
         NetworkAttachmentDefinition {} in namespace {}, which does not exist: apply it there, or \
         correct the element{}",
        nad.name, nad.namespace,
        implied.as_ref().map(|meant| format!(" (it names no namespace, so {meant} is meant)")).unwrap_or_default()
    )]
    NadMissing {
        /// The pod.
        pod: ObjectKey,
        /// The NAD.
        nad: Box<ObjectKey>,
        /// The annotation.
        annotation: &'static str,
        /// Place in the annotation, from 1.
        number: usize,
        /// Which namespace is meant, where the element names none.
        implied: Option<String>,
    },
    /// A NAD has no configuration, and neither has the node one of its name.
    #[error(
        "NetworkAttachmentDefinition {nad}: spec.config is missing, and no file of the node's CNI \
         configuration has the name {}: write spec.config, or such a file",
        nad.name
    )]
    NoConfig {
        /// The NAD.
        nad: ObjectKey,
    },
    /// Two networks of a pod ask for its default routes.
    #[error(
        "pod {pod}: its networks {} and {} both have default-route: keep it on the one that shall have \
         the pod's default route",
        attachments[0], attachments[1]
    )]
    TwoDefaultRoutes {
        /// The pod.
        pod: ObjectKey,
        /// Their interfaces.
        attachments: [LinkName; 2],
    },
    /// The administrator has keys refused for which no plugin declares a capability.
    #[error(
        "pod {pod}: annotation {NETWORKS_ANNOTATION}: {ifname} ({nad}): {passed_over} \
         (undeclared-capability of [networks] in {PATH} refuses it)"
    )]
    Undeclared {
        /// The pod.
        pod: ObjectKey,
        /// The interface.
        ifname: LinkName,
        /// The network.
        nad: String,
        /// The key.
        passed_over: Box<PassedOver>,
    },
    /// More networks than there are names `net<n>`.
    #[error("too many networks ({error}): remove some")]
    TooManyNetworks {
        /// What is wrong with the last one's name.
        #[source]
        error: NameError,
    },
    /// The node's configuration has namespaces isolated from each other.
    #[error(
        "pod {pod}: annotation {annotation} element {number} asks for NetworkAttachmentDefinition {nad}, \
         and namespaceIsolation of the node's configuration keeps a pod to the \
         NetworkAttachmentDefinitions of its own namespace and of globalNamespaces: apply it in namespace \
         {}, or have {} added to globalNamespaces",
        pod.namespace, nad.namespace
    )]
    Isolated {
        /// The pod.
        pod: ObjectKey,
        /// The annotation.
        annotation: &'static str,
        /// Place in the annotation, from 1.
        number: usize,
        /// The NAD.
        nad: Box<ObjectKey>,
    },
    /// The pod has no device for a network.
    #[error(transparent)]
    NoDevice(Box<NoDevice>),
    /// What Multus has recorded of a pod cannot be read.
    #[error("what Multus has recorded of the pod in {file:?} cannot be read: {problem}", file = file.display().to_string())]
    MultusFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Podbond is at fault.
    #[error("{failure}")]
    Defect {
        /// What is wrong.
        failure: Box<Failure>,
    },
    /// A NAD cannot be looked up.
    #[error("NetworkAttachmentDefinition {nad} of pod {pod} cannot be looked up: {failure}")]
    Source {
        /// The pod.
        pod: ObjectKey,
        /// The NAD.
        nad: ObjectKey,
        /// Why.
        #[source]
        failure: Box<Failure>,
    },
    /// A NAD's configuration is wrong.
    #[error("NetworkAttachmentDefinition {nad}: spec.config {reason}")]
    NadConfig {
        /// The NAD.
        nad: ObjectKey,
        /// What is wrong with it.
        #[source]
        reason: ConfigError,
    },
    /// The default network's configuration is wrong.
    #[error("default network: the configuration file {} {reason}", file.display())]
    DefaultConfig {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        reason: ConfigError,
    },
    /// What the runtime asks for makes the configuration of one of the node's networks invalid.
    #[error("network {network} of the node's configuration {reason}")]
    NodeNetwork {
        /// The network.
        network: String,
        /// What is wrong with it.
        #[source]
        reason: ConfigError,
    },
    /// A network of a meta-plugin's configuration is wrong.
    #[error("delegates[{position}] {reason}")]
    Delegate {
        /// Place in the list, from 0.
        position: usize,
        /// What is wrong with it.
        #[source]
        reason: ConfigError,
    },
    /// Two networks of a meta-plugin's configuration would have the same interface name.
    #[error(
        "{ifname} is the interface of delegates[0] (CNI_IFNAME) and would be that of another one: \
         have the runtime call the first one eth0"
    )]
    DelegateIfname {
        /// The name.
        ifname: LinkName,
    },
    /// Two attachments of one pod would have the same interface name.
    #[error(
        "pod {pod}: annotation {NETWORKS_ANNOTATION} element {number} ({nad}) gets interface \
         {ifname}, which is {taken}: give the element another name, as {nad}@NAME"
    )]
    IfnameTaken {
        /// The pod.
        pod: ObjectKey,
        /// Place in the annotation of the later one, from 1.
        number: usize,
        /// Its NAD.
        nad: Box<ObjectKey>,
        /// The name.
        ifname: LinkName,
        /// What has it.
        taken: TakenBy,
    },
    /// The sandbox's network namespace does not exist.
    #[error(
        "pod {pod}: {} is not a network namespace: create it first, or correct the path",
        path.display()
    )]
    NoNetns {
        /// The pod.
        pod: PodRef,
        /// `CNI_NETNS`.
        path: PathBuf,
    },
    /// The sandbox has this attachment already.
    #[error(
        "{attachment}: container {} has it already: delete the pod first", attachment.container_id
    )]
    AlreadyAttached {
        /// The attachment.
        attachment: Box<AttachmentId>,
    },
    /// There is no device for an attachment.
    #[error("{attachment}: {failure}")]
    Device {
        /// The attachment.
        attachment: Box<AttachmentId>,
        /// Why.
        #[source]
        failure: Box<Failure>,
    },
    /// A plugin failed.
    #[error("{attachment}: {command} by plugin {plugin} failed: {failure}")]
    Plugin {
        /// The attachment.
        attachment: Box<AttachmentId>,
        /// The plugin.
        plugin: String,
        /// The operation.
        command: Command,
        /// Its error.
        #[source]
        failure: Box<Failure>,
    },
    /// The pod's default route could not be set to the gateway of the attachment that asks for it.
    #[error("{attachment}: default-route cannot be set: {problem}")]
    DefaultRoute {
        /// The attachment.
        attachment: Box<AttachmentId>,
        /// The kernel's message.
        problem: String,
    },
    /// A configuration directory or file cannot be read.
    #[error(transparent)]
    State(#[from] podbond_state::Error),
    /// A record cannot be read or written.
    #[error(transparent)]
    Record(#[from] podbond_record::Error),
    /// It is unknown whether the network namespace of an attachment still exists.
    #[error(
        "{attachment}: whether its network namespace still exists is unknown, so nothing is changed: \
         run podbond where it sees the node's mounts and processes"
    )]
    UnknownNetns {
        /// The attachment.
        attachment: Box<AttachmentId>,
    },
    /// An IPAM plugin has not taken back a lease.
    #[error("{attachment}: its IPAM plugin has not taken back its lease: {problem}")]
    LeasePending {
        /// The attachment.
        attachment: Box<AttachmentId>,
        /// The plugin's message.
        problem: String,
    },
    /// An ADD failed, and so did a part of undoing it.
    #[error(
        "{cause}; undoing it failed too, delete the pod to try again: {}",
        undoing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    Undoing {
        /// Why the ADD failed.
        #[source]
        cause: Box<Error>,
        /// What failed after that, in order.
        undoing: Vec<Error>,
    },
}

/// Which attachment an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentId {
    /// The pod; none where the caller of ADD named none.
    pub pod: Option<PodRef>,
    /// The container.
    pub container_id: ContainerId,
    /// The interface.
    pub ifname: LinkName,
    /// The network's name in the pod's status.
    pub network: String,
}

impl fmt::Display for AttachmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pod, container_id, ifname, network } = self;
        match pod {
            Some(pod) => write!(f, "pod {pod}: ")?,
            None => write!(f, "container {container_id}: ")?,
        }
        write!(f, "interface {ifname} for network {network}")
    }
}

impl From<&Record> for AttachmentId {
    fn from(record: &Record) -> Self {
        Self {
            pod: record.pod.clone(),
            container_id: record.container_id.clone(),
            ifname: record.ifname.clone(),
            network: record.network_name(),
        }
    }
}

/// What has an interface name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TakenBy {
    /// `lo`
    #[error("the loopback interface")]
    Loopback,
    /// `eth0`
    #[error("the default network's")]
    DefaultNetwork,
    /// A network of every pod.
    #[error("that of a network which the node's configuration gives to every pod")]
    NodeNetwork,
    /// An earlier element.
    #[error("that of element {0} already")]
    Element(usize),
}

impl Error {
    /// Returns the failure of a plugin, or of the caller's source or devices, that this error wraps.
    fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Source { failure, .. }
            | Self::Device { failure, .. }
            | Self::Defect { failure }
            | Self::Plugin { failure, .. }
            | Self::Delegate { reason: ConfigError::Plugin { failure }, .. }
            | Self::NadConfig { reason: ConfigError::Plugin { failure }, .. }
            | Self::DefaultConfig { reason: ConfigError::Plugin { failure }, .. } => Some(failure),
            Self::Undoing { cause, .. } => cause.failure(),
            _ => None,
        }
    }

    /// Returns the CNI error code: that of the plugin that failed, where one did.
    fn code(&self) -> Code {
        if let Some(failure) = self.failure() {
            return failure.code;
        }
        match self {
            Self::NoNetns { .. } => Code::INVALID_ENVIRONMENT,
            Self::AlreadyAttached { .. } => Code::CONFLICT,
            Self::DefaultRoute { .. } => Code::KERNEL,
            Self::State(_) | Self::Record(_) => Code::IO,
            Self::UnknownNetns { .. } | Self::LeasePending { .. } => Code::TRY_AGAIN,
            Self::Undoing { cause, .. } => cause.code(),
            _ => Code::INVALID_CONFIG,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.code(), &error)
    }
}
