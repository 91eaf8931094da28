//! iproute2, with which links are made and the floor is measured.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::process::Process;

const IP: &str = "/usr/bin/ip";

/// Commands of iproute2 that one process runs in one namespace.
pub(crate) struct Batch<'a> {
    /// A name under which no other batch is kept.
    pub(crate) name: &'a str,
    /// The pod's namespace; none for the node's.
    pub(crate) netns: Option<&'a str>,
    /// A command in each line.
    pub(crate) commands: String,
}

impl Batch<'_> {
    /// The process. It begins in its namespace, so that nothing is spent on getting there: neither
    /// is `ip -n` needed, which mounts a sysfs of the namespace's own.
    pub(crate) fn process(&self, directory: &Path) -> Result<Process, Error> {
        let file = directory.join(format!("{}.batch", self.name));
        fs::write(&file, &self.commands).map_err(Error::file("write", &file))?;
        let process = Process::new(IP).arguments([Path::new("-batch"), &file]);
        Ok(match self.netns {
            Some(netns) => process.in_netns(path(netns)),
            None => process,
        })
    }
}

/// Runs one command in the node's namespace.
pub(crate) fn ip(command: &str) -> Result<(), Error> {
    Process::new(IP).arguments(command.split_whitespace()).run().map(drop)
}

/// Where a named namespace is.
pub(crate) fn path(netns: &str) -> PathBuf {
    Path::new("/run/netns").join(netns)
}
