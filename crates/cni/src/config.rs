use std::net::IpAddr;

use podbond_names::Mac;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{CniResult, Failure, Version};

/// One plugin's network configuration, as it arrives on standard input.
///
/// What the specification names is parsed and checked here; a plugin reads its own keys with
/// [`NetConf::keys`].
#[derive(Debug, Clone, PartialEq)]
pub struct NetConf {
    /// `cniVersion`; 0.1.0 where it is absent.
    pub version: Version,
    /// `name`: of the network. Checked against the specification's charset, so that it may be a
    /// file name.
    pub name: String,
    /// `type`: of the plugin; a file name without `/`.
    pub plugin: String,
    /// `ipam.type`, where there is an `ipam` with a type.
    pub ipam: Option<String>,
    /// `prevResult`, where there is one.
    pub prev_result: Option<CniResult>,
    /// `runtimeConfig`.
    pub runtime: RuntimeConfig,
    /// The whole object, with the keys above.
    pub raw: Map<String, Value>,
}

/// The dynamic part of a configuration that the runtime fills in by capability.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuntimeConfig {
    /// Capability `ips`: addresses asked for, with or without prefix length.
    pub ips: Vec<String>,
    /// Capability `mac`.
    pub mac: Option<Mac>,
    /// Addresses from `args.cni.ips`, an older way to ask for them.
    pub args_ips: Vec<IpAddr>,
}

impl NetConf {
    /// Reads a configuration. Errors give line and column of what does not parse, and the field of
    /// what is invalid.
    pub fn parse(_json: &[u8]) -> Result<Self, Failure> {
        todo!()
    }

    /// The plugin's own keys. An error names the field, with the path to it.
    pub fn keys<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        todo!()
    }
}
