//! Records that ADD did not write, and configurations of networks by anybody.

use podbond_cni::NetConf;

use crate::Record;
use crate::nad::Network;
use crate::networks::parse_networks;
use crate::record::{parse, to_text};

/// Reads a record.
///
/// # Panics
/// When a record that can be read is not the same once it is written again.
pub fn record(bytes: &[u8]) {
    let Ok(record) = parse(bytes) else { return };
    let _ = record.statuses();
    assert_eq!(written_and_read(&record), Ok(record));
}

/// Reads the text of a network's configuration, asks it for what every selection of an annotation
/// wishes for, and reads what would be handed to its plugins: the first half of the bytes is the
/// annotation, up to a NUL.
///
/// # Panics
/// When a configuration that was taken cannot be read by a plugin, or from the attachment's record.
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
        let mut record = example();
        record.configs = configs;
        assert_eq!(written_and_read(&record), Ok(record));
    }
}

fn written_and_read(record: &Record) -> Result<Record, String> {
    to_text(record).map_err(|error| error.to_string()).and_then(|text| parse(text.as_bytes()))
}

/// A record of no plugins.
///
/// # Panics
/// Never: the text is right.
fn example() -> Record {
    let text = r#"{"version":1,"container_id":"c1","ifname":"net1","pod":"demo/p","uid":null,
        "netns":{"path":"/run/netns/p","boot":"","inode":1,"made":null},"position":0,
        "nad":"demo/n","network":"n","device":null,"configs":[],"called":0,"result":null}"#;
    parse(text.as_bytes()).unwrap_or_else(|problem| panic!("the example {problem}"))
}
