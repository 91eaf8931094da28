//! The cluster's default network, which gives every pod its eth0: the first file of `/etc/cni/net.d`.

use std::path::Path;

use podbond_cni::META_PLUGINS;

use super::nad::Network;
use crate::error::{ConfigError, Error};

/// A network of the node's own configuration, as the one that gives every pod its eth0.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeNetwork {
    /// Its name.
    pub name: String,
    pub(super) network: Network,
}

impl NodeNetwork {
    /// Returns the network of a configuration's text.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let network = Network::parse(text, None)?;
        Ok(Self { name: network.name.clone(), network })
    }

    /// Returns whether one of its plugins is a meta-plugin, which would attach the pod's networks again.
    fn is_of_meta_plugin(&self) -> Result<bool, ConfigError> {
        let configs = self.network.configs()?;
        Ok(configs.iter().any(|config| META_PLUGINS.contains(&config.plugin.as_str())))
    }
}

/// Returns the default network of a configuration directory (`/etc/cni/net.d`): its first file, by name,
/// that ends in `.conf`, `.conflist` or `.json`, as a runtime chooses it. None where there is no such
/// file. A file of a meta-plugin (Multus or podbond itself) is skipped: it would attach the pod's
/// networks again.
pub fn default_network(conf_dir: &Path) -> Result<Option<NodeNetwork>, Error> {
    let files = podbond_state::names(conf_dir)?.into_iter().map(|name| conf_dir.join(name));
    for file in files.filter(|file| is_configuration(file)) {
        let wrong = |reason| Error::DefaultConfig { file: file.clone(), reason };
        let network = read(&file)?.ok_or(ConfigError::Empty).map_err(wrong)?;
        if !network.is_of_meta_plugin().map_err(wrong)? {
            return Ok(Some(network));
        }
    }
    Ok(None)
}

/// Returns the network of a path, as `clusterNetwork` names one: of a file, or of the first file of a
/// directory as [`default_network`] finds it. None where there is no such file. A file of a meta-plugin is
/// refused.
pub fn network_at(path: &Path) -> Result<Option<NodeNetwork>, Error> {
    if path.is_dir() {
        return default_network(path);
    }
    let network = read(path)?;
    let wrong = |reason| Error::DefaultConfig { file: path.to_owned(), reason };
    if let Some(network) = &network
        && network.is_of_meta_plugin().map_err(wrong)?
    {
        return Err(wrong(ConfigError::MetaPlugin));
    }
    Ok(network)
}

fn read(file: &Path) -> Result<Option<NodeNetwork>, Error> {
    let Some(bytes) = podbond_state::read_following_links(file)? else { return Ok(None) };
    let network = NodeNetwork::parse(&String::from_utf8_lossy(&bytes));
    network.map(Some).map_err(|reason| Error::DefaultConfig { file: file.to_owned(), reason })
}

pub(super) fn is_configuration(file: &Path) -> bool {
    let extension = file.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("conf" | "conflist" | "json")) && file.is_file()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    const BRIDGE: &str = r#"{"cniVersion": "1.0.0", "name": "cluster", "type": "bridge"}"#;

    #[test]
    fn first_file_by_name_is_the_default_network() {
        let list = r#"{"name": "first", "plugins": [{"type": "bridge"}, {"type": "portmap"}]}"#;
        let directory = directory(&[
            ("20-late.conf", "not read"),
            ("10-net.conflist", list),
            ("10-net.conflist.bak", "not read"),
            ("00-readme.txt", "not read"),
        ]);
        let network = default_network(directory.path()).unwrap().unwrap();
        assert_eq!(network.name, "first");
        assert_eq!(network.network.plugins.len(), 2);
    }

    #[test]
    fn default_network_may_be_absent() {
        let directory = directory(&[]);
        assert_eq!(default_network(directory.path()).unwrap(), None);
        assert_eq!(default_network(&directory.path().join("absent")).unwrap(), None);
    }

    #[test]
    fn meta_plugin_is_skipped() {
        let multus = r#"{"name": "multus-cni-network", "type": "multus"}"#;
        let directory = directory(&[("00-multus.conf", multus), ("10-net.json", BRIDGE)]);
        assert_eq!(default_network(directory.path()).unwrap().unwrap().name, "cluster");
    }

    #[test]
    fn network_of_a_path_is_of_the_file_or_of_the_directorys_first() {
        let multus = r#"{"name": "multus-cni-network", "type": "multus"}"#;
        let directory = directory(&[("00-multus.conf", multus), ("10-net.json", BRIDGE)]);
        let at = |name: &str| network_at(&directory.path().join(name));
        let name = |found: Result<Option<NodeNetwork>, Error>| found.unwrap().map(|it| it.name);
        assert_eq!(name(at("10-net.json")).as_deref(), Some("cluster"));
        assert_eq!(name(network_at(directory.path())).as_deref(), Some("cluster"));
        assert_eq!(name(at("absent.conf")), None);
        let message = at("00-multus.conf").unwrap_err().to_string();
        assert!(message.contains("00-multus.conf is that of a meta-plugin"), "{message}");
    }

    #[test]
    fn malformed_first_file_is_an_error() {
        for (text, part) in [
            ("{", "10-a.conf is not JSON: EOF"),
            ("", "10-a.conf is empty"),
            (r#"{"type": "bridge"}"#, "field name is missing"),
        ] {
            let directory = directory(&[("10-a.conf", text), ("20-b.conf", BRIDGE)]);
            let message = default_network(directory.path()).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        let reason = ConfigError::Empty;
        let error = Error::DefaultConfig { file: "/x/10-a.conf".into(), reason };
        assert!(error.to_string().starts_with("default network: the configuration file /x/10-a"));
    }
}
