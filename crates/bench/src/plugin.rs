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

/// Where podbond is installed in the lab under its plugins' names.
pub(crate) const INSTALLED: &str = "/opt/cni/bin";

impl Plugin {
    /// podbond's plugin of this name.
    pub(crate) fn podbond(name: &str) -> Self {
        Self {
            subject: PODBOND.to_owned(),
            program: Path::new(INSTALLED).join(name),
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
        let input = directory.join(format!("{}-{ifname}.json", self.subject));
        fs::write(&input, config.to_string()).map_err(Error::file("write", &input))?;
        let call = |command| {
            Process::new(&self.program)
                .variable("CNI_COMMAND", command)
                .variable("CNI_CONTAINERID", "bench")
                .variable("CNI_NETNS", format!("/run/netns/{netns}"))
                .variable("CNI_IFNAME", ifname)
                .variable("CNI_PATH", &self.path)
                .input(&input)
        };
        Ok(Subject::new(&self.subject, call("ADD"), call("DEL")))
    }
}
