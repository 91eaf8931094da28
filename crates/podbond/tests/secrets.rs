//! What a runtime hands over may hold what is nobody else's business: a plugin's answer and the
//! node's log say nothing of `CNI_ARGS` and of keys that are not podbond's, whatever is wrong.

#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const SECRET: &str = "hunter2-is-secret";

/// Exit status, and all that a plugin says: its answer, and the log, which is on standard error.
fn call(plugin: &str, command: &str, args: &str, config: &str) -> (bool, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_podbond"))
        .arg0(plugin)
        .env_clear()
        .env("CNI_COMMAND", command)
        .env("CNI_CONTAINERID", "c1")
        .env("CNI_NETNS", "/proc/none")
        .env("CNI_IFNAME", "net3")
        .env("CNI_ARGS", args)
        .env("CNI_PATH", "/proc/none")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may answer before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(config.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Configurations of the plugins, each with secrets where keys of others are.
fn configs(data_dir: &str) -> [Value; 4] {
    let with_secrets = |own: Value| {
        let mut config = json!({
            "cniVersion": "1.0.0", "name": "n", "password": SECRET, "token": {"value": [SECRET]},
            "args": {"labels": [{"key": "k", "value": SECRET}], "cni": {"secret": SECRET}},
            "runtimeConfig": {"io.kubernetes.cri.pod-annotations": {"a": SECRET}},
        });
        config.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        config
    };
    [
        with_secrets(json!({
            "type": "bond", "mode": "active-backup", "failOverMac": 1, "miimon": "100",
            "linksInContainer": true, "links": [{"name": "net1"}, {"name": "net2"}], "mtu": 1500,
            "ipam": {"type": "host-local", "subnet": "10.56.217.0/24", "password": SECRET},
        })),
        with_secrets(json!({
            "type": "sriov", "vlan": 5, "vlanQoS": 1, "trust": "on", "mac": "02:00:00:00:00:01",
            "max_tx_rate": 100, "ipam": {"type": "host-local", "password": SECRET},
        })),
        with_secrets(json!({
            "type": "host-local",
            "ipam": {
                "type": "host-local", "dataDir": data_dir, "subnet": "10.56.217.0/30",
                "gateway": "10.56.217.2", "routes": [{"dst": "0.0.0.0/0"}], "password": SECRET,
            },
        })),
        with_secrets(json!({
            "type": "multus", "capabilities": {"mac": true},
            "delegates": [{
                "name": "first", "type": "bond", "capabilities": {"token": true}, "password": SECRET,
                "args": {"cni": {"secret": SECRET}}, "links": [{"name": "net1"}, {"name": "net2"}],
            }],
        })),
    ]
}

/// The same configuration with one of its keys, at any depth, of another type.
fn damaged(config: &Value) -> Vec<Value> {
    let Value::Object(keys) = config else { return Vec::new() };
    let with = |key: &String, value: Value| {
        let mut keys = keys.clone();
        keys.insert(key.clone(), value);
        Value::Object(keys)
    };
    let wrong = json!([{"wrong": true}]);
    keys.iter()
        .filter(|(_, value)| !value.to_string().contains(SECRET) || value.is_object())
        .flat_map(|(key, value)| {
            let deeper = damaged(value).into_iter().map(|value| with(key, value));
            let own = (!value.to_string().contains(SECRET)).then(|| with(key, wrong.clone()));
            own.into_iter().chain(deeper).collect::<Vec<_>>()
        })
        .collect()
}

/// Promise: no-secrets
#[test]
fn no_error_reveals_a_secret() {
    let dir = tempfile::tempdir().unwrap();
    let args = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=demo;K8S_POD_NAME=p;TOKEN={SECRET}");
    let (mut failed, mut logged) = (0, 0);
    for config in configs(dir.path().to_str().unwrap()) {
        let plugin = config["type"].as_str().unwrap();
        let whole = config.to_string();
        let torn = &whole[..whole.find(SECRET).unwrap() + SECRET.len()];
        let mut calls = vec![
            ("ADD", args.clone(), whole.clone()),
            ("ADD", args.clone(), torn.to_owned()),
            ("ADD", args.clone(), whole.replacen(':', " ", 1)),
            ("ADD", args.clone(), format!("\"{SECRET}\"")),
            // What is no pair may be the rest of a secret that has a `;` in it.
            ("ADD", format!("TOKEN=a;{SECRET}"), whole.clone()),
            ("ADD", format!("{args};IP=10.0.0"), whole.clone()),
            ("CHECK", args.clone(), whole.clone()),
            ("FROBNICATE", args.clone(), whole),
        ];
        calls.extend(damaged(&config).iter().map(|one| ("ADD", args.clone(), one.to_string())));
        for (command, args, config) in calls {
            let (succeeded, said) = call(plugin, command, &args, &config);
            assert!(!said.contains(SECRET), "{plugin} {command} {args} {config}: {said}");
            failed += u32::from(!succeeded);
            logged += u32::from(said.contains("level=error"));
        }
    }
    // Else there was nothing to reveal.
    assert!(failed > 30 && logged > 30, "{failed} failed, {logged} are in the log");
}
