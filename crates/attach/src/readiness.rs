//! Whether attachments could be made at this moment.

use podbond_cni::{Code, Failure, NetConf, NodeRequest, Version};

use crate::{Attacher, Chain};

impl Attacher<'_> {
    /// Why the attachments of a chain could not be made at this moment, as far as that can be found
    /// out without a pod; nothing where they could. Each plugin must be installed, and is asked for its
    /// own reasons: one of ours whatever the version of its configuration, another from 1.1.0 on, the
    /// first version that has STATUS.
    pub fn unready(&self, chain: &Chain) -> Vec<Failure> {
        let records = self.records.writable().err().map(|error| {
            let msg = format!(
                "what ADD does cannot be recorded: {error}: make room, or mount the filesystem for \
                 writing"
            );
            Failure::new(Code::NOT_AVAILABLE, msg)
        });
        let configs = chain.attachments.iter().flat_map(|attachment| attachment.configs(None));
        records.into_iter().chain(configs.filter_map(|config| self.ask(config).err())).collect()
    }

    fn ask(&self, config: NetConf) -> Result<(), Failure> {
        self.delegates.check_installed(&config, self.path)?;
        let status = |config| NodeRequest::status(self.path.to_vec(), config);
        if config.version >= Version::V1_1_0 {
            return self.delegates.status(&status(config));
        }
        // By their names the plugins of others are not told from ours: both are called `host-local`.
        let own = |plugin: &str| self.delegates.builtin_on_path(plugin, self.path);
        let Some(plugin) = own(&config.plugin) else { return Ok(()) };
        // It would ask its IPAM plugin in turn, in the same version.
        let ipam = config.ipam.clone().filter(|ipam| own(ipam).is_some());
        plugin.status(&status(NetConf { ipam, ..config }), self.delegates)
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
        let (pod, eth0) = ("demo/pod".parse().unwrap(), "eth0".parse().unwrap());
        Chain::delegated(&pod, delegates.as_array().unwrap(), &eth0).unwrap()
    }

    fn unready(node: &Node, delegates: &Value) -> Vec<String> {
        let path = [node.directory.path().join("bin")];
        let failures =
            node.with(|attacher| Attacher { path: &path, ..*attacher }.unready(&chain(delegates)));
        failures.into_iter().map(|failure| failure.msg).collect()
    }

    #[test]
    fn our_plugins_are_asked_in_every_version_and_all_their_reasons_are_told() {
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
        let told = ["STATUS a one was told to fail", "STATUS b three was told to fail"];
        assert_eq!(unready(&node, &delegates), told);
    }

    #[test]
    fn a_plugin_that_is_not_ours_must_be_there_and_is_asked_from_the_version_on_that_has_status() {
        let node = Node::new();
        let program = node.path("bin/foreign");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        let answer = r#"{"code": 50, "msg": "the server is away"}"#;
        fs::write(&program, format!("#!/bin/sh\necho '{answer}'; exit 1\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let one = |plugin: &str, version: &str| json!([{"name": "a", "type": plugin, "cniVersion": version}]);
        assert_eq!(unready(&node, &one("foreign", "1.0.0")), [""; 0]);
        let away = ["plugin \"foreign\": the server is away"];
        assert_eq!(unready(&node, &one("foreign", "1.1.0")), away);
        assert!(unready(&node, &one("absent", "1.0.0"))[0].contains("\"absent\" is not in"));
        // The IPAM plugin of one of ours, in the version of the network.
        let leased = |ipam: &str| json!([{"name": "a", "type": "one", "cniVersion": "1.0.0", "ipam": {"type": ipam}}]);
        assert_eq!(unready(&node, &leased("foreign")), [""; 0]);
        // One that has the name of ours, and is another's.
        fs::copy(&program, program.with_file_name("two")).unwrap();
        assert_eq!(unready(&node, &one("two", "1.0.0")), [""; 0]);
        assert_eq!(unready(&node, &leased("two")), [""; 0]);
        assert_eq!(unready(&node, &one("two", "1.1.0")), ["plugin \"two\": the server is away"]);
        assert_eq!(node.script.take(), ["STATUS a one", "STATUS a one"]);
        assert!(unready(&node, &leased("absent"))[0].contains("\"absent\" is not in"));
    }

    #[test]
    fn a_directory_of_records_that_cannot_be_written_is_told() {
        let node = Node::new();
        let delegates = json!([{"name": "a", "type": "one"}]);
        let told = node.with(|attacher| {
            let records = Records::new(Path::new("/proc/none"), Path::new("/proc/none"));
            Attacher { records: &records, ..*attacher }.unready(&chain(&delegates))
        });
        assert_eq!(told[0].code, Code::NOT_AVAILABLE);
        let start = "what ADD does cannot be recorded: cannot make the directory /proc/none";
        assert!(told[0].msg.starts_with(start), "{told:?}");
    }
}
