//! An IPAM plugin for tests, and requests to it.

use std::sync::Mutex;

use podbond_cni::{
    Args, CniResult, Code, ContainerId, Delegates, Failure, IpConfig, NetConf, Plugin, Request,
};
use serde_json::json;

/// An IPAM plugin that notes its calls.
pub(crate) struct Asked<'l> {
    pub(crate) name: &'static str,
    pub(crate) log: &'l Mutex<Vec<String>>,
    pub(crate) answer: Result<Vec<IpConfig>, Failure>,
    /// Whether it refuses to take a lease back.
    pub(crate) refuses: bool,
}

impl Plugin for Asked<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn add(&self, _: &Request, _: &Delegates<'_>) -> Result<CniResult, Failure> {
        self.log.lock().unwrap().push("lease".to_owned());
        self.answer.clone().map(|ips| CniResult { ips, ..CniResult::default() })
    }

    fn del(&self, _: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        self.log.lock().unwrap().push("release".to_owned());
        if self.refuses {
            return Err(Failure::new(Code::IO, "the server is down:\n timeout"));
        }
        Ok(())
    }

    fn check(&self, _: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

/// Of `net1` in a container, to the network `n`.
pub(crate) fn request(ipam: &str, container: &str) -> Request {
    let conf = json!({"cniVersion": "1.0.0", "name": "n", "type": "t", "ipam": {"type": ipam}});
    Request {
        container_id: ContainerId::try_from(container.to_owned()).unwrap(),
        netns: Some("/run/netns/p1".into()),
        ifname: "net1".parse().unwrap(),
        args: Args::default(),
        path: Vec::new(),
        config: NetConf::parse(conf.to_string().as_bytes()).unwrap(),
    }
}
