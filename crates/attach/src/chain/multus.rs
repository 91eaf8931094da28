//! A chain from what Multus has written when it attached a pod: its file of the pod's networks in `cniDir`, and
//! the results that the CNI library keeps below it.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use podbond_cni::{Args, CniResult, ContainerId, Version, field};
use podbond_names::LinkName;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::attachment::{Attachment, Chain, Place, interface_name};
use super::default_network::NodeNetwork;
use crate::cni_args::POD_ARGS;
use crate::error::Error;

/// What Multus has recorded of a sandbox: the networks that it has attached it to.
#[derive(Debug, Clone, PartialEq)]
pub struct AttachedByMultus {
    /// The networks, in the order of their ADDs, each with its result.
    pub chain: Chain,
    /// The files of which the chain is made, that of the networks last.
    files: Vec<PathBuf>,
}

/// A network in Multus' file.
#[derive(Debug, Deserialize)]
struct Delegate {
    /// The configuration that was called, in base64.
    #[serde(rename = "Bytes")]
    bytes: String,
    /// `namespace/name` of the NAD, where there is one.
    #[serde(rename = "Name", default)]
    name: String,
    #[serde(rename = "ifnameRequest", default)]
    ifname: String,
}

/// What the CNI library keeps of an ADD.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Cached {
    cni_args: Vec<(String, String)>,
    capability_args: Map<String, Value>,
    result: Value,
}

impl AttachedByMultus {
    /// Reads what Multus has recorded of a sandbox in `cniDir`; none where it has not attached it. `ifname` is
    /// the default network's interface.
    ///
    /// # Errors
    /// Where its file cannot be read. Of a result that cannot be read its network is deleted without it.
    pub fn read(
        cni_dir: &Path,
        container_id: &ContainerId,
        ifname: &LinkName,
    ) -> Result<Option<Self>, Error> {
        let file = cni_dir.join(container_id.as_str());
        let Some(bytes) = podbond_state::read(&file)? else { return Ok(None) };
        let wrong = |problem: String| Error::MultusFile { file: file.clone(), problem };
        let delegates: Vec<Delegate> =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        let (mut attachments, mut files) = (Vec::new(), Vec::new());
        for (position, delegate) in delegates.iter().enumerate() {
            let wrong = |problem| wrong(format!("network {position}: {problem}"));
            let interface = delegate.interface(position, ifname).map_err(wrong)?;
            let mut network = delegate.network().map_err(wrong)?.network;
            let result = format!("{}-{container_id}-{interface}", network.name);
            let result = cni_dir.join("results").join(result);
            let cached = cached(&result);
            files.push(result);
            let asked =
                Map::from_iter([("runtimeConfig".to_owned(), cached.capability_args.into())]);
            network.pass_on_runtime_config(&asked);
            let place = if position == 0 { Place::Default } else { Place::Secondary };
            let attachment = Attachment::of_network(&network, interface, place);
            let mut attachment = attachment.map_err(|error| wrong(error.to_string()))?;
            attachment.nad = delegate.name.parse().ok().filter(|_| delegate.name.contains('/'));
            let mut args = Args(cached.cni_args.into_iter().collect());
            args.0.retain(|key, _| !POD_ARGS.contains(&key.as_str()));
            attachment.args = args;
            attachment.earlier_result = result_of(&cached.result);
            attachments.push(attachment);
        }
        files.push(file);
        Ok(Some(Self { chain: Chain { attachments }, files }))
    }

    /// Removes what Multus has recorded, once all is deleted.
    pub fn remove(&self) -> Result<(), Error> {
        for file in &self.files {
            if file.symlink_metadata().is_ok() {
                podbond_state::remove(file)?;
            }
        }
        Ok(())
    }
}

impl Delegate {
    /// Returns its interface: the one that the pod asked for, or else that of its place.
    fn interface(&self, position: usize, first: &LinkName) -> Result<LinkName, String> {
        match (self.ifname.as_str(), position) {
            ("", 0) => Ok(first.clone()),
            ("", _) => interface_name(&format!("net{position}")).map_err(|error| error.to_string()),
            (name, _) => name.parse().map_err(|error| format!("ifnameRequest {error}")),
        }
    }

    fn network(&self) -> Result<NodeNetwork, String> {
        let text = STANDARD.decode(&self.bytes).map_err(|error| format!("Bytes: {error}"))?;
        NodeNetwork::parse(&String::from_utf8_lossy(&text))
            .map_err(|error| format!("Bytes {error}"))
    }
}

/// Returns what the CNI library keeps of an ADD; nothing where that is not there or cannot be read.
fn cached(file: &Path) -> Cached {
    let bytes = podbond_state::read(file).ok().flatten().unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn result_of(result: &Value) -> Option<CniResult> {
    let version = field(result.as_object()?, "cniVersion").and_then(Value::as_str);
    let version = version.and_then(Version::parse)?;
    CniResult::from_value(result, version).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    /// A folder as Multus 4 writes it.
    fn written(delegates: &Value) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("c1"), delegates.to_string()).unwrap();
        fs::create_dir(dir.path().join("results")).unwrap();
        dir
    }

    fn delegate(config: &Value, name: &str, ifname: Option<&str>) -> Value {
        let mut delegate = json!({
            "Conf": {}, "ConfList": {}, "CNINetworkConfigList": {}, "Name": name,
            "IsFilterV4Gateway": false, "Bytes": STANDARD.encode(config.to_string()),
        });
        if let Some(ifname) = ifname {
            delegate["ifnameRequest"] = ifname.into();
        }
        delegate
    }

    fn read(dir: &Path) -> Result<Option<AttachedByMultus>, Error> {
        let id = "c1".to_owned().try_into().unwrap();
        AttachedByMultus::read(dir, &id, &"eth0".parse().unwrap())
    }

    /// Promise: multus-pod-deleted
    #[test]
    fn networks_are_as_multus_has_attached_them() {
        let list = json!({"cniVersion": "1.0.0", "name": "cbr0", "plugins": [
            {"type": "flannel"}, {"type": "portmap", "capabilities": {"portMappings": true}},
        ]});
        let vf = json!({"cniVersion": "0.3.1", "name": "vf", "type": "sriov", "deviceID": "0000:01:10.0"});
        let bond = json!({"cniVersion": "0.3.1", "name": "b", "type": "bond"});
        let dir = written(&json!([
            delegate(&list, "", None),
            delegate(&vf, "demo/vf", None),
            delegate(&bond, "demo/b", Some("bond0")),
        ]));
        let ports = json!([{"hostPort": 80}]);
        let result = json!({"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.2/24"}]});
        let cached = json!({
            "kind": "cniCacheV1", "containerId": "c1", "config": "", "ifName": "eth0",
            "networkName": "cbr0", "cniArgs": [["K8S_POD_NAME", "p"], ["TENANT", "t"]],
            "capabilityArgs": {"portMappings": ports}, "result": result,
        });
        let file = dir.path().join("results/cbr0-c1-eth0");
        fs::write(&file, cached.to_string()).unwrap();
        let attached = read(dir.path()).unwrap().unwrap();
        let [eth0, net1, bond0] = &attached.chain.attachments[..] else { panic!("{attached:?}") };
        let shown = [eth0, net1, bond0].map(|it| (it.ifname.as_str(), it.name()));
        let expected = [("eth0", "cbr0"), ("net1", "demo/vf"), ("bond0", "demo/b")];
        assert_eq!(shown, expected.map(|(ifname, name)| (ifname, name.to_owned())));
        assert_eq!(net1.configs(None)[0].raw["deviceID"], "0000:01:10.0");
        assert_eq!((eth0.args.to_string().as_str(), eth0.place), ("TENANT=t", Place::Default));
        let configs = eth0.configs(None);
        assert_eq!(configs[1].raw["runtimeConfig"], json!({"portMappings": ports}));
        assert_eq!(configs[0].raw.get("runtimeConfig"), None);
        let result = eth0.earlier_result.as_ref().unwrap();
        assert_eq!(result.ips[0].address.to_string(), "10.1.0.2/24");
        assert_eq!(net1.earlier_result, None);
        attached.remove().unwrap();
        assert!(!file.exists());
        assert_eq!(read(dir.path()).unwrap(), None);
    }

    #[test]
    fn file_that_is_not_of_multus_is_named() {
        for (delegates, part) in [
            (json!({}), "/c1"),
            (json!([{"Bytes": "%"}]), "network 0: Bytes: "),
            (json!([delegate(&json!({}), "", None)]), "network 0: Bytes "),
            (
                json!([delegate(&json!({"name": "a", "type": "b"}), "", Some("a/b"))]),
                "network 0: ifnameRequest ",
            ),
        ] {
            let dir = written(&delegates);
            let message = read(dir.path()).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
