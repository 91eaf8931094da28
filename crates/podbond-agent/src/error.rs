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
    #[error("install the plugins by {}: {problem}", program.display())]
    Install { program: PathBuf, problem: String },
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
