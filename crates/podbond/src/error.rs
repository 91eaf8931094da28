//! Why a command failed, as people read it, and the exit status.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use podbond_api::ObjectKey;
use podbond_cni::Failure;
use podbond_record::Unreadable;

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
    /// Two objects of one kind and name in the manifests.
    #[error("{kind} {key} is in the manifests twice: remove one of them")]
    Twice {
        /// The kind.
        kind: &'static str,
        /// The object.
        key: ObjectKey,
    },
    /// Bad input of which a plugin or the node tells: nothing was changed.
    #[error("{0}")]
    Refused(Failure),
    /// The command is for root only.
    #[error(
        "{command} needs network namespaces and their records: run it as root (this is user {uid})"
    )]
    NotRoot {
        /// The command's name.
        command: &'static str,
        /// The user that called it.
        uid: u32,
    },
    /// A pod that this node does not have.
    #[error("there is no pod {key} here: `podbond status` shows those that are")]
    NoSuchPod {
        /// The pod.
        key: ObjectKey,
    },
    /// A pod whose network namespace cannot be read.
    #[error("pod {pod}: {source}")]
    PodUnreadable {
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
    /// An object that this node does not have.
    #[error("there is no {kind} {key} here: correct the name, or give its namespace with -n")]
    NoSuchObject {
        /// The kind, as the command line spells it.
        kind: &'static str,
        /// The object.
        key: ObjectKey,
    },
    /// A pod that runs with other networks.
    #[error(
        "pod {key} is attached to other networks ({running:?}): a running pod's networks cannot be \
         changed, delete it first"
    )]
    PodDiffers {
        /// The pod.
        key: ObjectKey,
        /// The annotation with which it was made.
        running: String,
    },
    /// A network namespace of the pod's name that podbond did not make.
    #[error(
        "pod {key}: the network namespace {netns} is there already and belongs to no pod: remove it \
         with `ip netns del`, or give the pod another name"
    )]
    NetnsTaken {
        /// The pod.
        key: ObjectKey,
        /// The namespace's name.
        netns: String,
    },
    /// A record cannot be read or written, or another command has been changing the node too long.
    #[error(transparent)]
    State(#[from] podbond_state::Error),
    /// A file that cannot be read as a record.
    #[error("{} is no record of podbond's: {reason}; remove it if it is damaged", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of podbond's own.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// The operation, like `write`.
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
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] podbond_kernel::Error),
    /// Cards, VFs and policies.
    #[error(transparent)]
    Inventory(#[from] podbond_inventory::Error),
    /// A plugin, or the chain that calls it.
    #[error("{0}")]
    Failed(Failure),
    /// `doctor` found something that does not work, or `check` something that differs.
    #[error("not all is well")]
    Unwell,
    /// The records of attachments cannot be listed.
    #[error(transparent)]
    Records(#[from] podbond_record::Error),
    /// A plugin could not be asked by `check`: the answer has the reason.
    #[error("not all could be checked")]
    Unchecked,
    /// An orphan could not be removed.
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
    /// Returns the exit status: 3 where the input was refused and nothing was changed, 4 where doctor
    /// or check found something, 126 and 127 of `exec` as a shell has them, else 1.
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
            Self::Several(errors) => {
                let first = errors.first().map_or(1, Self::exit_status);
                if errors.iter().all(|error| error.exit_status() == first) { first } else { 1 }
            }
            _ => 1,
        }
    }

    /// Returns what is printed: one line for each error.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Several(errors) => errors.iter().flat_map(Self::lines).collect(),
            // The answer has said it.
            Self::Unwell | Self::Unchecked => Vec::new(),
            one => vec![one.to_string()],
        }
    }

    /// Returns success without errors, a single error as it is, and [`Error::Several`] of more.
    pub(crate) fn gather(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }
}

impl From<Unreadable> for Error {
    fn from(file: Unreadable) -> Self {
        Self::Record { path: file.path, reason: file.problem }
    }
}

#[cfg(test)]
mod tests {
    use podbond_cni::Code;

    use super::*;

    #[test]
    fn several_errors_have_the_exit_status_that_they_share() {
        let refused = || Error::Refused(Failure::new(Code::INVALID_CONFIG, "mtu: 10"));
        let failed = || Error::Failed(Failure::new(Code::KERNEL, "no"));
        let both = Error::gather(vec![refused(), refused()]).unwrap_err();
        assert_eq!((both.exit_status(), both.lines().len()), (3, 2));
        assert_eq!(Error::gather(vec![refused(), failed()]).unwrap_err().exit_status(), 1);
        assert_eq!(Error::gather(vec![refused()]).unwrap_err().exit_status(), 3);
        assert!(Error::gather(Vec::new()).is_ok());
    }
}
