//! The node's CNI configuration of a name, for a NetworkAttachmentDefinition without `spec.config`.

use std::path::Path;

use podbond_cni::{META_PLUGINS, field};
use serde_json::{Map, Value};

use super::default_network::{NodeNetwork, is_configuration};
use crate::error::Error;

/// Returns the text of the configuration of this name in a directory (`/etc/cni/net.d`): of a list first,
/// then of a single plugin (multi-net-spec 1.3, section 3.4.1), each in the order of the files' names. A file
/// that does not parse has no name; one of a meta-plugin is not looked at, since it would attach the pod's
/// networks again.
pub fn configuration_on_disk(conf_dir: &Path, name: &str) -> Result<Option<String>, Error> {
    let mut single = None;
    for file in podbond_state::names(conf_dir)?.into_iter().map(|file| conf_dir.join(file)) {
        if !is_configuration(&file) {
            continue;
        }
        let bytes = podbond_state::read_following_links(&file)?.unwrap_or_default();
        let Ok(object) = serde_json::from_slice::<Map<String, Value>>(&bytes) else { continue };
        if field(&object, "name").and_then(Value::as_str) != Some(name) {
            continue;
        }
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        match field(&object, "type").and_then(Value::as_str).filter(|plugin| !plugin.is_empty()) {
            None if lists_meta_plugin(&object) => {}
            None => return Ok(Some(text())),
            Some(plugin) if META_PLUGINS.contains(&plugin) => {}
            Some(_) => single = single.or_else(|| Some(text())),
        }
    }
    Ok(single)
}

/// Returns the network of this name in a directory, as [`configuration_on_disk`] finds it.
pub fn network_named(conf_dir: &Path, name: &str) -> Result<Option<NodeNetwork>, Error> {
    let Some(text) = configuration_on_disk(conf_dir, name)? else { return Ok(None) };
    let network = NodeNetwork::parse(&text);
    network.map(Some).map_err(|reason| Error::NodeNetwork { network: name.to_owned(), reason })
}

fn lists_meta_plugin(list: &Map<String, Value>) -> bool {
    let plugins = field(list, "plugins").and_then(Value::as_array).into_iter().flatten();
    let mut types = plugins.filter_map(|plugin| field(plugin.as_object()?, "type")?.as_str());
    types.any(|plugin| META_PLUGINS.contains(&plugin))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn list_of_the_name_comes_before_a_single_plugin() {
        let dir = tempfile::tempdir().unwrap();
        let found = |name: &str| configuration_on_disk(dir.path(), name).unwrap();
        assert_eq!(found("net"), None);
        let single = r#"{"name": "net", "type": "bridge"}"#;
        let list = r#"{"name": "net", "plugins": [{"type": "bridge"}]}"#;
        for (file, text) in [
            ("00-multus.conf", r#"{"name": "net", "type": "multus"}"#),
            ("00-podbond.conflist", r#"{"name": "net", "plugins": [{"type": "podbond"}]}"#),
            ("01-broken.conf", "{"),
            ("02-other.conflist", r#"{"name": "other", "plugins": []}"#),
            ("03-net.conf.bak", list),
            ("10-net.conf", single),
        ] {
            fs::write(dir.path().join(file), text).unwrap();
        }
        assert_eq!(found("net").as_deref(), Some(single));
        fs::write(dir.path().join("20-net.conflist"), list).unwrap();
        assert_eq!(found("net").as_deref(), Some(list));
    }
}
