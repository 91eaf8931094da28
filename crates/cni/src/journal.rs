//! The interface through which plugins note their operations in a log.

use std::fmt::Display;
use std::time::Duration;

use serde_json::Value;

use crate::config::decode;
use crate::go_json::field;
use crate::{Args, Command, Failure, NetConf, Request};

/// An operation log. Its failures never affect the operations.
pub trait Journal: Sync {
    /// Notes an operation that has ended.
    fn note(&self, operation: &Operation<'_>);

    /// Notes a warning: something that will not do what it is meant to do, and is no reason to fail.
    fn warn(&self, subject: &Subject, warning: &dyn Display);
}

/// One operation of one plugin, after its end.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'o> {
    /// What it was about.
    pub subject: &'o Subject,
    /// How long it took, with the plugins that it called.
    pub duration: Duration,
    /// Success, or what it answered instead.
    pub outcome: Result<(), &'o Failure>,
}

/// What an operation is about, as far as that is known: a call can fail for what is missing. The
/// text is what the caller gave, not all of it checked. None of it is secret: of `CNI_ARGS` there
/// is the pod, and of the configuration what names the network and the device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// The plugin's name.
    pub plugin: String,
    /// The file that was run as the plugin, if this process did not serve the call itself.
    pub program: Option<String>,
    /// `CNI_COMMAND`.
    pub command: String,
    /// `namespace/name`, from `K8S_POD_NAMESPACE` and `K8S_POD_NAME` in `CNI_ARGS`.
    pub pod: Option<String>,
    /// `CNI_CONTAINERID`.
    pub container: Option<String>,
    /// The network's name.
    pub network: Option<String>,
    /// `CNI_IFNAME`.
    pub interface: Option<String>,
    /// `CNI_NETNS`.
    pub netns: Option<String>,
    /// `deviceID`: the VF's PCI address.
    pub device: Option<String>,
}

impl Subject {
    /// Returns what an operation is about, on an attachment or on a network as a whole.
    pub(crate) fn of(
        plugin: &str,
        command: Command,
        config: &NetConf,
        attachment: Option<&Request>,
    ) -> Self {
        let netns = attachment.and_then(|request| request.netns.as_ref());
        Self {
            plugin: plugin.to_owned(),
            program: None,
            command: command.to_string(),
            pod: attachment.and_then(Request::pod).map(|pod| pod.to_string()),
            container: attachment.map(|request| request.container_id.to_string()),
            network: Some(config.name.clone()),
            interface: attachment.map(|request| request.ifname.to_string()),
            netns: netns.map(|path| path.display().to_string()),
            device: config.get("deviceID").and_then(Value::as_str).map(str::to_owned),
        }
    }

    /// Returns what a call that is refused is about, as far as environment and standard input say.
    pub(crate) fn of_malformed(
        plugin: &str,
        env: impl Fn(&str) -> Option<String>,
        stdin: &[u8],
    ) -> Self {
        let args = Args::readable(&env("CNI_ARGS").unwrap_or_default());
        let network = decode(stdin).ok();
        let network = network.and_then(|raw| field(&raw, "name")?.as_str().map(str::to_owned));
        Self {
            plugin: plugin.to_owned(),
            command: env("CNI_COMMAND").unwrap_or_default(),
            pod: args.pod().map(|pod| pod.to_string()),
            container: env("CNI_CONTAINERID"),
            network,
            interface: env("CNI_IFNAME"),
            netns: env("CNI_NETNS"),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(args: &str) -> Request {
        let config = json!({
            "name": "n", "type": "sriov", "deviceID": "0000:03:10.0", "logFile": "/var/log/a.log",
            "logLevel": "debug", "secret": "hush", "ipam": {"type": "host-local"},
        });
        Request {
            container_id: "c1".to_owned().try_into().unwrap(),
            netns: Some("/run/netns/c1".into()),
            ifname: "net1".parse().unwrap(),
            args: Args::parse(args).unwrap(),
            path: Vec::new(),
            config: NetConf::parse(config.to_string().as_bytes()).unwrap(),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "what is compared is optional")]
    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn subject_holds_no_secret() {
        let args = "K8S_POD_NAMESPACE=demo;K8S_POD_NAME=p;TOKEN=hush";
        let request = request(args);
        let subject = Subject::of("sriov", Command::Add, &request.config, Some(&request));
        let expected = Subject {
            plugin: "sriov".to_owned(),
            program: None,
            command: "ADD".to_owned(),
            pod: some("demo/p"),
            container: some("c1"),
            network: some("n"),
            interface: some("net1"),
            netns: some("/run/netns/c1"),
            device: some("0000:03:10.0"),
        };
        assert_eq!(subject, expected);
        assert!(!format!("{subject:?}").contains("hush"));
    }

    #[test]
    fn malformed_call_is_named_as_far_as_it_can_be_read() {
        let env = |key: &str| match key {
            "CNI_COMMAND" => some("ADD"),
            "CNI_IFNAME" => some("net/1"),
            "CNI_ARGS" => some("broken;K8S_POD_NAMESPACE=demo;K8S_POD_NAME=p"),
            _ => None,
        };
        let subject = Subject::of_malformed("bond", env, br#"{"name": "n"}"#);
        assert_eq!((subject.interface, subject.pod), (some("net/1"), some("demo/p")));
        assert_eq!((subject.network, subject.container), (some("n"), None));
        assert_eq!(Subject::of_malformed("bond", env, b"garbage").network, None);
    }
}
