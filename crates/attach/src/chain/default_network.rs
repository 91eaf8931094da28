//! The cluster's default network, which gives every pod its eth0: the first file of `/etc/cni/net.d`.

use std::path::Path;

use podbond_cni::{META_PLUGINS, NetConf};

use super::nad::Network;
use crate::error::Error;

/// The node's default network: what gives every pod its eth0.
#[derive(Debug, Clone, PartialEq)]
pub struct DefaultNetwork {
    /// Its name.
    pub name: String,
    pub(crate) configs: Vec<NetConf>,
}

/// Returns the default network of a configuration directory (`/etc/cni/net.d`): its first file, by name,
/// that ends in `.conf`, `.conflist` or `.json`, as a runtime chooses it. None where there is no such
/// file. A file of a meta-plugin (Multus or podbond itself) is skipped: it would attach the pod's
/// networks again.
pub fn default_network(conf_dir: &Path) -> Result<Option<DefaultNetwork>, Error> {
    let files = podbond_state::names(conf_dir)?.into_iter().map(|name| conf_dir.join(name));
    for file in files.filter(|file| is_configuration(file)) {
        let bytes = podbond_state::read_following_links(&file)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let wrong = |reason| Error::DefaultConfig { file: file.clone(), reason };
        let network = Network::parse(&text, None).map_err(wrong)?;
        let configs = network.configs().map_err(wrong)?;
        if !configs.iter().any(|config| META_PLUGINS.contains(&config.plugin.as_str())) {
            return Ok(Some(DefaultNetwork { name: network.name, configs }));
        }
    }
    Ok(None)
}

pub(super) fn is_configuration(file: &Path) -> bool {
    let extension = file.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("conf" | "conflist" | "json")) && file.is_file()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::ConfigError;

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
        assert_eq!(network.configs.len(), 2);
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
