//! What can keep the lab's cluster from starting or going on.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

/// Why the cluster did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lab could not make a machine or fetch a package.
    #[error(transparent)]
    Lab(#[from] podbond_lab::Error),
    /// A file could not be used.
    #[error("cannot {what} {path}: {source}", path = path.display())]
    File {
        /// The verb, as in "cannot read".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A program could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A program failed.
    #[error("{doing} failed ({status}){}", appended(said))]
    Program {
        /// What it was started for.
        doing: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote, if that was not shown.
        said: String,
    },
    /// The folder that was named lacks Kubernetes executables.
    #[error(
        "{dir} has no {missing}: name a folder with etcd, kube-apiserver, kube-controller-manager, \
         kube-scheduler, kubectl and kubelet, or none to have them built",
        dir = dir.display()
    )]
    NoExecutable {
        /// The folder.
        dir: PathBuf,
        /// The first that is missing.
        missing: &'static str,
    },
    /// No manifest of podbond names an image.
    #[error("none of {} names an image: the agent's has to", listed(manifests))]
    NoImage {
        /// The manifests.
        manifests: Vec<PathBuf>,
    },
    /// A certificate could not be made.
    #[error("cannot make the certificate of {name}: {source}")]
    Certificate {
        /// The common name.
        name: String,
        /// The reason.
        source: rcgen::Error,
    },
    /// Another cluster uses the folder.
    #[error(
        "another cluster runs in {dir}: end it, or name another folder with --state",
        dir = dir.display()
    )]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder holds something that no cluster has made.
    #[error(
        "{dir} is not empty and no cluster's folder: name another with --state",
        dir = dir.display()
    )]
    Foreign {
        /// The folder.
        dir: PathBuf,
    },
    /// A component or a node's machine ended.
    #[error("{name} ended ({status}); {log} ends:\n{tail}", log = log.display())]
    Ended {
        /// The component.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote.
        log: PathBuf,
        /// The last lines of that.
        tail: String,
    },
    /// Something did not come within its time.
    #[error("{what} within {} s{}", limit.as_secs(), appended(tails))]
    Late {
        /// What did not happen, as in "node2 was not Ready".
        what: String,
        /// The time it had.
        limit: Duration,
        /// The ends of the logs that may tell why, each with its name.
        tails: String,
    },
}

/// Returns the text on lines of its own, or nothing.
fn appended(text: &str) -> String {
    let text = text.trim_end();
    if text.is_empty() { String::new() } else { format!(":\n{text}") }
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Turns an `io::Error` into [`Error::File`].
pub(crate) trait FileContext<T> {
    fn file(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T, Error>;
}

impl<T> FileContext<T> for io::Result<T> {
    fn file(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T, Error> {
        self.map_err(|source| Error::File { what, path: path.into(), source })
    }
}
