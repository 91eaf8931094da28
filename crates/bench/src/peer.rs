//! `PLUGIN=PATH`: another program that is measured, or compared, as one of the plugins.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

/// The programs that can be measured beside podbond; the last two are a thick Multus, in a cluster alone.
const PLUGINS: [&str; 6] =
    ["bond", "sriov", "host-local", "multus", "multus-daemon", "multus-shim"];

/// A program of others that does what a plugin of podbond's does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// `bond`, `sriov`, `host-local`, `multus`, `multus-daemon` or `multus-shim`.
    pub plugin: String,
    /// Its executable. Plugins that delegate to it find it by its file name.
    pub path: PathBuf,
}

impl Peer {
    /// Returns the words of a command line that name it.
    pub fn words(&self) -> [OsString; 2] {
        let mut value = OsString::from(format!("{}=", self.plugin));
        value.push(&self.path);
        ["--peer".into(), value]
    }
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((plugin, path)) if PLUGINS.contains(&plugin) && !path.is_empty() => {
                Ok(Self { plugin: plugin.to_owned(), path: path.into() })
            }
            _ => Err(format!("give one of {}, `=`, and a path", PLUGINS.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_is_a_plugin_and_a_path() {
        let peer: Peer = "host-local=bin/a=b".parse().unwrap();
        assert_eq!(peer, Peer { plugin: "host-local".into(), path: "bin/a=b".into() });
        assert_eq!(peer.words(), ["--peer", "host-local=bin/a=b"]);
        for wrong in ["bond", "bond=", "bridge=/bin/bridge"] {
            assert!(wrong.parse::<Peer>().is_err(), "{wrong}");
        }
    }
}
