use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::Error;

/// The node's default network: what gives every pod its eth0.
#[derive(Debug, Clone, PartialEq)]
pub struct DefaultNetwork {
    /// The file it was read from.
    pub file: PathBuf,
    /// Its name.
    pub name: String,
    pub(crate) plugins: Vec<Map<String, Value>>,
}

/// The default network of a configuration directory (`/etc/cni/net.d`): its first file, by name,
/// that ends in `.conf`, `.conflist` or `.json`, as a runtime picks it. None when there is no such
/// file. A file of a meta-plugin (Multus or podbond itself) is passed over: it would ask for the
/// pod's networks again.
pub fn default_network(_conf_dir: &Path) -> Result<Option<DefaultNetwork>, Error> {
    todo!()
}
