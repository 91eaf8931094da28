use std::path::PathBuf;

use podbond_names::LinkName;
use serde_json::{Map, Value};

use crate::config::{PREV_RESULT, decode};
use crate::{
    Args, Code, Command, ContainerId, Failure, NetConf, NodeRequest, Request, Subject, Version,
};

/// The keys that a DEL can do without, the first to be left out first.
const OPTIONAL: [&str; 4] = [PREV_RESULT, "runtimeConfig", "args", "ipam"];

/// What a process was called for, as data.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Call {
    Add(Request),
    Del(Request),
    Check(Request),
    Status(NodeRequest),
    Gc(NodeRequest),
}

impl Call {
    /// What it is about, for the plugin that serves it.
    pub(crate) fn subject(&self, plugin: &str) -> Subject {
        match self {
            Self::Add(request) => Subject::of(plugin, Command::Add, request),
            Self::Del(request) => Subject::of(plugin, Command::Del, request),
            Self::Check(request) => Subject::of(plugin, Command::Check, request),
            Self::Status(request) => Subject::of_node(plugin, Command::Status, request),
            Self::Gc(request) => Subject::of_node(plugin, Command::Gc, request),
        }
    }
}

/// The environment of a call, checked (section "Parameters"). Standard input is read after it, so
/// that a call that cannot succeed does not wait for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Environment {
    command: Command,
    /// None for STATUS and GC.
    attachment: Option<AttachmentParameters>,
    path: Vec<PathBuf>,
}

#[derive(Debug, Clone, PartialEq)]
struct AttachmentParameters {
    container_id: ContainerId,
    netns: Option<PathBuf>,
    ifname: LinkName,
    args: Args,
}

impl Environment {
    /// Reads the variables of `CNI_COMMAND`; one that is empty is missing. The error names all
    /// that are missing, or else all that are malformed.
    pub(crate) fn read(env: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let env = |key: &str| env(key).filter(|value| !value.is_empty());
        let refused = |msg: String| Err(Failure::new(Code::InvalidEnvironment, msg));
        let Some(name) = env("CNI_COMMAND") else {
            return refused("CNI_COMMAND is missing from the environment".to_owned());
        };
        let Some(command) = Command::parse(&name) else {
            return refused(format!(
                "CNI_COMMAND is {name:?}: use ADD, DEL, CHECK, STATUS, GC or VERSION"
            ));
        };
        // "CNI_PATH: List of paths to search for CNI plugin executables"; it is optional.
        let path = env("CNI_PATH").unwrap_or_default();
        let path = std::env::split_paths(&path).filter(|dir| !dir.as_os_str().is_empty()).collect();

        let required: &[&str] = match command {
            Command::Add | Command::Check => &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
            Command::Del => &["CNI_CONTAINERID", "CNI_IFNAME"],
            Command::Status | Command::Gc => {
                return Ok(Self { command, attachment: None, path });
            }
        };
        let missing: Vec<&str> =
            required.iter().copied().filter(|key| env(key).is_none()).collect();
        if !missing.is_empty() {
            let verb = if missing.len() == 1 { "is" } else { "are" };
            return refused(format!(
                "{} {verb} missing from the environment: {command} needs {}",
                missing.join(", "),
                required.join(", ")
            ));
        }
        let value = |key: &str| env(key).unwrap_or_default();
        let container_id = ContainerId::try_from(value("CNI_CONTAINERID"));
        let ifname = value("CNI_IFNAME").parse::<LinkName>();
        let args = value("CNI_ARGS");
        let args = match command {
            Command::Del => Ok(Args::readable(&args)),
            _ => Args::parse(&args),
        };
        match (container_id, ifname, args) {
            (Ok(container_id), Ok(ifname), Ok(args)) => {
                let netns = env("CNI_NETNS").map(PathBuf::from);
                let parameters = AttachmentParameters { container_id, netns, ifname, args };
                Ok(Self { command, attachment: Some(parameters), path })
            }
            (container_id, ifname, args) => {
                let problems = [
                    container_id.err().map(|problem| format!("CNI_CONTAINERID: {problem}")),
                    ifname.err().map(|problem| format!("CNI_IFNAME: {problem}")),
                    args.err().map(|problem| format!("CNI_ARGS: {problem}")),
                ];
                let problems: Vec<String> = problems.into_iter().flatten().collect();
                refused(problems.join("; "))
            }
        }
    }

    /// The call that this environment makes with the configuration on standard input.
    pub(crate) fn call(self, stdin: &[u8]) -> Result<Call, Failure> {
        let Self { command, attachment, path } = self;
        let config = config(command, stdin)?;
        let Some(AttachmentParameters { container_id, netns, ifname, args }) = attachment else {
            return Ok(match command {
                Command::Gc => Call::Gc(NodeRequest::gc(path, config)?),
                _ => Call::Status(NodeRequest::status(path, config)),
            });
        };
        let request = Request { container_id, netns, ifname, args, path, config };
        Ok(match command {
            Command::Del => Call::Del(request),
            Command::Check => Call::Check(request),
            _ => Call::Add(request),
        })
    }
}

fn config(command: Command, stdin: &[u8]) -> Result<NetConf, Failure> {
    let raw = decode(stdin)?;
    let config = match command {
        Command::Del => best_effort(raw)?,
        _ => NetConf::from_map(raw)?,
    };
    if config.version < command.since() {
        let msg = format!(
            "network {:?}: field cniVersion is {}: {command} exists from {} on",
            config.name,
            config.version,
            command.since()
        );
        return Err(Failure::new(Code::IncompatibleVersion, msg));
    }
    // "A runtime must include a prevResult field in the network configuration containing the
    // Result of the immediately preceding ADD" (section "CHECK").
    if command == Command::Check && config.prev_result.is_none() {
        let msg = format!(
            "network {:?}: field prevResult is missing: CHECK needs the result of the ADD",
            config.name
        );
        return Err(Failure::new(Code::InvalidConfig, msg));
    }
    Ok(config)
}

/// The configuration of a DEL. "DEL command invocations are always considered best-effort"; "Plugins
/// should still return without error if prevResult is empty" (section "DEL"). What cannot be read of
/// the keys that a DEL can do without counts as empty: an ADD that was refused for it is followed by
/// a DEL, which must not fail for the same reason.
fn best_effort(mut raw: Map<String, Value>) -> Result<NetConf, Failure> {
    if let Ok(config) = NetConf::from_map(raw.clone()) {
        return Ok(config);
    }
    // What can be read is kept.
    for key in OPTIONAL {
        let mut without = raw.clone();
        if without.remove(key).is_some()
            && let Ok(config) = NetConf::from_map(without)
        {
            return Ok(config);
        }
    }
    for key in OPTIONAL {
        raw.remove(key);
        if let Ok(config) = NetConf::from_map(raw.clone()) {
            return Ok(config);
        }
    }
    NetConf::from_map(raw)
}

/// The version of a configuration that is otherwise unchecked, if podbond speaks it.
pub(crate) fn version_of(raw: &Map<String, Value>) -> Option<Version> {
    Version::parse(raw.get("cniVersion")?.as_str()?)
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

    /// The variables of ADD with some set to other values.
    fn environment(changes: &[(&str, &str)]) -> Result<Environment, Failure> {
        Environment::read(|key| {
            let (_, value) = changes.iter().chain(ADD).find(|(name, _)| *name == key)?;
            Some((*value).to_owned())
        })
    }

    fn call(command: &str, config: &serde_json::Value) -> Result<Call, Failure> {
        environment(&[("CNI_COMMAND", command)])?.call(config.to_string().as_bytes())
    }

    fn bond(version: &str) -> serde_json::Value {
        json!({"cniVersion": version, "name": "bond-net1", "type": "bond"})
    }

    #[test]
    fn environment_and_standard_input_make_a_request() {
        let Ok(Call::Add(request)) = call("ADD", &bond("0.3.1")) else { panic!("not an ADD") };
        assert_eq!(request.container_id.as_str(), "c1");
        assert_eq!(request.netns, Some(PathBuf::from("/run/netns/c1")));
        assert_eq!(request.ifname.as_str(), "net3");
        assert_eq!(request.args.get("K8S_POD_NAME"), Some("bondpod1"));
        assert_eq!(request.path, [PathBuf::from("/opt/cni/bin"), PathBuf::from("/usr/lib/cni")]);
        assert_eq!(request.config.name, "bond-net1");
    }

    #[test]
    fn all_missing_variables_are_named_at_once() {
        let none = [("CNI_CONTAINERID", ""), ("CNI_NETNS", ""), ("CNI_IFNAME", "")];
        let failure = environment(&none).unwrap_err();
        assert_eq!(failure.code, Code::InvalidEnvironment);
        assert!(
            failure.msg.starts_with("CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME are missing"),
            "{}",
            failure.msg
        );
    }

    #[test]
    fn only_add_and_check_need_the_namespace() {
        for (command, needed) in
            [("ADD", true), ("CHECK", true), ("DEL", false), ("STATUS", false), ("GC", false)]
        {
            let outcome = environment(&[("CNI_COMMAND", command), ("CNI_NETNS", "")]);
            assert_eq!(outcome.is_err(), needed, "{command}");
        }
    }

    #[test]
    fn all_malformed_variables_are_named_at_once() {
        let wrong = [("CNI_CONTAINERID", "../x"), ("CNI_IFNAME", "a/b"), ("CNI_ARGS", "A")];
        let failure = environment(&wrong).unwrap_err();
        assert_eq!(failure.code, Code::InvalidEnvironment);
        for name in ["CNI_CONTAINERID: ", "CNI_IFNAME: ", "CNI_ARGS: "] {
            assert!(failure.msg.contains(name), "{name}: {}", failure.msg);
        }
        let unknown = environment(&[("CNI_COMMAND", "add")]).unwrap_err();
        assert_eq!(unknown.code, Code::InvalidEnvironment);
        assert!(unknown.msg.contains("\"add\""), "{}", unknown.msg);
    }

    #[test]
    fn a_command_that_the_version_does_not_have_is_refused() {
        for (command, version) in [("CHECK", "0.3.1"), ("STATUS", "1.0.0"), ("GC", "1.0.0")] {
            let failure = call(command, &bond(version)).unwrap_err();
            assert_eq!(failure.code, Code::IncompatibleVersion, "{command}");
        }
        assert!(matches!(call("STATUS", &bond("1.1.0")), Ok(Call::Status(_))));
    }

    #[test]
    fn check_needs_the_previous_result() {
        let failure = call("CHECK", &bond("0.4.0")).unwrap_err();
        assert_eq!(failure.code, Code::InvalidConfig);
        let mut config = bond("0.4.0");
        config["prevResult"] = json!({"ips": []});
        assert!(matches!(call("CHECK", &config), Ok(Call::Check(_))));
    }

    #[test]
    fn del_goes_on_without_a_previous_result_that_cannot_be_read() {
        let mut config = bond("1.0.0");
        config["prevResult"] = json!({"ips": [{"address": "garbage"}]});
        assert!(call("ADD", &config).is_err());
        let Ok(Call::Del(request)) = call("DEL", &config) else { panic!("not a DEL") };
        assert_eq!(request.config.prev_result, None);
        assert!(!request.config.raw.contains_key("prevResult"));
        config["prevResult"] = json!({"ips": [{"address": "10.0.0.5/24"}]});
        let Ok(Call::Del(request)) = call("DEL", &config) else { panic!("not a DEL") };
        assert_eq!(request.config.prev_result.map(|result| result.ips.len()), Some(1));
    }

    #[test]
    fn del_goes_on_without_wishes_that_cannot_be_read() {
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
    fn del_goes_on_without_the_args_that_cannot_be_read() {
        let changes = [("CNI_COMMAND", "DEL"), ("CNI_ARGS", "K8S_POD_NAME=bondpod1;garbage")];
        assert!(environment(&changes[1..]).is_err());
        let del = environment(&changes).unwrap().call(bond("1.0.0").to_string().as_bytes());
        let Ok(Call::Del(request)) = del else { panic!("not a DEL") };
        assert_eq!(request.args.get("K8S_POD_NAME"), Some("bondpod1"));
    }
}
