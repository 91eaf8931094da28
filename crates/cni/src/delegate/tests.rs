use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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
        Err(Failure::new(Code::TryAgain, format!("in process for {}", request.config.name)))
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

fn call(command: Command, request: &Request) -> Result<Option<CniResult>, Failure> {
    Delegates::new(&[&Fake], Lookup::PathOnly).call(command, request)
}

#[test]
fn a_plugin_is_not_looked_for_outside_of_the_directories() {
    let dir = directory("foreign", "echo '{}'");
    let below = dir.path().join("below");
    fs::create_dir(&below).unwrap();
    // From a configuration it cannot come, from another caller it could.
    let mut request = request("foreign", &[&below]);
    request.config.plugin = "../foreign".to_owned();
    let failure = call(Command::Add, &request).unwrap_err();
    assert_eq!(failure.code, Code::InvalidConfig);
    assert!(failure.msg.contains("is no file name"), "{}", failure.msg);
}

#[test]
fn a_foreign_plugin_gets_environment_and_configuration_and_its_result_is_read() {
    let dir = directory(
        "foreign",
        r#"cat >"${0%/*}/stdin"; env | grep ^CNI_ | sort >"${0%/*}/env"
        echo '{"ips":[{"version":"4","address":"10.0.0.5/24"}]}'"#,
    );
    let result = call(Command::Add, &request("foreign", &[dir.path()])).unwrap().unwrap();
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
fn a_foreign_plugins_own_error_is_passed_on_with_its_name() {
    let dir = directory(
        "foreign",
        r#"[ $CNI_COMMAND = DEL ] && exit 0
        echo '{"code":11,"msg":"no lease yet","details":"dhcp"}'; exit 1"#,
    );
    let failure = call(Command::Add, &request("foreign", &[dir.path()])).unwrap_err();
    let expected = Failure::new(Code::TryAgain, "plugin \"foreign\": no lease yet");
    assert_eq!(failure, expected.with_details("dhcp"));
}

#[test]
fn a_foreign_plugin_that_dies_without_a_word_is_named_with_its_stderr() {
    let dir = directory("foreign", "echo panic: nil >&2; exit 3");
    let failure = call(Command::Check, &request("foreign", &[dir.path()])).unwrap_err();
    assert_eq!(failure.msg, "plugin \"foreign\" failed without a reason (exit status: 3)");
    assert_eq!(failure.details, "panic: nil");
}

#[test]
fn after_a_failed_add_the_foreign_plugin_is_called_with_del() {
    let dir = directory("foreign", r#"echo $CNI_COMMAND >>"${0%/*}/calls"; exit 1"#);
    let failure = call(Command::Add, &request("foreign", &[dir.path()])).unwrap_err();
    assert_eq!(fs::read_to_string(dir.path().join("calls")).unwrap(), "ADD\nDEL\n");
    assert!(failure.details.starts_with("and its DEL failed: "), "{failure}");
}

#[test]
fn what_a_failed_add_may_have_left_is_told_when_its_del_fails_too() {
    let add = |script: &str| {
        let dir = directory("foreign", script);
        let mut request = request("own", &[dir.path()]);
        request.config.ipam = Some("foreign".to_owned());
        Delegates::new(&[], Lookup::PathOnly).ipam_add(&request).unwrap_err()
    };
    let failed = add("exit 1");
    assert!(failed.left.is_some(), "{failed:?}");
    assert!(failed.cause.details.contains("and its DEL failed"), "{failed:?}");
    assert_eq!(add("[ $CNI_COMMAND = DEL ]").left, None);
    // What was refused, or has never run, has left nothing.
    let refused = r#"echo '{"code":7,"msg":"no server","details":""}'; exit 1"#;
    assert_eq!(add(refused).left, None);
    let unknown = r#"echo '{"code":3,"msg":"no such container","details":""}'; exit 1"#;
    assert_eq!(add(unknown).left, None);
    assert_eq!(add(&format!("[ $CNI_COMMAND = ADD ] && exit 1; {unknown}")).left, None);
    let dir = directory("foreign", "");
    fs::write(dir.path().join("foreign"), "#!/nowhere\n").unwrap();
    let mut request = request("own", &[dir.path()]);
    request.config.ipam = Some("foreign".to_owned());
    let failed = Delegates::new(&[], Lookup::PathOnly).ipam_add(&request).unwrap_err();
    assert_eq!(failed.left, None);
}

#[test]
fn an_ipam_plugin_that_does_not_know_the_container_has_nothing_to_give_back() {
    let del = |code: u32| {
        let dir = directory("foreign", &format!(r#"echo '{{"code":{code},"msg":"no"}}'; exit 1"#));
        let mut request = request("own", &[dir.path()]);
        request.config.ipam = Some("foreign".to_owned());
        Delegates::new(&[], Lookup::PathOnly).ipam_del(&request)
    };
    assert_eq!(del(3), Ok(()));
    assert_eq!(del(11).unwrap_err().code, Code::TryAgain);
}

#[test]
fn what_is_no_result_is_an_error() {
    for output in ["", "hello", r#"{"ips":[{"address":"x"}]}"#] {
        let dir = directory("foreign", &format!("echo '{output}'"));
        let failure = call(Command::Add, &request("foreign", &[dir.path()])).unwrap_err();
        assert_eq!(failure.code, Code::Decode);
        assert!(failure.msg.starts_with("plugin \"foreign\" gave no result: "), "{failure}");
    }
}

#[test]
fn a_plugin_that_writes_without_end_does_not_hang_us() {
    let dir = directory("foreign", "exec yes");
    let failure = call(Command::Add, &request("foreign", &[dir.path()])).unwrap_err();
    assert!(failure.msg.contains("more than 1048576 bytes"), "{failure}");
}

#[test]
fn a_plugin_that_said_too_much_is_ended() {
    let dir = directory("foreign", "head -c 2000000 /dev/zero; sleep 1; touch \"${0%/*}/went-on\"");
    call(Command::Del, &request("foreign", &[dir.path()])).unwrap_err();
    assert!(!dir.path().join("went-on").exists());
}

#[test]
fn much_input_and_much_stderr_at_once_do_not_block() {
    let dir = directory("foreign", "head -c 300000 /dev/zero | tr '\\0' ' ' >&2; cat >/dev/null");
    let mut request = request("foreign", &[dir.path()]);
    request.config.raw.insert("big".to_owned(), "x".repeat(500_000).into());
    assert_eq!(call(Command::Del, &request), Ok(None));
}

#[test]
fn directories_are_searched_in_order_for_files() {
    let empty = tempfile::tempdir().unwrap();
    fs::create_dir(empty.path().join("foreign")).unwrap();
    let first = directory("foreign", "exit 0");
    let second = directory("foreign", "exit 1");
    let request = request("foreign", &[empty.path(), first.path(), second.path()]);
    assert_eq!(call(Command::Del, &request), Ok(None));
}

#[test]
fn a_plugin_that_is_nowhere_is_named_with_the_directories() {
    let failure = call(Command::Add, &request("fake", &[Path::new("/nowhere")])).unwrap_err();
    assert_eq!(
        failure.msg,
        "plugin \"fake\" is not in /nowhere: install it there, or add its directory to CNI_PATH"
    );
    let failure = call(Command::Add, &request("fake", &[])).unwrap_err();
    assert!(failure.msg.contains("CNI_PATH names no directory"), "{failure}");
}

#[test]
fn our_own_executable_is_known_by_any_link_and_a_copy_is_not() {
    let own = std::env::current_exe().unwrap();
    let dir = tempfile::tempdir_in(own.parent().unwrap()).unwrap();
    let file = |name: &str| dir.path().join(name);
    fs::hard_link(&own, file("hard")).unwrap();
    std::os::unix::fs::symlink(&own, file("soft")).unwrap();
    fs::copy(&own, file("copy")).unwrap();
    let is_own = |name: &str| is_own_executable(&fs::metadata(file(name)).unwrap());
    assert_eq!((is_own("hard"), is_own("soft"), is_own("copy")), (true, true, false));
}

#[test]
fn our_own_plugin_is_called_in_the_same_process() {
    let own = std::env::current_exe().unwrap();
    let dir = tempfile::tempdir_in(own.parent().unwrap()).unwrap();
    fs::hard_link(&own, dir.path().join("fake")).unwrap();
    let failure = call(Command::Add, &request("fake", &[dir.path()])).unwrap_err();
    assert_eq!(failure.msg, "in process for n");
}

#[test]
fn another_program_of_our_plugins_name_is_executed() {
    let dir = directory("fake", r#"echo '{"code":100,"msg":"elsewhere"}'; exit 1"#);
    let failure = call(Command::Check, &request("fake", &[dir.path()])).unwrap_err();
    assert_eq!(failure.msg, "plugin \"fake\": elsewhere");
}

#[test]
fn a_person_needs_nothing_installed() {
    let delegates = Delegates::new(&[&Fake], Lookup::PathThenBuiltin);
    let failure = delegates.call(Command::Add, &request("fake", &[])).unwrap_err();
    assert_eq!(failure.msg, "in process for n");
}

#[test]
fn the_ipam_plugin_is_called_with_the_same_configuration() {
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
fn without_an_ipam_plugin_nothing_is_called() {
    let delegates = Delegates::new(&[], Lookup::PathOnly);
    assert_eq!(delegates.ipam_add(&request("bond", &[])), Ok(None));
}

#[test]
fn a_plugin_is_not_its_own_ipam_plugin() {
    let mut request = request("fake", &[]);
    request.config.ipam = Some("fake".to_owned());
    let delegates = Delegates::new(&[&Fake], Lookup::PathThenBuiltin);
    let failure = delegates.ipam_check(&request).unwrap_err();
    assert_eq!(failure.code, Code::InvalidConfig);
}

#[test]
fn status_and_gc_are_passed_on_without_an_attachment() {
    let dir = directory("ipam", r#"env | grep ^CNI_ | sort >"${0%/*}/$CNI_COMMAND""#);
    let config = json!({
        "cniVersion": "1.1.0", "name": "n", "type": "fake", "ipam": {"type": "ipam"},
        "cni.dev/valid-attachments": [],
    });
    let config = NetConf::parse(config.to_string().as_bytes()).unwrap();
    let request = NodeRequest::gc(vec![dir.path().to_owned()], config).unwrap();
    let delegates = Delegates::new(&[], Lookup::PathOnly);
    Fake.gc(&request, &delegates).unwrap();
    Fake.status(&request, &delegates).unwrap();
    for command in ["GC", "STATUS"] {
        let env = fs::read_to_string(dir.path().join(command)).unwrap();
        assert_eq!(env, format!("CNI_COMMAND={command}\nCNI_PATH={}\n", dir.path().display()));
    }
}

#[test]
fn a_plugin_that_names_itself_for_ipam_has_no_lease_to_give_back() {
    let mut request = request("fake", &[]);
    request.config.ipam = Some("fake".to_owned());
    let delegates = Delegates::new(&[&Fake], Lookup::PathThenBuiltin);
    assert!(delegates.ipam_add(&request).unwrap_err().cause.msg.contains("the plugin itself"));
    assert_eq!(delegates.ipam_del(&request), Ok(()));
}
