//! Requests to host-local, and the directory of leases that they lead to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use podbond_cni::{Args, Failure, NetConf, NodeRequest, Request};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{add, del};

/// A `dataDir`, and what the key `ipam` has beside it.
pub(crate) struct Scene {
    dir: TempDir,
    ipam: Value,
}

impl Scene {
    /// The documented configuration.
    pub(crate) fn documented() -> Self {
        Self::with(json!({
            "subnet": "10.56.217.0/24", "gateway": "10.56.217.1",
            "routes": [{"dst": "0.0.0.0/0"}],
        }))
    }

    pub(crate) fn with(ipam: Value) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), ipam }
    }

    /// A range set for each list of subnets.
    pub(crate) fn with_ranges(ranges: &Value) -> Self {
        Self::with(json!({ "ranges": ranges }))
    }

    pub(crate) fn set_ipam(&mut self, ipam: Value) {
        self.ipam = ipam;
    }

    /// The directory of the network's leases.
    pub(crate) fn leases(&self) -> PathBuf {
        self.dir.path().join("bond-net1")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.leases().join(name)
    }

    /// Writes a file as another plugin or a person does.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        fs::create_dir_all(self.leases()).unwrap();
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// The names of all files of the network but the lock.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.leases()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "lock").collect()
    }

    pub(crate) fn config(&self, extra: &Value) -> NetConf {
        let mut ipam = json!({"type": "host-local", "dataDir": self.dir.path()});
        extend(&mut ipam, &self.ipam);
        let name = "bond-net1";
        let mut json = json!({"cniVersion": "1.1.0", "name": name, "type": "bond", "ipam": ipam});
        extend(&mut json, extra);
        NetConf::parse(json.to_string().as_bytes()).unwrap()
    }

    pub(crate) fn request(&self, container: &str) -> Request {
        self.request_with(container, &json!({}))
    }

    pub(crate) fn request_with(&self, container: &str, extra: &Value) -> Request {
        Request {
            container_id: container.to_owned().try_into().unwrap(),
            netns: None,
            ifname: "net3".parse().unwrap(),
            args: Args::default(),
            path: Vec::new(),
            config: self.config(extra),
        }
    }

    pub(crate) fn status_request(&self) -> NodeRequest {
        NodeRequest::status(Vec::new(), self.config(&json!({})))
    }

    /// A GC to which net3 of these containers is valid.
    pub(crate) fn gc_request(&self, valid: &[&str]) -> NodeRequest {
        let valid: Vec<Value> =
            valid.iter().map(|id| json!({"containerID": id, "ifname": "net3"})).collect();
        let config = self.config(&json!({ "cni.dev/valid-attachments": valid }));
        NodeRequest::gc(Vec::new(), config).unwrap()
    }

    /// The addresses that the container is given for net3.
    pub(crate) fn add(&self, container: &str) -> Result<Vec<String>, Failure> {
        addresses(&self.request(container))
    }

    pub(crate) fn del(&self, container: &str) -> Result<(), Failure> {
        Ok(del::del(&self.request(container))?)
    }

    /// An ADD; the same request with its result.
    pub(crate) fn added(&self, container: &str) -> Request {
        let mut request = self.request(container);
        let result = add::add(&request).unwrap();
        request.config.set_prev_result(Some(result));
        request
    }
}

/// The addresses that an ADD gives.
pub(crate) fn addresses(request: &Request) -> Result<Vec<String>, Failure> {
    let result = add::add(request)?;
    Ok(result.ips.iter().map(|ip| ip.address.to_string()).collect())
}

/// The set of these names.
pub(crate) fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

/// Makes a pipe.
pub(crate) fn make_pipe(path: &Path) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, 0o600.into()).unwrap();
}

fn extend(object: &mut Value, extra: &Value) {
    object.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
}
