//! A plugin's calls, as a runtime makes them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::case::{PODBOND, Subject};
use crate::error::Error;
use crate::process::Process;

/// A plugin's executable and where it finds others.
#[derive(Debug, Clone)]
pub(crate) struct Plugin {
    /// What the rows call it.
    pub(crate) subject: String,
    /// The executable.
    pub(crate) program: PathBuf,
    /// `CNI_PATH`
    pub(crate) path: String,
}

/// Where podbond is installed in the lab under its own name.
const COMMANDS: &str = "/usr/local/bin";

/// Where podbond is installed in the lab under its plugins' names.
pub(crate) const INSTALLED: &str = "/opt/cni/bin";

/// As a runtime of Kubernetes names the pod.
const ARGS: &str = "IgnoreUnknown=1;K8S_POD_NAMESPACE=demo;K8S_POD_NAME=bondpod1";

impl Plugin {
    /// podbond's plugin of this name.
    pub(crate) fn podbond(name: &str) -> Self {
        Self {
            subject: PODBOND.to_owned(),
            program: Path::new(if name == PODBOND { COMMANDS } else { INSTALLED }).join(name),
            path: INSTALLED.to_owned(),
        }
    }

    /// An attachment's ADD and DEL with this configuration, kept in `directory` as a file.
    pub(crate) fn subject(
        &self,
        netns: &str,
        ifname: &str,
        config: &Value,
        directory: &Path,
    ) -> Result<Subject, Error> {
        self.subject_of("bench", netns, ifname, config, directory)
    }

    /// The same for a container of this name.
    pub(crate) fn subject_of(
        &self,
        container: &str,
        netns: &str,
        ifname: &str,
        config: &Value,
        directory: &Path,
    ) -> Result<Subject, Error> {
        let input = directory.join(format!("{}-{ifname}.json", self.subject));
        fs::write(&input, config.to_string()).map_err(Error::file("write", &input))?;
        let call = |command| {
            Process::new(&self.program)
                .variable("CNI_COMMAND", command)
                .variable("CNI_CONTAINERID", container)
                .variable("CNI_NETNS", format!("/run/netns/{netns}"))
                .variable("CNI_IFNAME", ifname)
                .variable("CNI_ARGS", ARGS)
                .variable("CNI_PATH", &self.path)
                .input(&input)
        };
        Ok(Subject::new(&self.subject, call("ADD"), call("DEL")))
    }
}
