//! Configurations of networks by anybody.

use podbond_cni::NetConf;

use crate::nad::Network;
use crate::networks::parse_networks;

/// Reads the text of a network's configuration, asks it for what every selection of an annotation
/// wishes for, and reads what would be handed to its plugins: the first half of the bytes is the
/// annotation, up to a NUL.
///
/// # Panics
/// When a configuration that was taken cannot be read by a plugin.
pub fn network(text: &str) {
    let (annotation, config) = text.split_once('\0').unwrap_or(("", text));
    let Ok(network) = Network::parse(config, Some("net")) else { return };
    for selection in parse_networks(annotation).unwrap_or_default() {
        let mut asked = network.clone();
        let Ok(_) = asked.ask(&selection) else { continue };
        let Ok(configs) = asked.configs() else { continue };
        for config in &configs {
            let text = serde_json::Value::Object(config.raw.clone()).to_string();
            assert_eq!(NetConf::parse(text.as_bytes()).as_ref(), Ok(config));
        }
    }
}
