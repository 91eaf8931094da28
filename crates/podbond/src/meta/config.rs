//! The meta-plugin's own configuration: the keys of Multus' (`clusterNetwork`, `delegates`, `namespaceIsolation`
//! and so on), and those of them that have no effect here. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use podbond_agent_socket::SOCKET;
use podbond_attach::{Isolation, MULTUS_NAMESPACE};
use podbond_cni::{Code, Failure, NetConf};
use podbond_names::Namespace;
use serde::Deserialize;
use serde_json::Value;

/// `confDir` where the configuration does not say.
const CONF_DIR: &str = "/etc/cni/multus/net.d";

/// `cniDir` where the configuration does not say.
pub(crate) const CNI_DIR: &str = "/var/lib/cni/multus";

/// `globalNamespaces` where the configuration does not say.
const GLOBAL_NAMESPACES: &str = "default";

/// The type of a meta-plugin that asks no cluster where no `kubeconfig` is given.
const MULTUS: &str = "multus";

/// The meta-plugin's configuration.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MetaConfig {
    /// Where the pods' networks come from.
    pub(crate) networks: Networks,
    /// `binDir`: looked through before `CNI_PATH`.
    pub(crate) bin_dir: Option<PathBuf>,
    /// `cniDir`: where Multus keeps what it has attached.
    pub(crate) cni_dir: PathBuf,
    /// Keys that are given and have no effect.
    pub(crate) passed_over: Vec<IgnoredKey>,
}

/// Where a pod's networks come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Networks {
    /// From `delegates` alone, with no cluster.
    Listed(Vec<Value>),
    /// From the cluster, through the agent of the node.
    Cluster(Box<Cluster>),
}

/// The rules of a cluster, as the configuration of a node has them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cluster {
    /// What every pod is attached to first.
    pub(crate) primary: Primary,
    /// `defaultNetworks`: what it is attached to next.
    pub(crate) default_networks: Vec<NetworkRef>,
    /// `confDir`
    pub(crate) conf_dir: PathBuf,
    /// `multusNamespace`
    pub(crate) multus_namespace: Namespace,
    /// `systemNamespaces`: whose pods have no default networks but the first one.
    pub(crate) system_namespaces: BTreeSet<Namespace>,
    /// `namespaceIsolation`, `globalNamespaces`
    pub(crate) isolation: Isolation,
    /// `readinessindicatorfile`
    pub(crate) readiness_file: Option<PathBuf>,
}

/// What every pod is attached to first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Primary {
    /// `clusterNetwork`
    ClusterNetwork(NetworkRef),
    /// `delegates`: the first one is the pod's default network.
    Delegates(Vec<Value>),
}

/// A network that the configuration refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NetworkRef {
    /// With a `/`: a file, or the first one of a directory.
    Path(PathBuf),
    /// Without: a NAD of `multusNamespace`, or else the configuration of this name in `confDir`.
    Name(String),
}

impl fmt::Display for NetworkRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{:?}", path.display().to_string()),
            Self::Name(name) => write!(f, "{name:?}"),
        }
    }
}

/// A key that is given and has no effect. Displayed, it is key, reason and remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IgnoredKey {
    Kubeconfig,
    DaemonSocketDir,
    DefaultNetworks,
    Delegates,
    AuxiliaryChain,
}

impl fmt::Display for IgnoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubeconfig => f.write_str(
                "kubeconfig has no effect, since podbond-agent asks the API server: leave it out of a \
                 configuration of type podbond",
            ),
            Self::DaemonSocketDir => {
                write!(f, "daemonSocketDir has no effect, since podbond-agent listens at {SOCKET}: leave it out")
            }
            Self::DefaultNetworks => f.write_str(
                "defaultNetworks has no effect without clusterNetwork: name the first of delegates in \
                 clusterNetwork, or add the others to delegates",
            ),
            Self::Delegates => {
                f.write_str("delegates has no effect beside clusterNetwork: leave one of them out")
            }
            Self::AuxiliaryChain => f.write_str(
                "auxiliaryCNIChainName has no effect: write the plugins of that chain into the primary \
                 network's own configuration",
            ),
        }
    }
}

/// The keys as given.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Keys {
    delegates: Option<Vec<Value>>,
    #[serde(rename = "clusterNetwork")]
    cluster_network: Option<String>,
    #[serde(rename = "defaultNetworks")]
    default_networks: Option<Vec<String>>,
    kubeconfig: Option<String>,
    #[serde(rename = "confDir")]
    conf_dir: Option<PathBuf>,
    #[serde(rename = "cniDir")]
    cni_dir: Option<PathBuf>,
    #[serde(rename = "binDir")]
    bin_dir: Option<PathBuf>,
    #[serde(rename = "multusNamespace")]
    multus_namespace: Option<String>,
    #[serde(rename = "systemNamespaces")]
    system_namespaces: Option<Vec<String>>,
    #[serde(rename = "namespaceIsolation")]
    namespace_isolation: Option<bool>,
    #[serde(rename = "globalNamespaces")]
    global_namespaces: Option<String>,
    #[serde(rename = "readinessindicatorfile")]
    readiness_file: Option<PathBuf>,
    #[serde(rename = "daemonSocketDir")]
    daemon_socket_dir: Option<String>,
    #[serde(rename = "auxiliaryCNIChainName")]
    auxiliary_chain: Option<String>,
}

impl MetaConfig {
    /// Reads the configuration that a runtime gives. Keys are found as Go finds them; empty texts and lists
    /// count as absent. `logFile` and the other keys of a log, and `retryDeleteOnError`, are known and change
    /// nothing.
    pub(crate) fn read(config: &NetConf) -> Result<Self, Failure> {
        let keys: Keys = config.keys()?;
        let is_given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let delegates = keys.delegates.clone().unwrap_or_default();
        let cluster_network = keys.cluster_network.clone().filter(|text| !text.is_empty());
        let mut passed_over = Vec::new();
        let mut pass_over = |is_given: bool, key| passed_over.extend(is_given.then_some(key));
        let networks = if config.plugin == MULTUS && !is_given(&keys.kubeconfig) {
            if delegates.is_empty() {
                let msg = "field delegates is missing: list the configurations of the pod's networks, \
                           its own network first";
                return Err(Failure::new(Code::INVALID_CONFIG, msg));
            }
            Networks::Listed(delegates)
        } else {
            let default_networks = keys.default_networks.as_deref().unwrap_or_default();
            pass_over(is_given(&keys.kubeconfig), IgnoredKey::Kubeconfig);
            pass_over(is_given(&keys.daemon_socket_dir), IgnoredKey::DaemonSocketDir);
            pass_over(
                cluster_network.is_none() && !default_networks.is_empty(),
                IgnoredKey::DefaultNetworks,
            );
            pass_over(cluster_network.is_some() && !delegates.is_empty(), IgnoredKey::Delegates);
            pass_over(is_given(&keys.auxiliary_chain), IgnoredKey::AuxiliaryChain);
            let primary = match cluster_network {
                Some(text) => Primary::ClusterNetwork(network_ref(&text)),
                None if !delegates.is_empty() => Primary::Delegates(delegates),
                None => {
                    let msg = "field clusterNetwork is missing: name the primary network's file in it, \
                               as /etc/cni/net.d/10-net.conflist, or list its configuration in delegates";
                    return Err(Failure::new(Code::INVALID_CONFIG, msg));
                }
            };
            Networks::Cluster(Box::new(Cluster::of(config, primary, &keys)?))
        };
        Ok(Self {
            networks,
            bin_dir: given(keys.bin_dir),
            cni_dir: given(keys.cni_dir).unwrap_or_else(|| CNI_DIR.into()),
            passed_over,
        })
    }
}

impl Cluster {
    fn of(config: &NetConf, primary: Primary, keys: &Keys) -> Result<Self, Failure> {
        let namespace = |field: &str, text: &str| -> Result<Namespace, Failure> {
            text.parse().map_err(|error| {
                let msg = format!("network {:?}: field {field}: {error}", config.name);
                Failure::new(Code::INVALID_CONFIG, msg)
            })
        };
        let default_networks = match primary {
            Primary::ClusterNetwork(_) => keys.default_networks.as_deref().unwrap_or_default(),
            Primary::Delegates(_) => &[],
        };
        let multus_namespace = keys.multus_namespace.as_deref().filter(|text| !text.is_empty());
        let system = keys.system_namespaces.clone().filter(|names| !names.is_empty());
        let system = system.unwrap_or_else(|| vec![MULTUS_NAMESPACE.to_owned()]);
        let system = system.iter().map(|name| namespace("systemNamespaces", name));
        let global = keys.global_namespaces.as_deref().filter(|text| !text.is_empty());
        let global = global.unwrap_or(GLOBAL_NAMESPACES).split(',').map(str::trim);
        let isolation = if keys.namespace_isolation.unwrap_or_default() {
            let global = global.filter(|name| !name.is_empty());
            let global = global.map(|name| namespace("globalNamespaces", name));
            Isolation::On(global.collect::<Result<_, _>>()?)
        } else {
            Isolation::Off
        };
        Ok(Self {
            default_networks: default_networks.iter().map(|text| network_ref(text)).collect(),
            primary,
            conf_dir: given(keys.conf_dir.clone()).unwrap_or_else(|| CONF_DIR.into()),
            multus_namespace: namespace(
                "multusNamespace",
                multus_namespace.unwrap_or(MULTUS_NAMESPACE),
            )?,
            system_namespaces: system.collect::<Result<_, _>>()?,
            isolation,
            readiness_file: given(keys.readiness_file.clone()),
        })
    }
}

fn network_ref(text: &str) -> NetworkRef {
    if text.contains('/') {
        NetworkRef::Path(text.into())
    } else {
        NetworkRef::Name(text.to_owned())
    }
}

/// Returns a path that is not empty.
fn given(path: Option<PathBuf>) -> Option<PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(config: &Value) -> Result<MetaConfig, String> {
        let mut config = config.clone();
        config["name"] = "all".into();
        let config = NetConf::parse(config.to_string().as_bytes()).unwrap();
        MetaConfig::read(&config).map_err(|failure| failure.msg)
    }

    fn cluster(config: &Value) -> Cluster {
        match read(config).unwrap().networks {
            Networks::Cluster(cluster) => *cluster,
            Networks::Listed(_) => panic!("{config}"),
        }
    }

    fn namespaces(names: &[&str]) -> BTreeSet<Namespace> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    /// Promise: multus-configuration
    #[test]
    fn type_and_kubeconfig_say_whether_the_cluster_is_asked() {
        let delegates = json!([{"name": "a", "type": "bridge"}]);
        let listed = read(&json!({"type": "multus", "delegates": delegates})).unwrap();
        assert_eq!(listed.networks, Networks::Listed(delegates.as_array().unwrap().clone()));
        for (kind, kubeconfig) in
            [("podbond", ""), ("multus-shim", ""), ("multus", "/etc/cni/net.d/multus.d/k")]
        {
            let cluster =
                cluster(&json!({"type": kind, "kubeconfig": kubeconfig, "delegates": delegates}));
            assert_eq!(cluster.primary, Primary::Delegates(delegates.as_array().unwrap().clone()));
        }
        for (config, part) in [
            (json!({"type": "multus"}), "field delegates is missing"),
            (json!({"type": "podbond", "delegates": []}), "field clusterNetwork is missing"),
        ] {
            let message = read(&config).unwrap_err();
            assert!(message.starts_with(part), "{message}");
        }
    }

    /// As Multus 4 writes it for a primary network, thin and thick.
    ///
    /// Promise: multus-configuration
    #[test]
    fn configurations_that_multus_writes_are_read() {
        let thin = json!({
            "cniVersion": "0.3.1", "name": "multus-cni-network", "type": "multus",
            "capabilities": {"portMappings": true},
            "kubeconfig": "/etc/cni/net.d/multus.d/multus.kubeconfig",
            "namespaceIsolation": true, "globalNamespaces": "default, shared",
            "logLevel": "verbose", "logFile": "/var/log/multus.log", "logToStderr": true,
            "readinessindicatorfile": "/run/cni-ready", "binDir": "/opt/other/bin",
            "delegates": [{"name": "cbr0", "plugins": [{"type": "flannel"}, {"type": "portmap"}]}],
        });
        let config = read(&thin).unwrap();
        assert_eq!(config.passed_over, [IgnoredKey::Kubeconfig]);
        assert_eq!(config.bin_dir, Some("/opt/other/bin".into()));
        let of_thin = cluster(&thin);
        assert_eq!(of_thin.isolation, Isolation::On(namespaces(&["default", "shared"])));
        assert_eq!(of_thin.readiness_file, Some("/run/cni-ready".into()));
        let thick = json!({
            "capabilities": {"bandwidth": true, "portMappings": true}, "cniVersion": "0.3.1",
            "logLevel": "verbose", "logToStderr": true, "name": "multus-cni-network",
            "clusterNetwork": "/host/etc/cni/net.d/10-flannel.conflist", "type": "multus-shim",
            "daemonSocketDir": "/run/multus/",
        });
        assert_eq!(read(&thick).unwrap().passed_over, [IgnoredKey::DaemonSocketDir]);
        let of_thick = cluster(&thick);
        let path = NetworkRef::Path("/host/etc/cni/net.d/10-flannel.conflist".into());
        assert_eq!(of_thick.primary, Primary::ClusterNetwork(path));
    }

    #[test]
    fn absent_keys_are_as_in_multus() {
        let config = json!({
            "type": "podbond", "clusterNetwork": "net", "confDir": "", "systemNamespaces": [],
            "globalNamespaces": "a", "cniDir": null,
        });
        let of_config = cluster(&config);
        assert_eq!(
            of_config,
            Cluster {
                primary: Primary::ClusterNetwork(NetworkRef::Name("net".to_owned())),
                default_networks: Vec::new(),
                conf_dir: "/etc/cni/multus/net.d".into(),
                multus_namespace: "kube-system".parse().unwrap(),
                system_namespaces: namespaces(&["kube-system"]),
                isolation: Isolation::Off,
                readiness_file: None,
            }
        );
        let config = read(&config).unwrap();
        assert_eq!((config.bin_dir, config.cni_dir), (None, "/var/lib/cni/multus".into()));
        let isolated =
            json!({"type": "podbond", "clusterNetwork": "n", "namespaceIsolation": true});
        assert_eq!(cluster(&isolated).isolation, Isolation::On(namespaces(&["default"])));
    }

    #[test]
    fn keys_are_found_as_go_finds_them() {
        let config = json!({
            "type": "podbond", "ClusterNetwork": "/a", "DEFAULTNETWORKS": ["b", "/c/"],
            "readinessIndicatorFile": "/r", "multusNamespace": "networks",
        });
        let config = cluster(&config);
        let refs = [NetworkRef::Name("b".to_owned()), NetworkRef::Path("/c/".into())];
        assert_eq!(config.default_networks, refs);
        assert_eq!(config.readiness_file, Some("/r".into()));
        assert_eq!(config.multus_namespace.as_str(), "networks");
    }

    #[test]
    fn wrong_field_is_named() {
        for (field, value, part) in [
            ("clusterNetwork", json!(7), "network \"all\": field clusterNetwork: "),
            ("defaultNetworks", json!("a"), "network \"all\": field defaultNetworks: "),
            ("multusNamespace", json!("a/b"), "network \"all\": field multusNamespace: "),
            ("systemNamespaces", json!(["A"]), "network \"all\": field systemNamespaces: "),
            ("globalNamespaces", json!("a,b c"), "network \"all\": field globalNamespaces: "),
            ("namespaceIsolation", json!("yes"), "network \"all\": field namespaceIsolation: "),
        ] {
            let mut config =
                json!({"type": "podbond", "clusterNetwork": "n", "namespaceIsolation": true});
            config[field] = value;
            let message = read(&config).unwrap_err();
            assert!(message.starts_with(part), "{message}");
        }
    }

    #[test]
    fn keys_without_effect_are_named_with_the_remedy() {
        let config = json!({
            "type": "podbond", "clusterNetwork": "n", "delegates": [{}], "kubeconfig": "/k",
            "auxiliaryCNIChainName": "vendor-cni-chain",
        });
        let expected = [IgnoredKey::Kubeconfig, IgnoredKey::Delegates, IgnoredKey::AuxiliaryChain];
        assert_eq!(read(&config).unwrap().passed_over, expected);
        let config = json!({"type": "podbond", "delegates": [{}], "defaultNetworks": ["a"]});
        let config = read(&config).unwrap();
        assert_eq!(config.passed_over, [IgnoredKey::DefaultNetworks]);
        assert!(config.passed_over[0].to_string().starts_with("defaultNetworks has no effect"));
    }
}
