use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::Args;

/// A plugin of ours that says who called it with what.
struct Fake;

impl Plugin for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn add(&self, request: &Request, _: &Delegates<'_>) -> Result<CniResult, Failure> {
        Err(Failure::new(Code::TRY_AGAIN, format!("in process for {}", request.config.name)))
    }

    fn del(&self, _: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(())
    }

    fn check(&self, _: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

/// A directory of `CNI_PATH` with one plugin in it, a shell script.
fn directory(plugin: &str, script: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(plugin);
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn request(plugin: &str, path: &[&Path]) -> Request {
    let config = json!({"cniVersion": "0.3.1", "name": "n", "type": plugin, "extra": [1]});
    Request {
        container_id: "c1".to_owned().try_into().unwrap(),
        netns: Some("/run/netns/c1".into()),
        ifname: "net3".parse().unwrap(),
        args: Args([("K".to_owned(), "V".to_owned())].into()),
        path: path.iter().map(PathBuf::from).collect(),
        config: NetConf::parse(config.to_string().as_bytes()).unwrap(),
    }
}

fn delegates() -> Delegates<'static> {
    Delegates::new(&[&Fake], Lookup::PathOnly)
}

fn add(request: &Request) -> Result<CniResult, Failure> {
    delegates().add(request).map_err(|failed| failed.cause)
}

#[test]
fn plugin_name_with_path_is_refused() {
    let dir = directory("foreign", "echo '{}'");
    let below = dir.path().join("below");
    fs::create_dir(&below).unwrap();
    // From a configuration it cannot come, from another caller it could.
    let mut request = request("foreign", &[&below]);
    request.config.plugin = "../foreign".to_owned();
    let failure = add(&request).unwrap_err();
    assert_eq!(failure.code, Code::INVALID_CONFIG);
    assert!(failure.msg.contains("is no file name"), "{}", failure.msg);
}

#[test]
fn program_gets_environment_and_configuration() {
    let dir = directory(
        "foreign",
        r#"cat >"${0%/*}/stdin"; env | grep ^CNI_ | sort >"${0%/*}/env"
        echo '{"ips":[{"version":"4","address":"10.0.0.5/24"}]}'"#,
    );
    let result = add(&request("foreign", &[dir.path()])).unwrap();
    assert_eq!(result.ips[0].address, "10.0.0.5/24".parse().unwrap());
    let env = fs::read_to_string(dir.path().join("env")).unwrap();
    let expected = format!(
        "CNI_ARGS=K=V\nCNI_COMMAND=ADD\nCNI_CONTAINERID=c1\nCNI_IFNAME=net3\n\
         CNI_NETNS=/run/netns/c1\nCNI_PATH={}\n",
        dir.path().display()
    );
    assert_eq!(env, expected);
    let stdin: Value =
        serde_json::from_slice(&fs::read(dir.path().join("stdin")).unwrap()).unwrap();
    let expected = json!({"cniVersion": "0.3.1", "name": "n", "type": "foreign", "extra": [1]});
    assert_eq!(stdin, expected);
}

#[test]
fn error_of_a_program_is_passed_on_with_its_name() {
    let dir = directory(
        "foreign",
        r#"[ $CNI_COMMAND = DEL ] && exit 0
        echo '{"code":11,"msg":"no lease yet","details":"dhcp"}'; exit 1"#,
    );
    let failure = add(&request("foreign", &[dir.path()])).unwrap_err();
    let expected = Failure::new(Code::TRY_AGAIN, "plugin \"foreign\": no lease yet");
    assert_eq!(failure, expected.with_details("dhcp"));
}

#[test]
fn what_was_printed_is_the_details_of_a_failure_without_error_object() {
    for (script, printed) in [
        ("echo panic: nil >&2; exit 3", "panic: nil"),
        ("echo panic: nil; exit 3", "panic: nil"),
        ("echo on stdout; echo on stderr >&2; exit 3", "on stderr; on stdout"),
    ] {
        let dir = directory("foreign", script);
        let failure = delegates().check(&request("foreign", &[dir.path()])).unwrap_err();
        assert_eq!(failure.msg, "plugin \"foreign\" failed without a reason (exit status: 3)");
        assert_eq!(failure.details, printed);
    }
}

#[test]
fn del_follows_a_failed_add() {
    let dir = directory("foreign", r#"echo $CNI_COMMAND >>"${0%/*}/calls"; exit 1"#);
    let failure = add(&request("foreign", &[dir.path()])).unwrap_err();
    assert_eq!(fs::read_to_string(dir.path().join("calls")).unwrap(), "ADD\nDEL\n");
    assert!(failure.details.starts_with("and its DEL failed: "), "{failure}");
}

/// Returns the failure of an IPAM plugin's ADD.
fn failed_ipam_add(script: &str) -> FailedAdd {
    let dir = directory("foreign", script);
    let mut request = request("own", &[dir.path()]);
    request.config.ipam = Some("foreign".to_owned());
    Delegates::new(&[], Lookup::PathOnly).ipam_add(&request).unwrap_err()
}

#[test]
fn failed_del_after_failed_add_is_reported() {
    let failed = failed_ipam_add("exit 1");
    assert!(failed.failed_del.is_some(), "{failed:?}");
    assert!(failed.cause.details.contains("and its DEL failed"), "{failed:?}");
    assert_eq!(failed_ipam_add("[ $CNI_COMMAND = DEL ]").failed_del, None);
    // One that was refused, or has never run, needs no DEL.
    let refused = r#"echo '{"code":7,"msg":"no server","details":""}'; exit 1"#;
    assert_eq!(failed_ipam_add(refused).failed_del, None);
    let unknown = r#"echo '{"code":3,"msg":"no such container","details":""}'; exit 1"#;
    assert_eq!(failed_ipam_add(unknown).failed_del, None);
    let script = format!("[ $CNI_COMMAND = ADD ] && exit 1; {unknown}");
    assert_eq!(failed_ipam_add(&script).failed_del, None);
    let dir = directory("foreign", "");
    fs::write(dir.path().join("foreign"), "#!/nowhere\n").unwrap();
    let mut request = request("own", &[dir.path()]);
    request.config.ipam = Some("foreign".to_owned());
    let failed = Delegates::new(&[], Lookup::PathOnly).ipam_add(&request).unwrap_err();
    assert_eq!(failed.failed_del, None);
}

#[test]
fn ipam_del_of_an_unknown_container_succeeds() {
    let del = |code: u32| {
        let dir = directory("foreign", &format!(r#"echo '{{"code":{code},"msg":"no"}}'; exit 1"#));
        let mut request = request("own", &[dir.path()]);
        request.config.ipam = Some("foreign".to_owned());
        Delegates::new(&[], Lookup::PathOnly).ipam_del(&request)
    };
    assert_eq!(del(3), Ok(()));
    assert_eq!(del(11).unwrap_err().code, Code::TRY_AGAIN);
}

#[test]
fn output_without_result_is_an_error() {
    for output in ["", "hello", r#"{"ips":[{"address":"x"}]}"#] {
        let dir = directory("foreign", &format!("echo '{output}'"));
        let failure = add(&request("foreign", &[dir.path()])).unwrap_err();
        assert_eq!(failure.code, Code::DECODE);
        assert!(failure.msg.starts_with("plugin \"foreign\" gave no result: "), "{failure}");
    }
}

#[test]
fn endless_output_is_refused() {
    let dir = directory("foreign", "exec yes");
    let failure = add(&request("foreign", &[dir.path()])).unwrap_err();
    assert!(failure.msg.contains("more than 1048576 bytes"), "{failure}");
}

#[test]
fn program_with_too_much_output_is_killed() {
    let dir = directory("foreign", "head -c 2000000 /dev/zero; sleep 1; touch \"${0%/*}/went-on\"");
    delegates().del(&request("foreign", &[dir.path()])).unwrap_err();
    assert!(!dir.path().join("went-on").exists());
}

#[test]
fn large_input_and_large_stderr_do_not_block() {
    let dir = directory("foreign", "head -c 300000 /dev/zero | tr '\\0' ' ' >&2; cat >/dev/null");
    let mut request = request("foreign", &[dir.path()]);
    request.config.raw.insert("big".to_owned(), "x".repeat(500_000).into());
    assert_eq!(delegates().del(&request), Ok(()));
}

#[test]
fn directories_are_searched_in_order() {
    let empty = tempfile::tempdir().unwrap();
    fs::create_dir(empty.path().join("foreign")).unwrap();
    let first = directory("foreign", "exit 0");
    let second = directory("foreign", "exit 1");
    let request = request("foreign", &[empty.path(), first.path(), second.path()]);
    assert_eq!(delegates().del(&request), Ok(()));
}

#[test]
fn missing_plugin_is_named_with_the_directories() {
    let failure = add(&request("fake", &[Path::new("/nowhere")])).unwrap_err();
    assert_eq!(
        failure.msg,
        "plugin \"fake\" is not in /nowhere: install it there, or add its directory to CNI_PATH"
    );
    let failure = add(&request("fake", &[])).unwrap_err();
    assert!(failure.msg.contains("CNI_PATH names no directory"), "{failure}");
}

#[test]
fn own_executable_is_recognised_by_inode() {
    let own = std::env::current_exe().unwrap();
    let dir = tempfile::tempdir_in(own.parent().unwrap()).unwrap();
    let file = |name: &str| dir.path().join(name);
    fs::hard_link(&own, file("hard")).unwrap();
    std::os::unix::fs::symlink(&own, file("soft")).unwrap();
    fs::copy(&own, file("copy")).unwrap();
    let is_own = ["hard", "soft", "copy"].map(|name| is_own_executable(&file(name)));
    assert_eq!(is_own, [true, true, false]);
}

#[test]
fn own_plugin_is_called_in_process() {
    let own = std::env::current_exe().unwrap();
    let dir = tempfile::tempdir_in(own.parent().unwrap()).unwrap();
    fs::hard_link(&own, dir.path().join("fake")).unwrap();
    let failure = add(&request("fake", &[dir.path()])).unwrap_err();
    assert_eq!(failure.msg, "in process for n");
}

#[test]
fn other_program_of_our_plugins_name_is_executed() {
    let dir = directory("fake", r#"echo '{"code":100,"msg":"elsewhere"}'; exit 1"#);
    let failure = delegates().check(&request("fake", &[dir.path()])).unwrap_err();
    assert_eq!(failure.msg, "plugin \"fake\": elsewhere");
}

#[test]
fn builtin_serves_when_nothing_is_installed() {
    let delegates = Delegates::new(&[&Fake], Lookup::PathThenBuiltin);
    let failed = delegates.add(&request("fake", &[])).unwrap_err();
    assert_eq!(failed.cause.msg, "in process for n");
}

#[test]
fn ipam_plugin_gets_the_whole_configuration() {
    let dir = directory("ipam", r#"cat >"${0%/*}/stdin""#);
    let mut request = request("bond", &[dir.path()]);
    request.config.raw.insert("ipam".to_owned(), json!({"type": "ipam"}));
    request.config = NetConf::from_map(request.config.raw).unwrap();
    let delegates = Delegates::new(&[], Lookup::PathOnly);
    assert_eq!(delegates.ipam_del(&request), Ok(()));
    let stdin: Value =
        serde_json::from_slice(&fs::read(dir.path().join("stdin")).unwrap()).unwrap();
    assert_eq!(stdin, Value::Object(request.config.raw));
}

#[test]
fn no_ipam_plugin_is_called_without_ipam_type() {
    let delegates = Delegates::new(&[], Lookup::PathOnly);
    assert_eq!(delegates.ipam_add(&request("bond", &[])), Ok(None));
}

#[test]
fn plugin_cannot_be_its_own_ipam_plugin() {
    let mut request = request("fake", &[]);
    request.config.ipam = Some("fake".to_owned());
    let delegates = Delegates::new(&[&Fake], Lookup::PathThenBuiltin);
    let failure = delegates.ipam_check(&request).unwrap_err();
    assert_eq!(failure.code, Code::INVALID_CONFIG);
}

#[test]
fn status_and_gc_are_forwarded_without_an_attachment() {
    let dir = directory("ipam", r#"env | grep ^CNI_ | sort >"${0%/*}/$CNI_COMMAND""#);
    let config = json!({
        "cniVersion": "1.1.0", "name": "n", "type": "fake", "ipam": {"type": "ipam"},
        "cni.dev/valid-attachments": [],
    });
    let config = NetConf::parse(config.to_string().as_bytes()).unwrap();
    let request = NodeRequest::gc(vec![dir.path().to_owned()], config).unwrap();
    let delegates = Delegates::new(&[], Lookup::PathOnly);
    delegates.ipam_gc(&request).unwrap();
    delegates.ipam_status(&request).unwrap();
    for command in ["GC", "STATUS"] {
        let env = fs::read_to_string(dir.path().join(command)).unwrap();
        assert_eq!(env, format!("CNI_COMMAND={command}\nCNI_PATH={}\n", dir.path().display()));
    }
}

#[test]
fn ipam_del_succeeds_when_the_plugin_names_itself() {
    let mut request = request("fake", &[]);
    request.config.ipam = Some("fake".to_owned());
    let delegates = Delegates::new(&[&Fake], Lookup::PathThenBuiltin);
    assert!(delegates.ipam_add(&request).unwrap_err().cause.msg.contains("the plugin itself"));
    assert_eq!(delegates.ipam_del(&request), Ok(()));
}

#[test]
fn program_is_killed_at_the_deadline() {
    let dir = directory("slow", "exec sleep 30");
    let start = Instant::now();
    let delegates = delegates().until(start + Duration::from_millis(200));
    let failure = delegates.check(&request("slow", &[dir.path()])).unwrap_err();
    assert!(failure.msg.contains("it did not end within "), "{failure}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

/// Promise: no-meta-plugin-below
#[test]
fn meta_plugin_is_called_by_nobody() {
    for meta in META_PLUGINS {
        let dir = directory(meta, r#"touch "${0%/*}/called""#);
        let request = request(meta, &[dir.path()]);
        let failure = add(&request).unwrap_err();
        assert_eq!(failure.code, Code::INVALID_CONFIG);
        assert!(failure.msg.contains("is no network's plugin itself"), "{failure}");
        assert!(delegates().check_installed(&request.config, &request.path).is_err());
        assert!(delegates().check(&request).is_err());
        assert_eq!(delegates().del(&request), Ok(()));

        let mut below = request.clone();
        (below.config.plugin, below.config.ipam) = ("bond".to_owned(), Some(meta.to_owned()));
        assert_eq!(delegates().ipam_add(&below).unwrap_err().failed_del, None);
        assert_eq!(delegates().ipam_del(&below), Ok(()));
        assert!(!dir.path().join("called").exists());
    }
}

#[test]
fn plugin_that_makes_links_is_no_ipam_plugin() {
    let dir = directory("sriov", r#"touch "${0%/*}/called""#);
    let mut request = request("bond", &[dir.path()]);
    request.config.ipam = Some("sriov".to_owned());
    let failed = delegates().ipam_add(&request).unwrap_err();
    assert!(failed.cause.msg.contains("is \"sriov\", a plugin that makes links"), "{failed:?}");
    assert_eq!(delegates().ipam_del(&request), Ok(()));
    assert!(!dir.path().join("called").exists());
}
