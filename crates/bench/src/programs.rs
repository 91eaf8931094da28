//! The programs that are measured and compared: podbond's plugins and their peers as a runtime calls them, and
//! iproute2, by which the floor is measured.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::peer::Peer;
use crate::process::Process;

/// What podbond is called beside its peers.
pub const PODBOND: &str = "podbond";

/// Where the lab has podbond under its plugins' names.
const CNI_BIN: &str = "/opt/cni/bin";

/// Where the lab has podbond under its own name, by which it is the meta-plugin.
const META_PLUGIN: &str = "/usr/local/bin/podbond";

/// Debian's CNI plugins, in the lab.
const DEBIAN_CNI_BIN: &str = "/usr/lib/cni";

const IP: &str = "/usr/bin/ip";

/// `CNI_ARGS` as Kubernetes' runtimes set them.
pub const ARGS: &str = "IgnoreUnknown=1;K8S_POD_NAMESPACE=demo;K8S_POD_NAME=bondpod1";

/// A plugin's executable, and where it finds the plugins that it delegates to.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// Its name in tables.
    pub subject: String,
    /// The executable.
    pub program: PathBuf,
    /// `CNI_PATH`
    pub path: String,
}

impl Plugin {
    /// Returns podbond as the plugin of this name, `multus` being the meta-plugin.
    pub fn podbond(name: &str) -> Self {
        let program = match name {
            "multus" => META_PLUGIN.into(),
            name => Path::new(CNI_BIN).join(name),
        };
        Self { subject: PODBOND.to_owned(), program, path: CNI_BIN.to_owned() }
    }

    /// Returns podbond's plugin and, where there is one, its peer. Debian's host-local is one unless
    /// another is named.
    pub fn with_peer(name: &str, peers: &[Peer]) -> Vec<Self> {
        let named = peers.iter().find(|peer| peer.plugin == name).map(|peer| peer.path.clone());
        let debian = (name == "host-local").then(|| Path::new(DEBIAN_CNI_BIN).join(name));
        let peer = named.or(debian).map(|program| Self {
            subject: name.to_owned(),
            program,
            path: peer_path(peers),
        });
        [Self::podbond(name)].into_iter().chain(peer).collect()
    }

    /// Returns a call of the plugin, whose configuration is in a file.
    pub fn call(&self, command: &str, netns: &str, ifname: &str, config: &Path) -> Process {
        Process::new(&self.program)
            .variable("CNI_COMMAND", command)
            .variable("CNI_CONTAINERID", netns)
            .variable("CNI_NETNS", netns_path(netns))
            .variable("CNI_IFNAME", ifname)
            .variable("CNI_ARGS", ARGS)
            .variable("CNI_PATH", &self.path)
            .input(config)
    }
}

/// Returns the `CNI_PATH` of peers: their own directories, then Debian's, then podbond's.
fn peer_path(peers: &[Peer]) -> String {
    let own = peers.iter().filter_map(|peer| peer.path.parent());
    let mut directories: Vec<&Path> = Vec::new();
    for directory in own.chain([Path::new(DEBIAN_CNI_BIN), Path::new(CNI_BIN)]) {
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    directories.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>().join(":")
}

/// Returns a process of iproute2 that runs commands, one a line, in a namespace or on the node. They
/// are kept in `directory` under a name that no other batch may have.
///
/// It begins in its namespace: `ip -n` would mount a sysfs of the namespace's own.
pub fn ip_batch(
    name: &str,
    netns: Option<&str>,
    commands: &str,
    directory: &Path,
) -> Result<Process, Error> {
    let file = directory.join(format!("{name}.batch"));
    fs::write(&file, commands).map_err(Error::file("write", &file))?;
    let process = Process::new(IP).arguments([Path::new("-batch"), &file]);
    Ok(match netns {
        Some(netns) => process.in_netns(netns_path(netns)),
        None => process,
    })
}

/// Runs one command of iproute2 on the node.
pub fn ip(command: &str) -> Result<(), Error> {
    Process::new(IP).arguments(command.split_whitespace()).run().map(drop)
}

/// Returns the path of a named network namespace.
pub fn netns_path(netns: &str) -> PathBuf {
    Path::new("/run/netns").join(netns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_find_each_other_before_podbond() {
        let peers = ["bond=/peers/bond", "sriov=/peers/sriov"].map(|text| text.parse().unwrap());
        let plugins = Plugin::with_peer("bond", &peers);
        assert_eq!(plugins[0].subject, "podbond");
        assert_eq!(
            (plugins[1].subject.as_str(), plugins[1].path.as_str()),
            ("bond", "/peers:/usr/lib/cni:/opt/cni/bin")
        );
        assert_eq!(Plugin::with_peer("multus", &peers).len(), 1);
    }

    #[test]
    fn host_local_of_debian_is_measured_unless_another_is_named() {
        let programs = |peers: &[Peer]| Plugin::with_peer("host-local", peers)[1].program.clone();
        assert_eq!(programs(&[]), Path::new("/usr/lib/cni/host-local"));
        let named = ["host-local=/peers/host-local".parse().unwrap()];
        assert_eq!(programs(&named), Path::new("/peers/host-local"));
    }
}
