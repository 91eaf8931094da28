use std::fmt;
use std::path::PathBuf;

use podbond_api::{KeyError, NETWORKS_ANNOTATION, ObjectKey};
use podbond_cni::{Code, Command, ContainerId, Failure};
use podbond_names::{LinkName, NameError};

use crate::{Attachment, Record, Sandbox};

/// Why a pod's networks cannot be attached or detached. Each message begins with the object that
/// it is about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The pod's networks annotation is wrong.
    #[error("pod {pod}: annotation {NETWORKS_ANNOTATION} {reason}")]
    Networks {
        /// The pod.
        pod: ObjectKey,
        /// What is wrong with it.
        reason: Box<NetworksError>,
    },
    /// The annotation names a NAD that is not there.
    #[error(
        "pod {pod}: annotation {NETWORKS_ANNOTATION} element {number} asks for \
         NetworkAttachmentDefinition {} in namespace {}, which does not exist: apply it there, or \
         correct the element{}",
        nad.name, nad.namespace,
        if *implied { " (it names no namespace, so the pod's own is meant)" } else { "" }
    )]
    NadMissing {
        /// The pod.
        pod: ObjectKey,
        /// The NAD.
        nad: ObjectKey,
        /// Place in the annotation, from 1.
        number: usize,
        /// Whether the namespace is the pod's because the element names none.
        implied: bool,
    },
    /// Whether the NAD is there could not be found out.
    #[error("NetworkAttachmentDefinition {nad} of pod {pod} cannot be looked up: {failure}")]
    Source {
        /// The pod.
        pod: ObjectKey,
        /// The NAD.
        nad: ObjectKey,
        /// Why.
        failure: Box<Failure>,
    },
    /// A NAD's configuration is wrong.
    #[error("NetworkAttachmentDefinition {nad}: spec.config {reason}")]
    NadConfig {
        /// The NAD.
        nad: ObjectKey,
        /// What is wrong with it.
        reason: ConfigError,
    },
    /// The default network's configuration is wrong.
    #[error("default network: the configuration file {} {reason}", file.display())]
    DefaultConfig {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: ConfigError,
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
        /// Whose it is.
        taken: TakenBy,
    },
    /// The sandbox's namespace is not there.
    #[error(
        "pod {pod}: {} is no network namespace: make it first, or correct the path",
        path.display()
    )]
    NoNetns {
        /// The pod.
        pod: ObjectKey,
        /// `CNI_NETNS`.
        path: PathBuf,
    },
    /// The sandbox has this attachment already.
    #[error("{attachment}: container {container_id} has it already: delete the pod first")]
    AlreadyAttached {
        /// What is attached.
        attachment: Box<AttachmentId>,
        /// The sandbox.
        container_id: ContainerId,
    },
    /// No device for an attachment, or its device cannot be given back.
    #[error("{attachment}: {failure}")]
    Device {
        /// Whose device.
        attachment: Box<AttachmentId>,
        /// Why.
        failure: Box<Failure>,
    },
    /// A plugin failed.
    #[error("{attachment}: {command} by plugin {plugin} failed: {failure}")]
    Plugin {
        /// What was to be made or taken away.
        attachment: Box<AttachmentId>,
        /// The plugin.
        plugin: String,
        /// What it was asked for.
        command: Command,
        /// Its answer.
        failure: Box<Failure>,
    },
    /// The pod's default route could not be led through the attachment that asks for it.
    #[error("{attachment}: default-route cannot be set: {problem}")]
    DefaultRoute {
        /// The attachment.
        attachment: Box<AttachmentId>,
        /// The kernel's words.
        problem: String,
    },
    /// A file or directory could not be read or written.
    #[error("cannot {action} {}: {problem}", path.display())]
    File {
        /// What was tried, as `write`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's words.
        problem: String,
    },
    /// A record cannot be understood.
    #[error(
        "record {} {problem}: remove the file once nothing of the attachment is left on the node",
        path.display()
    )]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// An ADD failed, and so did a part of undoing it.
    #[error(
        "{cause}; undoing it failed too, delete the pod to try again: {}",
        undoing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    Undoing {
        /// Why the ADD failed.
        cause: Box<Error>,
        /// What failed after that, in order.
        undoing: Vec<Error>,
    },
}

/// What is wrong with a networks annotation. Reads on from the annotation's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworksError {
    /// It looks like JSON and is not.
    #[error("is not JSON: {problem} at line {line}, column {column}; correct it there")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser met.
        problem: String,
    },
    /// JSON, but no list.
    #[error("is JSON but no list: write [{{\"name\": …}}, …]")]
    NoList,
    /// More networks than there are names `net<n>`.
    #[error("has too many elements ({error}): remove some")]
    TooLong {
        /// What is wrong with the last one's name.
        error: NameError,
    },
    /// "Only one network attachment may specify the `default-route` key" (multi-net-spec 1.3,
    /// section 4.1.2.1.9).
    #[error(
        "elements {first} and {second} both have default-route: leave it on the one that the \
         pod's default route shall lead through"
    )]
    TwoDefaultRoutes {
        /// Place in the list of the earlier one, from 1.
        first: usize,
        /// Place in the list of the later one, from 1.
        second: usize,
    },
    /// An element is wrong.
    #[error("element {number} ({text}): {reason}")]
    Element {
        /// Place in the list, from 1.
        number: usize,
        /// The element as given.
        text: String,
        /// What is wrong with it.
        reason: ElementError,
    },
}

/// What is wrong with an element of a networks annotation. Reads on from the element.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElementError {
    /// Nothing between two commas.
    #[error("it is empty: write [namespace/]name[@interface], or remove the comma")]
    Empty,
    /// An entry of the JSON list is no object.
    #[error("it is no object: write {{\"name\": …}}")]
    NoObject,
    /// A character that separates parts is there twice.
    #[error("it has more than one `{separator}`: write [namespace/]name[@interface]")]
    Separator {
        /// `/` or `@`.
        separator: char,
    },
    /// A required field is absent or empty.
    #[error("field {field} is missing: write {expected}")]
    Missing {
        /// The field.
        field: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A field holds what it cannot.
    #[error("field {field} is {found}: write {expected}")]
    Unexpected {
        /// The field with its path, as `ips[0]`.
        field: String,
        /// The value in JSON.
        found: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// A default route has one next hop.
    #[error("field default-route has two gateways of one family: write one for IPv4, one for IPv6")]
    Gateways,
    /// Not the name of an object or a namespace.
    #[error("field {field}: {error}")]
    Key {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        error: KeyError,
    },
    /// Not an interface name, MAC or PCI address.
    #[error("field {field}: {error}")]
    Name {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        error: NameError,
    },
}

/// What is wrong with a network's configuration. Reads on from where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It does not parse.
    #[error("is not JSON: {problem} at line {line}, column {column}; correct it there")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser met.
        problem: String,
    },
    /// There is none.
    #[error("is empty: write the network's CNI configuration, a JSON object with name and type")]
    Empty,
    /// Neither of one plugin nor of a list.
    #[error("names no plugin: give it `type`, or `plugins`, a list of objects with `type`")]
    NoPlugin,
    /// An entry of `plugins` is no object.
    #[error("is wrong in plugins[{position}], which is no object: write {{\"type\": …}}")]
    NoObject {
        /// Place in the list, from 0 as in JSON paths.
        position: usize,
    },
    /// A field that must be an object is not.
    #[error("is wrong in field {field}, which is no object: write {{…}}")]
    Field {
        /// The field, with its path.
        field: String,
    },
    /// A plugin's configuration is invalid.
    #[error("is invalid: {failure}")]
    Plugin {
        /// Why.
        failure: Box<Failure>,
    },
}

/// Which attachment an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentId {
    /// The pod.
    pub pod: ObjectKey,
    /// The interface.
    pub ifname: LinkName,
    /// What the status calls the network.
    pub network: String,
}

impl fmt::Display for AttachmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pod, ifname, network } = self;
        write!(f, "pod {pod}: interface {ifname} for network {network}")
    }
}

impl AttachmentId {
    pub(crate) fn of(sandbox: &Sandbox, attachment: &Attachment) -> Self {
        let (pod, ifname) = (sandbox.pod.clone(), attachment.ifname.clone());
        Self { pod, ifname, network: attachment.name() }
    }
}

impl From<&Record> for AttachmentId {
    fn from(record: &Record) -> Self {
        let (pod, ifname) = (record.pod.clone(), record.ifname.clone());
        Self { pod, ifname, network: record.name() }
    }
}

/// Who has an interface name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TakenBy {
    /// `lo`
    #[error("the loopback interface")]
    Loopback,
    /// `eth0`
    #[error("the default network's")]
    DefaultNetwork,
    /// An earlier element.
    #[error("that of element {0} already")]
    Element(usize),
}

impl Error {
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
        error: &std::io::Error,
    ) -> Self {
        Self::File { action, path: path.into(), problem: error.to_string() }
    }

    /// The failure of a plugin or of a caller's trait behind this error.
    fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Source { failure, .. }
            | Self::Device { failure, .. }
            | Self::Plugin { failure, .. }
            | Self::NadConfig { reason: ConfigError::Plugin { failure }, .. }
            | Self::DefaultConfig { reason: ConfigError::Plugin { failure }, .. } => Some(failure),
            Self::Undoing { cause, .. } => cause.failure(),
            _ => None,
        }
    }

    fn code(&self) -> Code {
        if let Some(failure) = self.failure() {
            return failure.code;
        }
        match self {
            Self::NoNetns { .. } => Code::InvalidEnvironment,
            Self::AlreadyAttached { .. } => Code::CONFLICT,
            Self::DefaultRoute { .. } => Code::KERNEL,
            Self::File { .. } => Code::Io,
            Self::Record { .. } => Code::Decode,
            Self::Undoing { cause, .. } => cause.code(),
            _ => Code::InvalidConfig,
        }
    }
}

impl From<Error> for Failure {
    /// The answer to a runtime: the code of the plugin that failed, where one did.
    fn from(error: Error) -> Self {
        Self::new(error.code(), &error)
    }
}
