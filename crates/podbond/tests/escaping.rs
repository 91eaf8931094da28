//! Text of every kind in every field that ends in a message: what the executable then prints has no
//! character that a terminal obeys, and no line that is not its own.

#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use podbond_names::OneLine;
use proptest::prelude::*;
use serde_json::{Value, json};

/// What begins a line of its own if a line feed of a text comes through.
const INJECTED: &str = "INJECTED";

/// Text with many characters that must not be shown, as a name, an argument or a file's name may be.
fn hostile() -> impl Strategy<Value = String> {
    let bad = "\u{1b}\u{9b}\u{7f}\u{8}\r\t\n\u{85}\u{2028}\u{2029}\u{202e}\u{2066}\u{200b}\u{feff}";
    let bad: Vec<char> = bad.chars().collect();
    let any =
        prop_oneof![prop::sample::select(bad), any::<char>(), proptest::char::range(' ', '~')];
    let text =
        prop::collection::vec(any.prop_filter("an argument has no NUL", |c| *c != '\0'), 0..12);
    text.prop_map(|text| format!("{}\n{INJECTED}", String::from_iter(text)))
}

/// Asserts that this may be on a terminal: `text` may have lines.
fn assert_safe(text: &str) {
    let shown: String = text.split('\n').map(|line| OneLine(line).to_string() + "\n").collect();
    assert_eq!(shown.trim_end_matches('\n'), text.trim_end_matches('\n'));
    assert!(!text.lines().any(|line| line.trim_start().starts_with(INJECTED)), "{text}");
    assert!(text.lines().all(|line| line.len() <= 4096), "{text}");
}

/// Asserts that all that was printed is safe, and the message of a CNI error when it is taken out of its
/// JSON, too.
fn assert_output_is_safe(output: &Output) {
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|it| str::from_utf8(it).unwrap());
    assert_safe(stderr);
    if !stdout.starts_with('{') {
        return assert_safe(stdout);
    }
    let answer: Value = serde_json::from_str(stdout).unwrap();
    for field in ["msg", "details"] {
        let text = answer[field].as_str().unwrap_or_default();
        assert_eq!(OneLine(text).to_string(), text);
    }
}

fn run(command: &mut Command, stdin: &str) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // A command may end without reading it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn podbond(arguments: &[&OsStr], stdin: &str) -> Output {
    run(Command::new(env!("CARGO_BIN_EXE_podbond")).args(arguments), stdin)
}

/// Calls a plugin; `dir` is its `CNI_PATH`.
fn plugin(
    name: &str,
    operation: &str,
    dir: &Path,
    more: &[(&str, &str)],
    config: &Value,
) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podbond"));
    command.arg0(name).env("CNI_COMMAND", operation).env("CNI_PATH", dir);
    for (key, value) in
        [("CNI_CONTAINERID", "c1"), ("CNI_NETNS", "/no/such/netns"), ("CNI_IFNAME", "net1")]
    {
        command.env(key, value);
    }
    command.envs(more.iter().copied());
    run(&mut command, &config.to_string())
}

/// A configuration of a plugin in which one field, or its key, is this text.
fn config(plugin: &str, dir: &Path, field: usize, text: &str) -> Value {
    let mut config = json!({
        "cniVersion": "1.0.0", "name": "n", "type": plugin, "mode": "active-backup",
        "links": [{"name": "net1"}, {"name": "net2"}], "deviceID": "0000:00:00.7",
        "ipam": {"type": "host-local", "subnet": "10.1.0.0/24", "dataDir": dir.join("leases")},
        "delegates": [{"cniVersion": "1.0.0", "name": "n", "type": "none"}],
    });
    let at =
        ["cniVersion", "name", "type", "mode", "deviceID", "mac", "vlan", "capabilities", "args"];
    let nested = [("/links/0/name", text), ("/ipam/type", text), ("/ipam/subnet", text)];
    match field {
        0 => drop(config.as_object_mut().unwrap().insert(text.to_owned(), json!(1))),
        1 => config["links"][1] = json!({ text: 1, "name": "net2" }),
        2 => config["ipam"]["ranges"] = json!([[{"subnet": text, text: 1}]]),
        3 => config["delegates"][0]["type"] = json!(text),
        4..=6 => *config.pointer_mut(nested[field - 4].0).unwrap() = json!(text),
        _ => config[at[field % at.len()]] = json!(text),
    }
    config["strict"] = json!(true);
    config
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Promise: shown-text-escaped
    #[test]
    fn configuration_is_shown_escaped(text in hostile(), field in 0_usize..16, long in 0_usize..20) {
        let dir = tempfile::tempdir().unwrap();
        let text = if long == 0 { text.repeat(2000) } else { text };
        for name in ["bond", "sriov", "host-local", "multus"] {
            let config = config(name, dir.path(), field, &text);
            assert_output_is_safe(&plugin(name, "ADD", dir.path(), &[], &config));
        }
    }

    /// Promise: shown-text-escaped
    #[test]
    fn environment_is_shown_escaped(text in hostile(), variable in 0_usize..6) {
        let dir = tempfile::tempdir().unwrap();
        let names =
            ["CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"];
        for name in ["bond", "host-local"] {
            let more = [(names[variable], text.as_str())];
            let config = config(name, dir.path(), 7, "1.0.0");
            assert_output_is_safe(&plugin(name, "ADD", dir.path(), &more, &config));
        }
    }

    /// Promise: shown-text-escaped
    #[test]
    fn output_of_another_plugin_is_shown_escaped(text in hostile(), is_error in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let stdout = if is_error { json!({"code": 9, "msg": text}).to_string() } else { text.clone() };
        fs::write(dir.path().join("stdout"), stdout).unwrap();
        fs::write(dir.path().join("stderr"), &text).unwrap();
        let script = "#!/bin/sh\ncat \"$CNI_PATH/stdout\"; cat \"$CNI_PATH/stderr\" >&2; exit 1\n";
        let path = dir.path().join("foreign");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let foreign = json!({"cniVersion": "1.1.0", "name": "n", "type": "foreign"});
        let config =
            json!({"cniVersion": "1.1.0", "name": "n", "type": "multus", "delegates": [foreign]});
        let output = plugin("multus", "STATUS", dir.path(), &[], &config);
        prop_assert!(!output.stderr.is_empty());
        let stderr = String::from_utf8(output.stderr).unwrap();
        // It is a line of the foreign plugin's own.
        assert_safe(&stderr.replace(INJECTED, "own"));
        assert_output_is_safe(&Output { stderr: Vec::new(), ..output });
    }

    /// Promise: shown-text-escaped
    #[test]
    fn arguments_and_names_of_files_are_shown_escaped(text in hostile()) {
        let text = OsStr::new(&text);
        for arguments in [
            &["plan", "-f"].map(OsStr::new)[..],
            &["delete", "pod"].map(OsStr::new),
            &["status", "-n"].map(OsStr::new),
            &["install", "/dev/null", "--only"].map(OsStr::new),
            &["uninstall"].map(OsStr::new),
            &[],
        ] {
            let arguments = [arguments, &[text]].concat();
            assert_output_is_safe(&podbond(&arguments, ""));
        }
    }

    /// Promise: shown-text-escaped
    #[test]
    fn manifests_are_shown_escaped(text in hostile(), field in 0_usize..6) {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "annotations": {"k8s.v1.cni.cncf.io/networks": "a"}},
        });
        let mut nad = json!({
            "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": "a"},
            "spec": {"config": json!({"cniVersion": "1.0.0", "type": "bond"}).to_string()},
        });
        let text = json!(text);
        match field {
            0 => pod["metadata"]["name"] = text,
            1 => pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"] = text,
            2 => nad["metadata"]["name"] = text,
            3 => nad["spec"]["config"] = text,
            4 => nad["spec"]["config"] = json!(json!({"type": text, "name": text}).to_string()),
            _ => nad["kind"] = text,
        }
        let manifests = json!({"apiVersion": "v1", "kind": "List", "items": [nad, pod]}).to_string();
        assert_output_is_safe(&podbond(&["plan", "-f", "-"].map(OsStr::new), &manifests));
    }
}
