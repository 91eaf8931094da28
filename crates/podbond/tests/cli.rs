//! Exit statuses and standard output and error, of commands and of plugins.

#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::fs::File;
use std::io::Write;
use std::process::{Command, Output, Stdio};

fn podbond(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podbond"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// `podbond plan` of a manifest on standard input.
fn plan(manifest: &str) -> (Option<i32>, String) {
    let mut command = podbond(&["plan", "-f", "-"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
    said(&child.wait_with_output().unwrap())
}

#[test]
fn wrong_usage_exits_2() {
    for arguments in [&["frobnicate"][..], &["apply"], &["delete"], &["delete", "pod"], &[]] {
        let (status, said) = said(&podbond(arguments).output().unwrap());
        assert_eq!(status, Some(2), "{arguments:?}: {said}");
    }
}

#[test]
fn bad_input_exits_3() {
    let policy = r#"{"apiVersion": "sriovnetwork.openshift.io/v1", "kind": "SriovNetworkNodePolicy",
        "metadata": {"name": "p"}, "spec": {"resourceName": "r", "numVfs": 1,
        "nicSelector": {"pfNames": ["no-such-pf"]}}}"#;
    for (manifest, part) in [
        ("kind: Pod\nmetadata: [\n", "standard input:3:1"),
        ("kind: Pod\n", "apiVersion is missing"),
        (policy, "default/p: spec.nicSelector matches no PF of this node"),
    ] {
        let (status, said) = plan(manifest);
        assert_eq!(status, Some(3), "{said}");
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn closed_standard_output_is_no_error() {
    for arguments in [&["status", "-o", "json"][..], &["completions", "bash"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = podbond(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(said(&output), (Some(0), String::new()), "{arguments:?}");
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = podbond(&["completions", "bash"]).stdout(full).output().unwrap();
    let (status, said) = said(&output);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.starts_with("podbond: standard output: No space left"), "{said}");
}

/// Closed, gone away, full.
#[test]
fn closed_standard_error_changes_nothing() {
    let add = |stderr: &str| {
        let script = format!("exec -a bond {} {stderr}", env!("CARGO_BIN_EXE_podbond"));
        let mut command = Command::new("bash");
        command.args(["-c", &script]).env("CNI_COMMAND", "ADD").stdin(Stdio::null());
        command.stdout(Stdio::piped());
        command
    };
    let refused = |command: &mut Command, how: &str| {
        let output = command.output().unwrap();
        let error: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((output.status.code(), &error["code"]), (Some(1), &4.into()), "{how}");
    };
    for how in ["2>&-", "2>/dev/full"] {
        refused(&mut add(how), how);
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    refused(add("").stderr(writer), "gone away");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let status = podbond(&["frobnicate"]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

/// Promise: log-spares-files
#[test]
fn log_file_of_a_network_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("nad.log");
    let config = serde_json::json!({
        "cniVersion": "1.0.0", "name": "n", "type": "host-local", "logFile": log,
        "logLevel": "debug",
        "ipam": {"type": "host-local", "dataDir": dir.path(), "subnet": "10.56.217.0/24"},
    });
    let mut command = Command::new("bash");
    let script = format!("exec -a host-local {}", env!("CARGO_BIN_EXE_podbond"));
    command.args(["-c", &script]).env("CNI_COMMAND", "ADD").env("CNI_CONTAINERID", "c1");
    command.env("CNI_NETNS", "/proc/none").env("CNI_IFNAME", "net3").env("CNI_PATH", "/proc/none");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(config.to_string().as_bytes()).unwrap();
    let (status, stderr) = said(&child.wait_with_output().unwrap());
    assert_eq!(status, Some(0), "{stderr}");
    // Once, and the line of the operation.
    let [warning, line] = stderr.lines().collect::<Vec<_>>().try_into().unwrap();
    let start = "host-local: network n: warning: logFile: it has no effect, ";
    assert!(warning.starts_with(start), "{stderr}");
    assert!(line.starts_with("time=") && line.ends_with(" outcome=ok"), "{stderr}");
    assert!(!log.exists());
}

#[test]
fn plugin_whose_result_is_not_read_fails_without_a_panic() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new("bash");
    let script = format!("exec -a bond {}", env!("CARGO_BIN_EXE_podbond"));
    command.args(["-c", &script]).env("CNI_COMMAND", "ADD").stdin(Stdio::null());
    let (status, said) = said(&command.stdout(writer).stderr(Stdio::piped()).output().unwrap());
    assert_eq!(status, Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

/// A pod with a bond that has more than one error, and an object that podbond does not read.
const REFUSED: &str = r#"
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "annotations": {
  "k8s.v1.cni.cncf.io/networks": "n"}}}
---
{"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
 "metadata": {"name": "n"}, "spec": {"config":
 "{\"type\": \"bond\", \"mtu\": 1, \"links\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}"}}
---
{"apiVersion": "v1", "kind": "Other", "metadata": {"name": "\u001b[2J"}}
"#;

#[test]
fn each_error_of_a_bond_is_a_line() {
    let (status, said) = plan(REFUSED);
    assert_eq!(status, Some(3), "{said}");
    let errors: Vec<_> = said.lines().filter(|line| line.starts_with("podbond: ")).collect();
    assert!(errors.len() > 1, "{said}");
    assert!(errors.iter().all(|line| line.contains("pod default/p: net1: ")), "{said}");
}

#[test]
fn text_of_manifests_is_escaped() {
    let (_, said) = plan(REFUSED);
    assert!(said.starts_with("Other \\u001b[2J is of no kind that podbond reads"), "{said}");
    assert!(!said.contains('\u{1b}'), "{said}");
}

/// Promise: uninstall-restores
#[test]
fn install_keeps_what_it_replaces_until_uninstall() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("bond"), "bond-cni").unwrap();
    let path = dir.path().to_str().unwrap();
    let lines = |arguments: &[&str]| {
        let output = podbond(arguments).output().unwrap();
        assert_eq!(said(&output), (Some(0), String::new()), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap().replace(path, "DIR")
    };
    let installed = lines(&["install", path, "--only", "bond,sriov"]);
    let expected = "DIR/podbond: installed\nDIR/bond: installed; what was there is kept as \
                    DIR/.podbond/bond\nDIR/sriov: installed\nDIR/host-local: not installed\n";
    assert_eq!(installed, expected);
    // The installed executable is known by its content.
    std::fs::copy(dir.path().join("bond"), dir.path().join("host-local")).unwrap();
    let removed = lines(&["uninstall", path]);
    let expected = "DIR/bond: put back as it was before podbond\nDIR/sriov: removed\n\
                    DIR/host-local: removed\nDIR/podbond: removed\n";
    assert_eq!(removed, expected);
    assert_eq!(std::fs::read(dir.path().join("bond")).unwrap(), b"bond-cni");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
