use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use podbond_api::ObjectKey;
use podbond_cni::Failure;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A manifest that cannot be read from its file.
    #[error("cannot read manifest {}: {source}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A directory without manifests.
    #[error("{} holds no manifest: files ending in .yaml, .yml or .json are read", dir.display())]
    NoManifests {
        /// The directory.
        dir: PathBuf,
    },
    /// A manifest that says something wrong.
    #[error(transparent)]
    Manifest(#[from] podbond_api::Error),
    /// Two objects of one kind and name in what is to be applied.
    #[error("{kind} {key} stands twice in the manifests: remove one of them")]
    Twice {
        /// The kind.
        kind: &'static str,
        /// The object.
        key: ObjectKey,
    },
    /// A pod whose networks cannot be understood or found.
    #[error("{0}")]
    Refused(Failure),
    /// Nothing but root may do what was asked.
    #[error(
        "{command} needs network namespaces and their records: run it as root (this is user {uid})"
    )]
    NotRoot {
        /// The command's name.
        command: &'static str,
        /// Who asked.
        uid: u32,
    },
    /// A pod that is not there.
    #[error("there is no pod {key} here: `podbond status` shows those that are")]
    NoSuchPod {
        /// The pod.
        key: ObjectKey,
    },
    /// A pod that cannot be looked at.
    #[error("pod {pod}: {source}")]
    NotSeen {
        /// The pod.
        pod: String,
        /// Why not.
        source: Box<Error>,
    },
    /// A pod whose namespace is gone, after a reboot for example.
    #[error(
        "pod {key}: its network namespace is gone, as after a reboot: apply its manifest again, or \
         `podbond delete pod {} -n {}`", key.name, key.namespace
    )]
    PodGone {
        /// The pod.
        key: ObjectKey,
    },
    /// An object that is not there.
    #[error("there is no {kind} {key} here: correct the name, or give its namespace with -n")]
    NoSuchObject {
        /// The kind, as the command line spells it.
        kind: &'static str,
        /// The object.
        key: ObjectKey,
    },
    /// A pod that is there already, with other networks.
    #[error(
        "pod {key} is attached to other networks ({running:?}): a running pod's networks cannot be \
         changed, delete it first"
    )]
    PodDiffers {
        /// The pod.
        key: ObjectKey,
        /// Its annotation when it was made.
        running: String,
    },
    /// A namespace of the pod's name that podbond did not make.
    #[error(
        "pod {key}: the network namespace {} is there already and belongs to no pod: remove it with \
         `ip netns del`, or give the pod another name",
        crate::store::PodRecord::netns_name(key)
    )]
    NetnsTaken {
        /// The pod.
        key: ObjectKey,
    },
    /// A record cannot be read or written, or another command has been changing the node too long.
    #[error(transparent)]
    State(#[from] podbond_state::Error),
    /// A record that does not say what a record says.
    #[error("{} is no record of podbond's: {reason}; remove it if it is damaged", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of our own.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A command that cannot be started in a pod.
    #[error("cannot run {}: {source}", program.display())]
    Exec {
        /// The command.
        program: OsString,
        /// Why not.
        source: io::Error,
    },
    /// `podbond exec` without a command.
    #[error("exec: no command was given")]
    NoCommand,
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] podbond_kernel::Error),
    /// Cards, VFs and policies.
    #[error(transparent)]
    Inventory(#[from] podbond_inventory::Error),
    /// A plugin, or the chain that calls it.
    #[error("{0}")]
    Failed(Failure),
    /// The doctor found something that does not work, or a check something that differs.
    #[error("not all is well")]
    Unwell,
    /// The records of attachments cannot be listed.
    #[error(transparent)]
    Records(#[from] podbond_record::Error),
    /// A check could not be made: its lines tell why.
    #[error("not all could be checked")]
    Unchecked,
    /// Something that belongs to nobody could not be taken away.
    #[error("{0}")]
    NotRemoved(String),
    /// The answer could not be printed.
    #[error("standard output: {problem}")]
    Output {
        /// The system's words.
        problem: String,
    },
    /// Several objects failed; each has its line.
    #[error("{} errors", .0.len())]
    Several(Vec<Error>),
}

impl Error {
    /// The exit status: 3 where the input was refused and nothing was changed, 4 where doctor or
    /// check found something, 126 and 127 of `exec` as a shell has them, else 1.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Input { .. }
            | Self::NoManifests { .. }
            | Self::Manifest(_)
            | Self::Twice { .. }
            | Self::Refused(_)
            | Self::NotRoot { .. }
            | Self::NoSuchPod { .. }
            | Self::NoSuchObject { .. }
            | Self::PodDiffers { .. }
            | Self::NetnsTaken { .. } => 3,
            Self::Unwell => 4,
            Self::Exec { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::Exec { .. } => 126,
            _ => 1,
        }
    }

    /// What is printed: one line for each thing that is wrong.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Several(errors) => errors.iter().flat_map(Self::lines).collect(),
            // They were the answer.
            Self::Unwell | Self::Unchecked => Vec::new(),
            one => vec![one.to_string()],
        }
    }

    /// One error of several, the error itself of one, success of none.
    pub(crate) fn gather(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }
}
