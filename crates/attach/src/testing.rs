//! A node for unit tests: plugins that note their calls and fail on request, a pool of VFs, and links to
//! the test's own namespace for those of pods.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Mutex;

use podbond_api::{
    NETWORKS_ANNOTATION, Nad, ObjectKey, Pod, RESOURCE_NAME_ANNOTATION, ResourceName,
};
use podbond_cni::{
    CniResult, Code, Command, ContainerId, Delegates, Failure, Lookup, NodeRequest, Plugin,
    Request, Version,
};
use podbond_names::PciAddress;
use podbond_record::{Record, Records};
use serde_json::{Value, json};

use crate::{
    Added, Attacher, Chain, Device, DeviceInfoFiles, Devices, Error, NodeNetwork, Sandbox, Source,
    default_network,
};

/// How a call of a plugin fails.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    Fails(Code),
    Crashes,
}

/// Notes each call as `ADD net1 one`, and fails those for which a fault is set.
#[derive(Default)]
pub(crate) struct Script {
    calls: Mutex<Vec<String>>,
    requests: Mutex<Vec<Request>>,
    pub(crate) faults: Mutex<BTreeMap<String, Fault>>,
}

impl Script {
    fn call(&self, command: Command, plugin: &str, request: &Request) -> Result<(), Failure> {
        self.requests.lock().unwrap().push(request.clone());
        self.note(&format!("{command} {} {plugin}", request.ifname))
    }

    fn note(&self, call: &str) -> Result<(), Failure> {
        self.calls.lock().unwrap().push(call.to_owned());
        let fault = self.faults.lock().unwrap().get(call).copied();
        match fault {
            None => Ok(()),
            Some(Fault::Fails(code)) => Err(Failure::new(code, format!("{call} fails by request"))),
            Some(Fault::Crashes) => panic!("{call} crashes by request"),
        }
    }

    pub(crate) fn fault(&self, call: &str, fault: Fault) {
        self.faults.lock().unwrap().insert(call.to_owned(), fault);
    }

    /// Returns the calls since the last one of this, and forgets their requests.
    pub(crate) fn take(&self) -> Vec<String> {
        self.requests.lock().unwrap().clear();
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

struct Fake<'a>(&'static str, &'a Script);

impl Plugin for Fake<'_> {
    fn name(&self) -> &'static str {
        self.0
    }

    /// The result of the plugin before it, or an interface.
    fn add(&self, request: &Request, _: &Delegates<'_>) -> Result<CniResult, Failure> {
        self.1.call(Command::Add, self.0, request)?;
        let own = json!({"interfaces": [{
            "name": request.ifname, "sandbox": "/run/netns/x", "mac": "02:00:00:00:00:01",
        }]});
        let previous = request.config.prev_result.clone();
        previous.map_or_else(|| CniResult::from_value(&own, Version::V1_1_0), Ok)
    }

    fn del(&self, request: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        self.1.call(Command::Del, self.0, request)
    }

    fn check(&self, request: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        self.1.call(Command::Check, self.0, request)
    }

    fn gc(&self, request: &NodeRequest, _: &Delegates<'_>) -> Result<(), Failure> {
        let valid = &request.valid_attachments;
        let valid: Vec<String> =
            valid.iter().map(|it| format!(" {}/{}", it.container_id, it.ifname)).collect();
        let listed = &request.config.raw["cni.dev/valid-attachments"];
        assert_eq!(listed.as_array().map(Vec::len), Some(valid.len()));
        self.1.note(&format!("GC {} {}{}", request.config.name, self.0, valid.concat()))
    }

    /// It does not ask an IPAM plugin that it is not given.
    fn status(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        self.1.note(&format!("STATUS {} {}", request.config.name, self.0))?;
        delegates.ipam_status(request)
    }
}

/// A pool of two VFs, which the records hold, and any other device on request.
pub(crate) struct Pool(Records);

pub(crate) const VFS: [&str; 2] = ["0000:03:10.0", "0000:03:10.1"];

impl Devices for Pool {
    fn choose(&self, _: &ResourceName) -> Result<Device, Failure> {
        let all = VFS.map(|vf| vf.parse().unwrap());
        let free = all.into_iter().find(|vf| self.0.holding(*vf).unwrap().is_empty());
        free.map_or_else(
            || Err(Failure::new(Code::EXHAUSTED, "no free VF")),
            |vf| self.choose_this(vf),
        )
    }

    fn choose_this(&self, address: PciAddress) -> Result<Device, Failure> {
        Ok(Device { address, lock: None })
    }
}

/// Every NAD of every name, its configuration by the name.
struct Nads;

impl Source for Nads {
    fn nad(&self, key: &ObjectKey) -> Result<Option<Nad>, Failure> {
        let (version, plugins) = match key.name.as_str() {
            "vf" | "info" => ("1.0.0", vec!["one", "two"]),
            "old" => ("0.3.1", vec!["one"]),
            "absent" => ("1.0.0", vec!["one", "absent"]),
            _ => ("1.0.0", vec!["three"]),
        };
        let mut plugins: Vec<Value> = plugins.iter().map(|name| json!({"type": name})).collect();
        if key.name.as_str() == "info" {
            plugins[1]["capabilities"] = json!({"CNIDeviceInfoFile": true});
        }
        let resource = matches!(key.name.as_str(), "vf" | "info").then(|| "pool".parse().unwrap());
        let config = json!({"cniVersion": version, "name": "n", "plugins": plugins}).to_string();
        let name = (RESOURCE_NAME_ANNOTATION.to_owned(), "openshift.io/pool".to_owned());
        let annotations = resource.iter().map(|_| name.clone()).collect();
        Ok(Some(Nad { key: key.clone(), annotations, resource, config: Some(config) }))
    }
}

/// A node with its directories.
pub(crate) struct Node {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) script: Script,
    pub(crate) records: Records,
}

impl Node {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [lib, run] = ["lib", "run"].map(|name| directory.path().join(name));
        Self { records: Records::new(&lib, &run), directory, script: Script::default() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn with<T>(&self, act: impl FnOnce(&Attacher<'_>) -> T) -> T {
        let [one, two, three] = ["one", "two", "three"].map(|name| Fake(name, &self.script));
        let plugins: [&dyn Plugin; 3] = [&one, &two, &three];
        act(&Attacher {
            delegates: &Delegates::new(&plugins, Lookup::PathThenBuiltin),
            devices: &Pool(self.records.clone()),
            records: &self.records,
            path: &[],
            device_info: &DeviceInfoFiles::new(&self.path("devinfo")),
        })
    }

    pub(crate) fn sandbox(&self, id: &str) -> Sandbox {
        let netns = self.path(&format!("netns-{id}"));
        symlink("/proc/self/ns/net", &netns).unwrap();
        let container_id = ContainerId::try_from(id.to_owned()).unwrap();
        let pod = json!({"namespace": "demo", "name": "pod", "uid": "u-1"});
        let pod = serde_json::from_value(pod).unwrap();
        Sandbox { pod, container_id, netns, meta_network: None }
    }

    pub(crate) fn add(&self, sandbox: &Sandbox, chain: &Chain) -> Result<Added, Error> {
        self.with(|attacher| attacher.add(sandbox, chain))
    }

    pub(crate) fn delete(&self, sandbox: &Sandbox) -> Vec<Error> {
        self.with(|attacher| attacher.delete(&sandbox.container_id, || None))
    }

    /// All records, each pod's in the order of its chain.
    pub(crate) fn records(&self) -> Vec<Record> {
        let (mut records, unreadable) = self.records.all().unwrap();
        assert_eq!(unreadable, []);
        records.sort_by_key(|record| record.chain.as_ref().map(|chain| chain.position));
        records
    }

    /// Changes the recorded namespace of a sandbox to one of an earlier boot, as if it were gone.
    pub(crate) fn end_netns(&self, sandbox: &Sandbox) {
        for mut record in self.records() {
            if record.container_id == sandbox.container_id {
                let mut netns = serde_json::to_value(record.netns.unwrap()).unwrap();
                netns["boot"] = json!("earlier");
                record.netns = Some(serde_json::from_value(netns).unwrap());
                self.records.write(&record).unwrap();
            }
        }
    }

    pub(crate) fn assert_empty(&self) {
        assert_eq!(self.records.all().unwrap(), (Vec::new(), Vec::new()));
    }

    fn eth0(&self) -> NodeNetwork {
        let conf_dir = self.path("net.d");
        fs::create_dir_all(&conf_dir).unwrap();
        fs::write(conf_dir.join("a.conf"), r#"{"name": "cluster", "type": "three"}"#).unwrap();
        default_network(&conf_dir).unwrap().unwrap()
    }

    /// eth0 by one plugin, two VFs by two plugins each, and one more network.
    pub(crate) fn chain(&self) -> Chain {
        self.chain_of("vf, vf, bond@bond0")
    }

    pub(crate) fn chain_of(&self, networks: &str) -> Chain {
        let pod = Pod {
            key: "demo/pod".parse().unwrap(),
            uid: None,
            annotations: [(NETWORKS_ANNOTATION.to_owned(), networks.to_owned())].into(),
        };
        Chain::resolve(&pod, &Nads, Some(&self.eth0())).unwrap()
    }
}
