//! The operation log that plugins write.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::node::{Call, Netns, bond_config};

const FILE: &str = "/etc/podbond/config.toml";
const LOG: &str = "/var/log/podbond-test.log";
const ARGS: &str = "K8S_POD_NAMESPACE=demo;K8S_POD_NAME=bondpod1;TOKEN=hush";

/// The administrator's file and the log, for as long as it lives.
struct Settings;

impl Settings {
    fn write() -> Self {
        fs::create_dir_all("/etc/podbond").unwrap();
        fs::write(FILE, format!("[log]\nfile = \"{LOG}\"\n")).unwrap();
        let _ = fs::remove_file(LOG);
        Self
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        for file in [FILE, LOG] {
            let _ = fs::remove_file(file);
        }
    }
}

/// The lines of the log since it was last asked for, as pairs; values in quotes as JSON has them.
fn lines() -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(LOG).unwrap_or_default();
    let _ = fs::remove_file(LOG);
    text.lines().map(pairs).collect()
}

fn pairs(line: &str) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    let mut rest = line;
    while let Some((key, after)) = rest.split_once('=') {
        let quoted = after.starts_with('"');
        let mut values = serde_json::Deserializer::from_str(after).into_iter::<String>();
        let (value, end) = if quoted {
            let value = values.next().unwrap().unwrap();
            (value, values.byte_offset())
        } else {
            let end = after.find(' ').unwrap_or(after.len());
            (after[..end].to_owned(), end)
        };
        pairs.insert(key.trim().to_owned(), value);
        rest = &after[end..];
    }
    pairs
}

fn call(command: &str, netns: &Netns, config: &serde_json::Value) -> bool {
    let path = netns.path();
    let call = Call { plugin: "bond", command, container: "log1", netns: &path, ifname: "net3" };
    let mut process = Command::new("/opt/cni/bin/bond");
    call.run_as(process.env("CNI_ARGS", ARGS), &config.to_string()).is_ok()
}

#[test]
fn line_has_duration_and_error() {
    let netns = Netns::with_links("log1");
    let _settings = Settings::write();
    let config = bond_config(&json!({}));

    assert!(call("ADD", &netns, &config));
    let [ipam, bond] = &lines()[..] else { panic!("not two lines") };
    assert_eq!((ipam["plugin"].as_str(), ipam["outcome"].as_str()), ("host-local", "ok"));
    for (key, value) in [
        ("level", "info"),
        ("plugin", "bond"),
        ("command", "ADD"),
        ("pod", "demo/bondpod1"),
        ("container", "log1"),
        ("network", "bond-net1"),
        ("interface", "net3"),
        ("netns", netns.path().as_str()),
        ("outcome", "ok"),
    ] {
        assert_eq!(bond[key], value, "{bond:?}");
    }
    let ms = |line: &BTreeMap<String, String>| line["duration_ms"].parse::<f64>().unwrap();
    assert!(ms(bond) > ms(ipam) && ms(ipam) > 0.0, "{bond:?}, {ipam:?}");
    assert!(!format!("{bond:?}{ipam:?}").contains("hush"));
    assert!(call("DEL", &netns, &config));
    assert!(lines().iter().all(|line| line["command"] == "DEL" && line["outcome"] == "ok"));

    // A port is missing.
    netns.ip("link del net2");
    assert!(!call("ADD", &netns, &config));
    let [failed] = &lines()[..] else { panic!("not one line") };
    assert_eq!((failed["level"].as_str(), failed["code"].as_str()), ("error", "101"));
    assert!(failed["msg"].contains("there is no net2"), "{failed:?}");
    assert!(failed["msg"].contains("list the network that makes it before"), "{failed:?}");
    assert!(call("DEL", &netns, &config));
}

#[test]
fn line_has_the_extended_ack() {
    let netns = Netns::with_links("log2");
    // The bonding driver takes no port that has a loopback's nature.
    let config = bond_config(&json!({"links": [{"name": "net1"}, {"name": "lo"}], "mtu": null}));
    let _settings = Settings::write();
    assert!(!call("ADD", &netns, &config));
    let lines = lines();
    let failed = lines.iter().find(|line| line["plugin"] == "bond").unwrap();
    assert_eq!(failed["code"], "100", "{failed:?}");
    assert!(!failed["details"].is_empty(), "{failed:?}");
    assert!(call("DEL", &netns, &config));
}

/// Promise: log-fails-nothing
#[test]
fn unwritable_log_fails_nothing() {
    let netns = Netns::with_links("log3");
    let _settings = Settings::write();
    fs::write(FILE, "[log]\nfile = \"/proc/none/podbond.log\"\n").unwrap();
    let config = bond_config(&json!({}));
    assert!(call("ADD", &netns, &config));
    assert!(call("DEL", &netns, &config));
    fs::write(FILE, "[log]\nfiel = \"x\"\n").unwrap();
    assert!(call("ADD", &netns, &config));
    assert!(call("DEL", &netns, &config));
    assert!(!Path::new(LOG).exists());
}

/// It panicked once, after all was taken away, and the runtime called DEL again for ever.
///
/// Promise: log-fails-nothing
#[test]
fn warning_is_logged_when_stderr_is_closed() {
    let netns = Netns::with_links("log4");
    let path = netns.path();
    let _settings = Settings::write();
    let config = bond_config(&json!({})).to_string();
    for stderr in ["2>&-", "2>/dev/full"] {
        let call = Call {
            plugin: "bond",
            command: "DEL",
            container: "log4",
            netns: &path,
            ifname: "net3",
        };
        let record = "/run/podbond/attachments/log4:net3";
        fs::write(record, "{").unwrap();
        let script = format!("exec /opt/cni/bin/bond {stderr}");
        let answer = call.run_as(Command::new("sh").args(["-c", &script]), &config);
        assert_eq!(answer, Ok(json!(null)), "{stderr}");
        let lines = lines();
        let warning = lines.iter().find(|line| line["level"] == "warning").unwrap();
        let msg = &warning["msg"];
        assert!(
            msg.contains(record) && msg.contains("restored by the configuration"),
            "{warning:?}"
        );
        assert!(!Path::new(record).exists());
    }
}
