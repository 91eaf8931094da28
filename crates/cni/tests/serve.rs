//! A plugin as a process: what it answers on standard output, and its exit status.
//!
//! The test runs its own executable as the plugin, marked by a variable.
#![expect(clippy::unwrap_used, reason = "a panic here is the failure's report")]

use std::env;
use std::fmt::Display;
use std::io::{Read, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use podbond_cni::{
    CniResult, Code, Command as CniCommand, Delegates, Failure, Journal, Lookup, Operation, Plugin,
    Request, Subject, serve,
};
use serde_json::{Value, json};

const MARK: &str = "PODBOND_TEST_PLUGIN";

/// Set to 1, operations are noted on standard error.
const NOTING: &str = "PODBOND_TEST_JOURNAL";

/// A key of a configuration that ends its line, forges another, and clears the screen.
const HOSTILE: &str = "key x\nDec 01 00:00:00 node kubelet: pod admitted\u{1b}[2J";

/// Writes to standard error.
struct Fakes;

impl Journal for Fakes {
    fn note(&self, operation: &Operation<'_>) {
        let Subject { plugin, command, network, interface, .. } = operation.subject;
        let code = operation.outcome.map_or_else(|failure| failure.code.number(), |()| 0);
        eprintln!("{plugin} {command} {network:?} {interface:?} {code}");
    }

    fn warn(&self, _: &Subject, _: &dyn Display) {}
}

/// Succeeds, but for the networks named `broken` and `defect`, and warns of the one named `warned`.
struct Fake;

impl Plugin for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn add(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Failure> {
        if request.config.name == "broken" {
            return Err(Failure::new(Code::CONFLICT, "net1: taken").with_details("EEXIST"));
        }
        assert_ne!(request.config.name, "defect");
        if request.config.name == "warned" {
            delegates.warn(CniCommand::Add, request, "warning", &HOSTILE);
        }
        let json = json!({"ips": [{"address": "10.0.0.5/24"}]});
        CniResult::from_value(&json, request.config.version)
    }

    fn del(&self, _: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(())
    }

    fn check(&self, _: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        Err(Failure::new(Code::DIFFERS, "net1: gone"))
    }
}

/// Exit status, standard output and standard error of a call.
fn call(command: &str, ifname: &str, stdin: &str) -> (Option<i32>, String, String) {
    call_with("0", command, ifname, stdin)
}

fn call_with(
    noting: &str,
    command: &str,
    ifname: &str,
    stdin: &str,
) -> (Option<i32>, String, String) {
    let mut child = Command::new(env::current_exe().unwrap())
        .env_clear()
        .env(MARK, "1")
        .env(NOTING, noting)
        .env("CNI_COMMAND", command)
        .env("CNI_CONTAINERID", "c1")
        .env("CNI_NETNS", "/run/netns/c1")
        .env("CNI_IFNAME", ifname)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A plugin that refuses the environment does not read it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Exit status and the JSON on standard output.
fn answer(command: &str, ifname: &str, stdin: &Value) -> (Option<i32>, Value) {
    let (status, stdout, stderr) = call(command, ifname, &stdin.to_string());
    assert_eq!(stderr, "", "{command}");
    (status, serde_json::from_str(&stdout).unwrap())
}

fn add_answers_in_the_version_of_the_configuration() {
    let config = json!({"cniVersion": "0.2.0", "name": "n", "type": "fake"});
    let mut broken = config.clone();
    broken["name"] = json!("broken");
    // The fake's result has no 0.2.0 form, so it is empty there.
    let expected = json!({"cniVersion": "0.2.0", "dns": {}});
    assert_eq!(answer("ADD", "net1", &config), (Some(0), expected));
    let config = json!({"cniVersion": "1.0.0", "name": "n", "type": "fake"});
    let expected = json!({"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.5/24"}]});
    assert_eq!(answer("ADD", "net1", &config), (Some(0), expected));
    let expected =
        json!({"cniVersion": "0.2.0", "code": 101, "msg": "net1: taken", "details": "EEXIST"});
    assert_eq!(answer("ADD", "net1", &broken), (Some(1), expected));
}

fn del_status_and_gc_answer_nothing() {
    let config = json!({
        "cniVersion": "1.1.0", "name": "n", "type": "fake", "cni.dev/valid-attachments": [],
    });
    for command in ["DEL", "STATUS", "GC"] {
        let outcome = call(command, "net1", &config.to_string());
        assert_eq!(outcome, (Some(0), String::new(), String::new()), "{command}");
    }
}

fn error_has_the_version_of_the_configuration_or_the_newest() {
    let config = json!({"cniVersion": "0.4.0", "name": "n", "type": "fake", "prevResult": {}});
    let expected = json!({"cniVersion": "0.4.0", "code": 103, "msg": "net1: gone"});
    assert_eq!(answer("CHECK", "net1", &config), (Some(1), expected));
    let (status, error) = answer("ADD", "net/1", &config);
    assert_eq!((status, &error["code"]), (Some(1), &json!(4)));
    assert_eq!(error["cniVersion"], "1.1.0");
}

fn panic_is_answered_with_an_error() {
    let config = json!({"cniVersion": "1.0.0", "name": "defect", "type": "fake"});
    let (status, error) = answer("ADD", "net1", &config);
    assert_eq!((status, &error["code"]), (Some(1), &json!(104)));
    let msg = error["msg"].as_str().unwrap();
    assert!(msg.contains("serve.rs") && msg.contains("left != right"), "{msg}");
}

fn every_call_but_version_is_noted_once() {
    let config = |name: &str| json!({"cniVersion": "1.0.0", "name": name, "type": "fake"});
    for (command, ifname, network, noted) in [
        ("ADD", "net1", "n", "fake ADD Some(\"n\") Some(\"net1\") 0\n"),
        ("DEL", "net1", "n", "fake DEL Some(\"n\") Some(\"net1\") 0\n"),
        ("ADD", "net1", "broken", "fake ADD Some(\"broken\") Some(\"net1\") 101\n"),
        ("ADD", "net1", "defect", "fake ADD None Some(\"net1\") 104\n"),
        ("ADD", "net/1", "n", "fake ADD None Some(\"net/1\") 4\n"),
        ("ADD", "net1", "n/n", "fake ADD Some(\"n/n\") Some(\"net1\") 7\n"),
        ("VERSION", "net1", "n", ""),
    ] {
        let (_, _, said) = call_with("1", command, ifname, &config(network).to_string());
        assert_eq!(said, noted);
    }
}

fn warning_is_one_line_on_stderr() {
    let config = json!({"cniVersion": "1.0.0", "name": "warned", "type": "fake"});
    let (status, _, stderr) = call("ADD", "net1", &config.to_string());
    let line = "fake: network warned: warning: key x\\nDec 01 00:00:00 node kubelet: pod \
                admitted\\u001b[2J\n";
    assert_eq!((status, stderr.as_str()), (Some(0), line));
}

fn usage_is_shown_without_command() {
    let (status, stdout, stderr) = call("", "net1", "");
    assert_eq!((status, stdout.as_str()), (Some(1), ""));
    assert!(stderr.starts_with("CNI plugin fake of podbond"), "{stderr}");
}

fn version_does_not_wait_for_stdin() {
    let (status, version) = answer("VERSION", "net1", &json!({"cniVersion": "0.4.0"}));
    assert_eq!((status, &version["cniVersion"]), (Some(0), &json!("0.4.0")));
    let start = Instant::now();
    let mut child = Command::new(env::current_exe().unwrap())
        .env_clear()
        .env(MARK, "1")
        .env("CNI_COMMAND", "VERSION")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Taken, so that waiting does not close it.
    let silent = child.stdin.take().unwrap();
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(start.elapsed() < Duration::from_secs(10), "it waited for standard input");
    drop(silent);
    let version: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(version["cniVersion"], "1.1.0");
    assert_eq!(version["supportedVersions"].as_array().unwrap().len(), 7);
}

fn main() -> ExitCode {
    if env::var_os(MARK).is_some() {
        let delegates = Delegates::new(&[], Lookup::PathOnly);
        return match env::var(NOTING).as_deref() {
            Ok("1") => serve(&Fake, &delegates.with_journal(&Fakes)),
            _ => serve(&Fake, &delegates),
        };
    }
    add_answers_in_the_version_of_the_configuration();
    del_status_and_gc_answer_nothing();
    error_has_the_version_of_the_configuration_or_the_newest();
    panic_is_answered_with_an_error();
    every_call_but_version_is_noted_once();
    warning_is_one_line_on_stderr();
    usage_is_shown_without_command();
    version_does_not_wait_for_stdin();
    println!("8 tests passed");
    ExitCode::SUCCESS
}
