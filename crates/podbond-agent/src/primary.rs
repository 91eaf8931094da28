//! The runtime's configuration directory: the primary network's file, and podbond's that refers to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use podbond_cni::META_PLUGINS;
use serde_json::{Map, Value, json};

use crate::error::Error;

/// The name of podbond's file: it sorts before any that a runtime would choose, Multus' too.
pub(crate) const FILE: &str = "00-00-podbond.conflist";

/// The primary network: the first file that is of no meta-plugin.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Primary {
    pub(crate) file: PathBuf,
    /// What its plugins are able to, in one.
    pub(crate) capabilities: Map<String, Value>,
}

/// Returns the primary network of a configuration directory (`/etc/cni/net.d`): its first file, by name, as a
/// runtime chooses it, that is of no meta-plugin. What cannot be parsed is passed over: it may be half written.
pub(crate) fn primary(conf_dir: &Path) -> Result<Option<Primary>, Error> {
    for file in files(conf_dir)? {
        let Some(config) = read(&file)? else { continue };
        let plugins = plugins(&config);
        let is_meta = |plugin: &&Map<String, Value>| {
            let kind = plugin.get("type").and_then(Value::as_str);
            kind.is_some_and(|kind| META_PLUGINS.contains(&kind))
        };
        let has_type =
            |plugin: &&Map<String, Value>| plugin.get("type").is_some_and(Value::is_string);
        if plugins.is_empty() || !plugins.iter().all(has_type) || plugins.iter().any(is_meta) {
            continue;
        }
        let capabilities =
            plugins.iter().filter_map(|plugin| plugin.get("capabilities")?.as_object());
        let declared = capabilities.flatten().filter(|(_, is_able)| **is_able == Value::Bool(true));
        let capabilities: BTreeMap<_, _> =
            declared.map(|(name, able)| (name.clone(), able.clone())).collect();
        return Ok(Some(Primary { file, capabilities: capabilities.into_iter().collect() }));
    }
    Ok(None)
}

/// Returns the file that a runtime chooses before podbond's, if there is one.
pub(crate) fn file_before(conf_dir: &Path) -> Result<Option<PathBuf>, Error> {
    let own = conf_dir.join(FILE);
    for file in files(conf_dir)?.into_iter().take_while(|file| *file < own) {
        if read(&file)?.is_some() {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// Returns the files of a configuration directory that a runtime reads, in its order.
fn files(conf_dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut names = podbond_state::names(conf_dir)?;
    names.sort();
    let files = names.into_iter().map(|name| conf_dir.join(name));
    let is_read = |file: &PathBuf| {
        let extension = file.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("conf" | "conflist" | "json"))
    };
    Ok(files.filter(is_read).collect())
}

/// Returns a configuration; none of what is no JSON object.
fn read(file: &Path) -> Result<Option<Map<String, Value>>, Error> {
    let bytes = podbond_state::read_following_links(file)?.unwrap_or_default();
    Ok(serde_json::from_slice(&bytes).ok())
}

/// Returns the plugins of a list, or the one of a configuration without a list.
fn plugins(config: &Map<String, Value>) -> Vec<&Map<String, Value>> {
    match config.get("plugins").and_then(Value::as_array) {
        Some(list) => list.iter().filter_map(Value::as_object).collect(),
        None => vec![config],
    }
}

/// Returns the text of podbond's file. It refers to the primary network's, so that nothing of that is copied; it
/// names 1.1.0 beside 1.0.0, so that a runtime asks for STATUS; it has the primary's capabilities, since a runtime
/// passes no others on (portMappings of a pod's hostPort, for one).
pub(crate) fn conflist(primary: &Primary) -> String {
    let mut plugin = json!({"type": "podbond", "clusterNetwork": primary.file});
    if !primary.capabilities.is_empty() {
        plugin["capabilities"] = Value::Object(primary.capabilities.clone());
    }
    let list = json!({
        "cniVersion": "1.0.0",
        "cniVersions": ["1.0.0", "1.1.0"],
        "name": "podbond",
        "plugins": [plugin],
    });
    format!("{list:#}\n")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn primary_is_the_first_file_of_no_meta_plugin() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(primary(dir.path()).unwrap(), None);
        let bridge = r#"{"name": "n", "plugins": [{"type": "bridge", "capabilities": {"ips": true}},
            {"type": "portmap", "capabilities": {"portMappings": true, "bandwidth": false}}]}"#;
        for (file, text) in [
            (FILE, r#"{"name": "podbond", "plugins": [{"type": "podbond"}]}"#),
            ("00-multus.conf", r#"{"name": "multus-cni-network", "type": "multus"}"#),
            ("01-half.conflist", r#"{"name": "#),
            ("02-empty.conf", "{}"),
            ("05-later.conf.tmp", "{}"),
            ("10-bridge.conflist", bridge),
            ("20-other.conf", r#"{"name": "o", "type": "ptp"}"#),
        ] {
            fs::write(dir.path().join(file), text).unwrap();
        }
        let found = primary(dir.path()).unwrap().unwrap();
        assert_eq!(found.file, dir.path().join("10-bridge.conflist"));
        let capabilities = json!({"ips": true, "portMappings": true});
        assert_eq!(Value::Object(found.capabilities), capabilities);
    }

    #[test]
    fn file_refers_to_the_primary_network() {
        let capabilities = Map::from_iter([("portMappings".to_owned(), Value::Bool(true))]);
        let primary = Primary { file: "/etc/cni/net.d/10-bridge.conflist".into(), capabilities };
        let written: Value = serde_json::from_str(&conflist(&primary)).unwrap();
        let wanted = json!({
            "cniVersion": "1.0.0", "cniVersions": ["1.0.0", "1.1.0"], "name": "podbond",
            "plugins": [{
                "type": "podbond", "clusterNetwork": "/etc/cni/net.d/10-bridge.conflist",
                "capabilities": {"portMappings": true},
            }],
        });
        assert_eq!(written, wanted);
    }
}
