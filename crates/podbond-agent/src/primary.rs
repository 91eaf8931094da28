//! The runtime's configuration directory: the primary network's file, and podbond's that refers to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use podbond_cni::META_PLUGINS;
use serde_json::{Map, Value, json};

use crate::error::Error;

/// The name of podbond's file: it sorts before any that a runtime would choose, Multus' too.
pub(crate) const FILE: &str = "00-00-podbond.conflist";

/// The keys of a meta-plugin's configuration that say which networks a pod may have and gets: they hold on when podbond
/// takes the place of another. Those are left out that say where the primary network is, how the API is reached and
/// what is logged.
const RULES: [&str; 8] = [
    "binDir",
    "confDir",
    "defaultNetworks",
    "globalNamespaces",
    "multusNamespace",
    "namespaceIsolation",
    "readinessindicatorfile",
    "systemNamespaces",
];

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
        let has_type =
            |plugin: &&Map<String, Value>| plugin.get("type").is_some_and(Value::is_string);
        if plugins.is_empty()
            || !plugins.iter().all(has_type)
            || plugins.iter().any(|plugin| is_meta(plugin))
        {
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

/// Returns the rules for pods' networks: those of the first file of another meta-plugin in the configuration directory,
/// as a thin Multus', or where there is none (any more) those of podbond's own file; and in their place those of a file
/// that the administrator names, as a thick Multus' daemon has.
pub(crate) fn rules(conf_dir: &Path, named: Option<&Path>) -> Result<Map<String, Value>, Error> {
    let own = conf_dir.join(FILE);
    let (mine, others): (Vec<_>, Vec<_>) =
        files(conf_dir)?.into_iter().partition(|file| *file == own);
    let mut rules = Map::new();
    for file in others.into_iter().chain(mine) {
        let Some(config) = read(&file)? else { continue };
        let of_meta = plugins(&config).into_iter().find(|plugin| is_meta(plugin));
        if let Some(plugin) = of_meta {
            rules = only_rules(plugin);
            break;
        }
    }
    if let Some(file) = named {
        let config = read(file)?.ok_or_else(|| Error::Rules { file: file.to_owned() })?;
        rules.extend(only_rules(&config));
    }
    Ok(rules)
}

fn only_rules(config: &Map<String, Value>) -> Map<String, Value> {
    let rules = config.iter().filter(|(key, _)| RULES.contains(&key.as_str()));
    rules.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn is_meta(plugin: &Map<String, Value>) -> bool {
    let kind = plugin.get("type").and_then(Value::as_str);
    kind.is_some_and(|kind| META_PLUGINS.contains(&kind))
}

/// Returns the files of other meta-plugins that name podbond's file or call it: they do nothing without it.
pub(crate) fn files_that_name_podbond(conf_dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut naming = Vec::new();
    for file in files(conf_dir)?.into_iter().filter(|file| *file != conf_dir.join(FILE)) {
        let Some(config) = read(&file)? else { continue };
        let is_of_meta = plugins(&config).into_iter().any(is_meta);
        let text = Value::Object(config.clone()).to_string();
        if is_of_meta && (text.contains(FILE) || text.contains(r#""type":"podbond""#)) {
            naming.push(file);
        }
    }
    Ok(naming)
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
pub(crate) fn conflist(primary: &Primary, rules: &Map<String, Value>) -> String {
    let mut plugin = json!({"type": "podbond", "clusterNetwork": primary.file});
    for (key, value) in rules {
        plugin[key] = value.clone();
    }
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
        let written: Value = serde_json::from_str(&conflist(&primary, &Map::new())).unwrap();
        let wanted = json!({
            "cniVersion": "1.0.0", "cniVersions": ["1.0.0", "1.1.0"], "name": "podbond",
            "plugins": [{
                "type": "podbond", "clusterNetwork": "/etc/cni/net.d/10-bridge.conflist",
                "capabilities": {"portMappings": true},
            }],
        });
        assert_eq!(written, wanted);
    }

    #[test]
    fn rules_of_the_meta_plugin_before_hold_on() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        assert!(rules(dir.path(), None).unwrap().is_empty());
        write(
            FILE,
            r#"{"name": "podbond", "plugins": [{"type": "podbond", "namespaceIsolation": false}]}"#,
        );
        let multus = r#"{"name": "multus-cni-network", "type": "multus", "kubeconfig": "/k", "logLevel": "debug",
            "namespaceIsolation": true, "globalNamespaces": "default,net", "delegates": [{"type": "bridge"}]}"#;
        write("00-multus.conf", multus);
        let of_file = json!({"namespaceIsolation": true, "globalNamespaces": "default,net"});
        assert_eq!(Value::Object(rules(dir.path(), None).unwrap()), of_file);
        let named = dir.path().join("daemon-config");
        fs::write(&named, r#"{"globalNamespaces": "default", "chrootDir": "/hostroot"}"#).unwrap();
        let both = rules(dir.path(), Some(&named)).unwrap();
        assert_eq!(both["globalNamespaces"], "default");
        // What podbond has taken over stays when the other is gone.
        let primary = Primary { file: "/p".into(), capabilities: Map::new() };
        write(FILE, &conflist(&primary, &both));
        fs::remove_file(dir.path().join("00-multus.conf")).unwrap();
        let rules = rules(dir.path(), None).unwrap();
        assert_eq!(rules, both);
        let written: Value = serde_json::from_str(&conflist(&primary, &rules)).unwrap();
        assert_eq!(written["plugins"][0]["namespaceIsolation"], true);
        fs::remove_file(&named).unwrap();
        assert!(matches!(super::rules(dir.path(), Some(&named)), Err(Error::Rules { .. })));
    }

    #[test]
    fn meta_plugin_that_took_podbond_for_its_primary_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("10-net.conf", r#"{"name": "podbond", "type": "bridge"}"#);
        write("01-multus.conf", r#"{"type": "multus", "delegates": [{"type": "bridge"}]}"#);
        assert!(files_that_name_podbond(dir.path()).unwrap().is_empty());
        write(
            "00-a.conf",
            r#"{"type": "multus-shim", "clusterNetwork": "/x/00-00-podbond.conflist"}"#,
        );
        write(
            "00-b.conf",
            r#"{"type": "multus", "delegates": [{"plugins": [{"type": "podbond"}]}]}"#,
        );
        let found = files_that_name_podbond(dir.path()).unwrap();
        assert_eq!(found, [dir.path().join("00-a.conf"), dir.path().join("00-b.conf")]);
    }
}
