//! Fuzz targets: network configurations and annotations that anybody may write.

use podbond_cni::NetConf;

use crate::chain::Network;
use crate::selections::parse_networks;

/// Reads a network's configuration, applies each selection of an annotation to it, and reads what its
/// plugins would be given. The annotation comes first in the text, up to a NUL.
///
/// # Panics
/// When a plugin cannot read a configuration that was accepted.
pub fn network(text: &str) {
    let (annotation, config) = text.split_once('\0').unwrap_or(("", text));
    let Ok(network) = Network::parse(config, Some("net")) else { return };
    for selection in parse_networks(annotation).unwrap_or_default() {
        let mut asked = network.clone();
        let Ok(_) = asked.apply_selection(&selection) else { continue };
        let Ok(configs) = asked.configs() else { continue };
        for config in &configs {
            let text = serde_json::Value::Object(config.raw.clone()).to_string();
            assert_eq!(NetConf::parse(text.as_bytes()).as_ref(), Ok(config));
        }
    }
}
