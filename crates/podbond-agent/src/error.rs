//! Why the agent cannot run.

use std::io;
use std::path::PathBuf;

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("start the runtime: {source}")]
    Runtime { source: io::Error },
    #[error(transparent)]
    Cluster(#[from] podbond_cluster::Error),
    #[error(transparent)]
    Kubelet(#[from] podbond_kubelet::Error),
    #[error("{action} {}: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} {command}: {problem}", program.display())]
    Podbond { program: PathBuf, command: &'static str, problem: String },
    #[error(
        "nothing is removed: podbond has attached pods of this node, whose networks would be lost: {pods}. Drain \
         the node or delete them"
    )]
    InUse { pods: String },
    #[error(transparent)]
    Record(#[from] podbond_record::Error),
    #[error("{} is no JSON object: it is to hold keys of a meta-plugin's configuration", file.display())]
    Rules { file: PathBuf },
    #[error("run {program:?} on the node: {source}")]
    OnNode { program: std::ffi::OsString, source: io::Error },
    #[error("no agent answers at {}: {source}", socket.display())]
    NotReady { socket: PathBuf, source: io::Error },
    #[error(transparent)]
    Kernel(#[from] podbond_kernel::Error),
    #[error(transparent)]
    State(#[from] podbond_state::Error),
}

impl Error {
    /// Returns how an error of a file becomes one of these.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
