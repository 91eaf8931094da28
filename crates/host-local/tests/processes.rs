//! A hundred processes allocate at once, as when a node starts its pods.
//!
//! The test runs its own executable as the plugin: it is one when `CNI_COMMAND` is set.
#![expect(clippy::unwrap_used, reason = "a panic here is the failure's report")]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use podbond_cni::{Delegates, Lookup, serve};
use podbond_host_local::HostLocal;
use serde_json::{Value, json};

const PROCESSES: usize = 100;

fn start(command: &str, container: &str, dir: &Path) -> Child {
    let config = json!({
        "cniVersion": "0.3.1", "name": "bond-net1", "type": "bond",
        "ipam": {
            "type": "host-local", "dataDir": dir,
            "ranges": [[{"subnet": "10.56.217.0/24"}], [{"subnet": "fd00:56::/120"}]],
        },
    });
    let mut child = Command::new(env::current_exe().unwrap())
        .env("CNI_COMMAND", command)
        .env("CNI_CONTAINERID", container)
        .env("CNI_NETNS", "/run/netns/none")
        .env("CNI_IFNAME", "net3")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(config.to_string().as_bytes()).unwrap();
    child
}

/// Starts one process for each container; gives what they wrote once all have ended well.
fn run(command: &str, dir: &Path) -> Vec<String> {
    let children: Vec<Child> =
        (0..PROCESSES).map(|n| start(command, &format!("c{n}"), dir)).collect();
    let end = |child: Child| {
        let output = child.wait_with_output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command} failed: {stdout}");
        stdout
    };
    children.into_iter().map(end).collect()
}

fn hundred_processes_get_addresses_of_their_own_and_release_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut addresses = BTreeSet::new();
    for stdout in run("ADD", dir.path()) {
        let result: Value = serde_json::from_str(&stdout).unwrap();
        let ips = result["ips"].as_array().unwrap();
        assert_eq!(ips.len(), 2, "{result}");
        addresses.extend(ips.iter().map(|ip| ip["address"].as_str().unwrap().to_owned()));
    }
    assert_eq!(addresses.len(), 2 * PROCESSES);
    run("DEL", dir.path());
    let files = fs::read_dir(dir.path().join("bond-net1")).unwrap();
    let names: BTreeSet<_> = files.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "more than the lock and the last addresses: {names:?}");
}

fn main() -> ExitCode {
    if env::var_os("CNI_COMMAND").is_some() {
        return serve(&HostLocal, &Delegates::new(&[], Lookup::PathOnly));
    }
    hundred_processes_get_addresses_of_their_own_and_release_them();
    println!("1 test passed");
    ExitCode::SUCCESS
}
