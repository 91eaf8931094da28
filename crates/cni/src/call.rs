//! Reads what a CNI plugin was called for from environment and standard input (section "Parameters").

use std::borrow::Cow;
use std::io::Read;
use std::path::PathBuf;

use podbond_names::{LinkName, NameError, NewLinkName};
use serde_json::{Map, Value};

use crate::config::{MAX_BYTES, PREV_RESULT, decode};
use crate::delegate::Call;
use crate::go_json::{field, is_key};
use crate::{Args, Code, Command, ContainerId, Failure, NetConf, NodeRequest, Request, Version};

/// The keys that a DEL can do without.
const OPTIONAL: [&str; 4] = [PREV_RESULT, "runtimeConfig", "args", "ipam"];

/// The variables of an operation on an attachment, checked.
struct AttachmentParameters {
    container_id: ContainerId,
    netns: Option<PathBuf>,
    ifname: LinkName,
    args: Args,
}

impl Call<'_> {
    /// Reads a call: the variables that `command` needs, and then its configuration from `input`, so
    /// that a call that cannot succeed does not wait for it. What came from there is in `stdin`
    /// afterwards, also after an error. The error names all variables that are missing, or else all
    /// that are malformed.
    pub(crate) fn read(
        command: &str,
        env: impl Fn(&str) -> Option<String>,
        input: impl Read,
        stdin: &mut Vec<u8>,
    ) -> Result<Self, Failure> {
        let Some(command) = Command::parse(command) else {
            let msg =
                format!("CNI_COMMAND is {command:?}: use ADD, DEL, CHECK, STATUS, GC or VERSION");
            return Err(Failure::new(Code::INVALID_ENVIRONMENT, msg));
        };
        let attachment = match command {
            Command::Add | Command::Del | Command::Check => Some(attachment(command, &env)?),
            Command::Status | Command::Gc => None,
        };
        // "CNI_PATH: List of paths to search for CNI plugin executables"; it is optional.
        let path = env("CNI_PATH").unwrap_or_default();
        let path = std::env::split_paths(&path).filter(|dir| !dir.as_os_str().is_empty()).collect();
        input.take(MAX_BYTES as u64 + 1).read_to_end(stdin).map_err(|error| {
            Failure::new(Code::IO, format!("standard input cannot be read: {error}"))
        })?;
        let config = config(command, stdin)?;
        let Some(AttachmentParameters { container_id, netns, ifname, args }) = attachment else {
            return Ok(match command {
                Command::Gc => Self::Gc(Cow::Owned(NodeRequest::gc(path, config)?)),
                _ => Self::Status(Cow::Owned(NodeRequest::status(path, config))),
            });
        };
        let request = Cow::Owned(Request { container_id, netns, ifname, args, path, config });
        Ok(match command {
            Command::Del => Self::Del(request),
            Command::Check => Self::Check(request),
            _ => Self::Add(request),
        })
    }
}

/// Reads the variables of an operation on an attachment.
fn attachment(
    command: Command,
    env: &impl Fn(&str) -> Option<String>,
) -> Result<AttachmentParameters, Failure> {
    let required: &[&str] = match command {
        Command::Del => &["CNI_CONTAINERID", "CNI_IFNAME"],
        _ => &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
    };
    let missing: Vec<&str> = required.iter().copied().filter(|key| env(key).is_none()).collect();
    if !missing.is_empty() {
        let verb = if missing.len() == 1 { "is" } else { "are" };
        let msg = format!(
            "{} {verb} missing from the environment: {command} needs {}",
            missing.join(", "),
            required.join(", ")
        );
        return Err(Failure::new(Code::INVALID_ENVIRONMENT, msg));
    }
    let container_id = ContainerId::try_from(env("CNI_CONTAINERID").unwrap_or_default());
    let ifname = interface(command, &env("CNI_IFNAME").unwrap_or_default());
    let args = env("CNI_ARGS").unwrap_or_default();
    let args = match command {
        Command::Del => Ok(Args::readable(&args)),
        _ => Args::parse(&args),
    };
    match (container_id, ifname, args) {
        (Ok(container_id), Ok(ifname), Ok(args)) => {
            let netns = env("CNI_NETNS").map(PathBuf::from);
            Ok(AttachmentParameters { container_id, netns, ifname, args })
        }
        (container_id, ifname, args) => {
            let problems = [
                container_id.err().map(|problem| format!("CNI_CONTAINERID: {problem}")),
                ifname.err().map(|problem| format!("CNI_IFNAME: {problem}")),
                args.err().map(|problem| format!("CNI_ARGS: {problem}")),
            ];
            let problems: Vec<String> = problems.into_iter().flatten().collect();
            Err(Failure::new(Code::INVALID_ENVIRONMENT, problems.join("; ")))
        }
    }
}

/// Returns the interface that an operation is about. ADD makes a link of this name; what is to end may
/// have been made by another plugin, or not at all.
fn interface(command: Command, name: &str) -> Result<LinkName, NameError> {
    match command {
        Command::Add => name.parse::<NewLinkName>().map(LinkName::from),
        _ => name.parse(),
    }
}

/// Reads the configuration on standard input, as `command` needs it.
fn config(command: Command, stdin: &[u8]) -> Result<NetConf, Failure> {
    let raw = decode(stdin)?;
    let config = match command {
        Command::Del => best_effort(raw)?,
        _ => NetConf::from_map(raw)?,
    };
    if config.version < command.since() {
        let since = command.since();
        let problem = format_args!("is {}: {command} exists from {since} on", config.version);
        let code = Code::INCOMPATIBLE_VERSION;
        return Err(Failure { code, ..config.invalid("cniVersion", problem) });
    }
    // "A runtime must include a prevResult field in the network configuration containing the
    // Result of the immediately preceding ADD" (section "CHECK").
    if command == Command::Check && config.prev_result.is_none() {
        return Err(config.invalid(PREV_RESULT, "is missing: CHECK needs the result of the ADD"));
    }
    Ok(config)
}

/// Reads the configuration of a DEL. "DEL command invocations are always considered best-effort";
/// "Plugins should still return without error if prevResult is empty" (section "DEL"). A key that a DEL
/// can do without counts as absent where it cannot be read: an ADD that was refused for it is followed
/// by a DEL, which must not fail for the same reason.
fn best_effort(mut raw: Map<String, Value>) -> Result<NetConf, Failure> {
    if let Ok(config) = NetConf::from_map(raw.clone()) {
        return Ok(config);
    }
    let is_optional = |key: &str| OPTIONAL.iter().any(|optional| is_key(key, optional));
    let optional: Vec<String> = raw.keys().filter(|key| is_optional(key)).cloned().collect();
    let mut required = raw.clone();
    required.retain(|key, _| !is_optional(key));
    for key in optional {
        let Some(value) = raw.shift_remove(&key) else { continue };
        let mut alone = required.clone();
        alone.insert(key.clone(), value.clone());
        if NetConf::from_map(alone).is_ok() {
            raw.insert(key, value);
        }
    }
    NetConf::from_map(raw)
}

/// Returns the version of a configuration that is otherwise unchecked, if podbond speaks it.
pub(crate) fn version_of(raw: &Map<String, Value>) -> Option<Version> {
    Version::parse(field(raw, "cniVersion")?.as_str()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ADD: &[(&str, &str)] = &[
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_NETNS", "/run/netns/c1"),
        ("CNI_IFNAME", "net3"),
        ("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAME=bondpod1"),
        ("CNI_PATH", "/opt/cni/bin:/usr/lib/cni::"),
    ];

    /// Reads a call with the variables of ADD, some set to other values.
    fn read(changes: &[(&str, &str)], stdin: &str) -> Result<Call<'static>, Failure> {
        let env = |key: &str| {
            let (_, value) = changes.iter().chain(ADD).find(|(name, _)| *name == key)?;
            Some((*value).to_owned()).filter(|value| !value.is_empty())
        };
        Call::read(&env("CNI_COMMAND").unwrap(), env, stdin.as_bytes(), &mut Vec::new())
    }

    fn call(command: &str, config: &serde_json::Value) -> Result<Call<'static>, Failure> {
        read(&[("CNI_COMMAND", command)], &config.to_string())
    }

    /// Returns why the variables of ADD, some set to other values, are refused before standard input
    /// is read.
    fn refused_environment(changes: &[(&str, &str)]) -> Option<String> {
        let failure = read(changes, "").err()?;
        Some(failure.msg).filter(|_| failure.code == Code::INVALID_ENVIRONMENT)
    }

    fn bond(version: &str) -> serde_json::Value {
        json!({"cniVersion": version, "name": "bond-net1", "type": "bond"})
    }

    #[test]
    fn environment_and_stdin_make_a_request() {
        let Ok(Call::Add(request)) = call("ADD", &bond("0.3.1")) else { panic!("not an ADD") };
        assert_eq!(request.container_id.as_str(), "c1");
        assert_eq!(request.netns, Some(PathBuf::from("/run/netns/c1")));
        assert_eq!(request.ifname.as_str(), "net3");
        assert_eq!(request.args.get("K8S_POD_NAME"), Some("bondpod1"));
        assert_eq!(request.path, [PathBuf::from("/opt/cni/bin"), PathBuf::from("/usr/lib/cni")]);
        assert_eq!(request.config.name, "bond-net1");
    }

    #[test]
    fn all_missing_variables_are_named() {
        let none = [("CNI_CONTAINERID", ""), ("CNI_NETNS", ""), ("CNI_IFNAME", "")];
        let msg = refused_environment(&none).unwrap();
        assert!(msg.starts_with("CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME are missing"), "{msg}");
    }

    #[test]
    fn only_add_and_check_need_a_namespace() {
        for (command, needed) in
            [("ADD", true), ("CHECK", true), ("DEL", false), ("STATUS", false), ("GC", false)]
        {
            let refused = refused_environment(&[("CNI_COMMAND", command), ("CNI_NETNS", "")]);
            assert_eq!(refused.is_some(), needed, "{command}");
        }
    }

    #[test]
    fn all_malformed_variables_are_named() {
        let wrong = [("CNI_CONTAINERID", "../x"), ("CNI_IFNAME", "a/b"), ("CNI_ARGS", "A")];
        let msg = refused_environment(&wrong).unwrap();
        for name in ["CNI_CONTAINERID: ", "CNI_IFNAME: ", "CNI_ARGS: "] {
            assert!(msg.contains(name), "{name}: {msg}");
        }
        let msg = refused_environment(&[("CNI_COMMAND", "add")]).unwrap();
        assert!(msg.contains("\"add\""), "{msg}");
    }

    #[test]
    fn command_newer_than_the_version_is_refused() {
        for (command, version) in [("CHECK", "0.3.1"), ("STATUS", "1.0.0"), ("GC", "1.0.0")] {
            let failure = call(command, &bond(version)).unwrap_err();
            assert_eq!(failure.code, Code::INCOMPATIBLE_VERSION, "{command}");
        }
        assert!(matches!(call("STATUS", &bond("1.1.0")), Ok(Call::Status(_))));
    }

    #[test]
    fn check_needs_prev_result() {
        let failure = call("CHECK", &bond("0.4.0")).unwrap_err();
        assert_eq!(failure.code, Code::INVALID_CONFIG);
        let mut config = bond("0.4.0");
        config["prevResult"] = json!({"ips": []});
        assert!(matches!(call("CHECK", &config), Ok(Call::Check(_))));
    }

    #[test]
    fn del_ignores_unreadable_prev_result() {
        let mut config = bond("1.0.0");
        config["prevResult"] = json!({"ips": [{"address": "garbage"}]});
        assert!(call("ADD", &config).is_err());
        let Ok(Call::Del(request)) = call("DEL", &config) else { panic!("not a DEL") };
        assert_eq!(request.config.prev_result, None);
        assert!(!request.config.raw.contains_key("prevResult"));
        config["prevResult"] = json!({"ips": [{"address": "10.0.0.5/24"}]});
        let Ok(Call::Del(request)) = call("DEL", &config) else { panic!("not a DEL") };
        assert_eq!(request.config.prev_result.as_ref().unwrap().ips.len(), 1);
    }

    #[test]
    fn del_ignores_unreadable_optional_keys() {
        let mut config = bond("1.0.0");
        config["prevResult"] = json!({"ips": []});
        config["args"] = json!({"cni": {"ips": ["garbage"]}});
        for wishes in [json!({"ips": ["garbage"]}), json!({"mac": "garbage"}), json!("garbage")] {
            config["runtimeConfig"] = wishes;
            assert!(call("ADD", &config).is_err());
            let Ok(Call::Del(request)) = call("DEL", &config) else { panic!("not a DEL") };
            assert_eq!(request.config.name, "bond-net1");
        }
        for ipam in [json!("host-local"), json!([]), json!({"type": "a/b"})] {
            config["ipam"] = ipam;
            assert!(call("ADD", &config).is_err());
            let Ok(Call::Del(request)) = call("DEL", &config) else { panic!("not a DEL") };
            assert_eq!(request.config.ipam, None);
        }
        config
            .as_object_mut()
            .unwrap()
            .retain(|key, _| !["runtimeConfig", "args"].contains(&key.as_str()));
        let Ok(Call::Del(request)) = call("DEL", &config) else { panic!("not a DEL") };
        assert!(request.config.prev_result.is_some(), "only what is wrong is left out");
        config["type"] = json!("a/b");
        assert!(call("DEL", &config).is_err());
    }

    #[test]
    fn del_ignores_unreadable_args() {
        let changes = [("CNI_COMMAND", "DEL"), ("CNI_ARGS", "K8S_POD_NAME=bondpod1;garbage")];
        assert!(refused_environment(&changes[1..]).is_some());
        let del = read(&changes, &bond("1.0.0").to_string());
        let Ok(Call::Del(request)) = del else { panic!("not a DEL") };
        assert_eq!(request.args.get("K8S_POD_NAME"), Some("bondpod1"));
    }
}
