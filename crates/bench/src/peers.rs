//! The programs of others that podbond is measured beside.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::plugin::{INSTALLED, Plugin};

/// Debian's plugins, in the lab.
const DEBIANS: &str = "/usr/lib/cni";

/// `KIND=PATH`: a plugin, and the executable that is to be measured as it. It is found by those that
/// call it under the name of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    kind: String,
    program: PathBuf,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((kind, program)) if Path::new(program).is_absolute() => {
                Ok(Self { kind: kind.to_owned(), program: program.into() })
            }
            _ => Err("a peer is a plugin's name, `=`, and an absolute path".to_owned()),
        }
    }
}

/// All of them.
#[derive(Debug, Clone)]
pub(crate) struct Peers(pub(crate) Vec<Peer>);

impl Peers {
    /// The peer of a plugin. Debian's host-local is there without being named.
    pub(crate) fn plugin(&self, kind: &str) -> Option<Plugin> {
        let named = self.0.iter().find(|peer| peer.kind == kind);
        let program = match named {
            Some(peer) => peer.program.clone(),
            None if kind == "host-local" => Path::new(DEBIANS).join(kind),
            None => return None,
        };
        Some(Plugin { subject: kind.to_owned(), program, path: self.path() })
    }

    /// Where a peer finds others: peers, then Debian's, and ours where there is no other.
    fn path(&self) -> String {
        let mut directories: Vec<&Path> = Vec::new();
        for directory in self.0.iter().filter_map(|peer| peer.program.parent()) {
            if !directories.contains(&directory) {
                directories.push(directory);
            }
        }
        directories.extend([Path::new(DEBIANS), Path::new(INSTALLED)]);
        directories.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>().join(":")
    }

    /// Each with its name.
    pub(crate) fn programs(&self) -> impl Iterator<Item = (String, PathBuf)> {
        self.0.iter().map(|peer| (peer.kind.clone(), peer.program.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_finds_its_like_before_podbond() {
        let peers = ["bond=/peers/bond", "sriov=/peers/sriov"].map(|text| text.parse().unwrap());
        let peers = Peers(peers.into());
        let bond = peers.plugin("bond").unwrap();
        assert_eq!(
            (bond.subject.as_str(), bond.program.as_path()),
            ("bond", Path::new("/peers/bond"))
        );
        assert_eq!(bond.path, "/peers:/usr/lib/cni:/opt/cni/bin");
        assert_eq!(
            peers.plugin("host-local").unwrap().program,
            Path::new("/usr/lib/cni/host-local")
        );
        assert!(peers.plugin("multus").is_none());
        assert!("bond=peers/bond".parse::<Peer>().is_err());
    }
}
