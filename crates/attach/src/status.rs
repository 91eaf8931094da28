//! STATUS of a chain's plugins: why ADD would fail at present.

use podbond_cni::{Code, Failure, NetConf, NodeRequest, Version};

use crate::attacher::Attacher;
use crate::chain::Chain;

impl Attacher<'_> {
    /// Returns why ADD of a chain would fail at present, as far as that shows without a pod. Each plugin
    /// must be installed, and its STATUS is called: of our own whatever the version of its configuration,
    /// of another from 1.1.0 on, the first version that has STATUS.
    pub fn unready(&self, chain: &Chain) -> Vec<Failure> {
        let records = self.records.writable().err();
        let records = records.map(|error| Failure::new(Code::NOT_AVAILABLE, error));
        let configs = chain.attachments.iter().flat_map(|attachment| attachment.configs(None));
        records.into_iter().chain(configs.filter_map(|config| self.status(config).err())).collect()
    }

    fn status(&self, config: NetConf) -> Result<(), Failure> {
        self.delegates.check_installed(&config, self.path)?;
        let request = NodeRequest::status(self.path.to_vec(), config);
        let config = &request.config;
        if config.version >= Version::V1_1_0 {
            return self.delegates.status(&request);
        }
        // By the path, since a plugin of another may have the name of ours, as `host-local`.
        let Some(plugin) = self.delegates.builtin_on_path(&config.plugin, self.path) else {
            return Ok(());
        };
        // Ours would call STATUS of its IPAM plugin in the same version.
        let ipam = config.ipam.clone();
        let ipam = ipam.filter(|ipam| self.delegates.builtin_on_path(ipam, self.path).is_some());
        let config = NetConf { ipam, ..config.clone() };
        plugin.status(&NodeRequest { config, ..request }, self.delegates)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use podbond_cni::Code;
    use podbond_record::Records;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Fault, Node};

    fn chain(delegates: &Value) -> Chain {
        let eth0 = "eth0".parse().unwrap();
        Chain::delegated(delegates.as_array().unwrap(), &eth0).unwrap()
    }

    fn unready(node: &Node, delegates: &Value) -> Vec<String> {
        let path = [node.directory.path().join("bin")];
        let failures =
            node.with(|attacher| Attacher { path: &path, ..*attacher }.unready(&chain(delegates)));
        failures.into_iter().map(|failure| failure.msg).collect()
    }

    /// Promise: status-reasons
    #[test]
    fn own_plugins_are_asked_in_every_version() {
        let node = Node::new();
        let delegates = json!([
            {"name": "a", "type": "one", "cniVersion": "0.3.1"},
            {"name": "b", "cniVersion": "1.1.0", "plugins": [{"type": "two"}, {"type": "three"}]},
        ]);
        assert_eq!(unready(&node, &delegates), [""; 0]);
        assert_eq!(node.script.take(), ["STATUS a one", "STATUS b two", "STATUS b three"]);
        for call in ["STATUS a one", "STATUS b three"] {
            node.script.fault(call, Fault::Fails(Code::NOT_AVAILABLE));
        }
        let expected = ["STATUS a one fails by request", "STATUS b three fails by request"];
        assert_eq!(unready(&node, &delegates), expected);
    }

    #[test]
    fn foreign_plugin_is_asked_from_1_1_0() {
        let node = Node::new();
        let program = node.path("bin/foreign");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        let answer = r#"{"code": 50, "msg": "the server is down"}"#;
        fs::write(&program, format!("#!/bin/sh\necho '{answer}'; exit 1\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let one = |plugin: &str, version: &str| json!([{"name": "a", "type": plugin, "cniVersion": version}]);
        assert_eq!(unready(&node, &one("foreign", "1.0.0")), [""; 0]);
        let down = ["plugin \"foreign\": the server is down"];
        assert_eq!(unready(&node, &one("foreign", "1.1.0")), down);
        assert!(unready(&node, &one("absent", "1.0.0"))[0].contains("\"absent\" is not in"));
        // The IPAM plugin of one of ours, in the version of the network.
        let leased = |ipam: &str| json!([{"name": "a", "type": "one", "cniVersion": "1.0.0", "ipam": {"type": ipam}}]);
        assert_eq!(unready(&node, &leased("foreign")), [""; 0]);
        // One that has the name of ours, and is another's.
        fs::copy(&program, program.with_file_name("two")).unwrap();
        assert_eq!(unready(&node, &one("two", "1.0.0")), [""; 0]);
        assert_eq!(unready(&node, &leased("two")), [""; 0]);
        assert_eq!(unready(&node, &one("two", "1.1.0")), ["plugin \"two\": the server is down"]);
        assert_eq!(node.script.take(), ["STATUS a one", "STATUS a one"]);
        assert!(unready(&node, &leased("absent"))[0].contains("\"absent\" is not in"));
    }

    #[test]
    fn unwritable_records_are_a_reason() {
        let node = Node::new();
        let delegates = json!([{"name": "a", "type": "one"}]);
        let failures = node.with(|attacher| {
            let records = Records::new(Path::new("/proc/none"), Path::new("/proc/none"));
            Attacher { records: &records, ..*attacher }.unready(&chain(&delegates))
        });
        assert_eq!(failures[0].code, Code::NOT_AVAILABLE);
        let start = "what ADD does cannot be recorded: cannot make the directory /proc/none";
        assert!(failures[0].msg.starts_with(start), "{failures:?}");
    }
}
