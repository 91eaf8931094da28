use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use podbond_agent_socket::{
    Answer, HEADER_BYTES, Refusal, Reported, Request as Asking, Resolved, decode_request,
    encode_answer, request_length,
};
use podbond_attach::DeviceInfoFiles;
use podbond_cni::{Args, CniResult, Delegates, Lookup, NetConf, NodeRequest, Plugin, Version};
use podbond_record::Records;
use serde_json::{Value, json};

use super::*;
use crate::meta::Meta;

/// A plugin that keeps what it is called with.
struct Fake {
    name: &'static str,
    calls: Mutex<Vec<(String, Request)>>,
}

impl Fake {
    fn call(&self, command: &str, request: &Request) {
        self.calls.lock().unwrap().push((command.to_owned(), request.clone()));
    }
}

impl Plugin for Fake {
    fn name(&self) -> &'static str {
        self.name
    }

    fn add(&self, request: &Request, _: &Delegates<'_>) -> Result<CniResult, Failure> {
        self.call("ADD", request);
        let result = json!({"interfaces": [{"name": request.ifname, "sandbox": "/run/netns/x"}]});
        CniResult::from_value(&result, Version::V1_1_0)
    }

    fn del(&self, request: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        self.call("DEL", request);
        Ok(())
    }

    fn check(&self, request: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        self.call("CHECK", request);
        Ok(())
    }
}

/// A node with the meta-plugin, one plugin, and what an agent has been asked.
struct Node {
    directory: tempfile::TempDir,
    plugin: Fake,
    asked: Arc<Mutex<Vec<Asking>>>,
}

const VFS: [&str; 2] = ["0000:01:10.0", "0000:02:10.0"];

/// What the agent answers of a pod with this annotation. There are NADs demo/vf, with a resource, of which the pod
/// has two devices, demo/plain, other/plain and kube-system/plain.
fn answer(networks: &str) -> Value {
    let nad = |key: &str, resource: Option<&str>, config: Value| json!({"key": key, "resource": resource, "config": config.to_string()});
    let plain = json!({
        "cniVersion": "1.0.0", "type": "fake",
        "capabilities": {"portMappings": true, "bandwidth": true},
    });
    json!({
        "uid": "u-1",
        "annotations": {"networks": networks},
        "nads": [
            nad("demo/vf", Some("openshift.io/nic"), json!({"cniVersion": "0.3.1", "type": "fake"})),
            nad("demo/plain", None, plain.clone()),
            nad("other/plain", None, plain.clone()),
            nad("kube-system/plain", None, plain),
        ],
        "devices": [{"resource": "openshift.io/nic", "devices": VFS}],
        "requested": {"openshift.io/nic": "running"},
    })
}

impl Node {
    fn new() -> Self {
        let node = Self {
            directory: tempfile::tempdir().unwrap(),
            plugin: Fake { name: "fake", calls: Mutex::default() },
            asked: Arc::default(),
        };
        symlink("/proc/self/ns/net", node.path("netns")).unwrap();
        node.primary(&json!({"cniVersion": "1.0.0", "name": "cluster", "plugins": [
            {"type": "fake", "capabilities": {"portMappings": true}},
        ]}));
        node
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes the primary network's configuration.
    fn primary(&self, config: &Value) {
        let dir = self.path("net.d");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("10-cluster.conflist"), config.to_string()).unwrap();
    }

    /// Starts an agent that answers so to every request.
    fn agent(&self, resolved: Answer, reported: Answer) {
        let listener = UnixListener::bind(self.path("agent.sock")).unwrap();
        let asked = Arc::clone(&self.asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut header = [0; HEADER_BYTES];
                stream.read_exact(&mut header).unwrap();
                let mut body = vec![0; request_length(header).unwrap()];
                stream.read_exact(&mut body).unwrap();
                let request = decode_request(&body).unwrap();
                let answer = match &request {
                    Asking::Resolve(_) => &resolved,
                    Asking::Report(_) => &reported,
                };
                asked.lock().unwrap().push(request);
                stream.write_all(&encode_answer(answer).unwrap()).unwrap();
            }
        });
    }

    fn agent_with(&self, resolved: &Value) {
        let resolved: Resolved = serde_json::from_value(resolved.clone()).unwrap();
        let reported = Reported { written: Written::Written, reason: None };
        self.agent(Answer::Resolved(Box::new(resolved)), Answer::Reported(reported));
    }

    fn with<T>(&self, act: impl FnOnce(&Meta, &Delegates<'_>) -> T) -> T {
        let meta = Meta {
            records: Records::new(&self.path("lib"), &self.path("run")),
            device_info: DeviceInfoFiles::new(&self.path("devinfo")),
            agent: Client::new(self.path("agent.sock")),
            was_ready: self.path("was-ready"),
        };
        let plugins: [&dyn Plugin; 1] = [&self.plugin];
        act(&meta, &Delegates::new(&plugins, Lookup::PathThenBuiltin))
    }

    /// The meta-plugin's configuration, with these keys.
    fn config(&self, keys: &Value) -> NetConf {
        let mut config = json!({
            "name": "all", "type": "podbond", "cniVersion": "1.1.0",
            "clusterNetwork": self.path("net.d/10-cluster.conflist"),
        });
        config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        NetConf::parse(config.to_string().as_bytes()).unwrap()
    }

    fn request(&self, namespace: &str, keys: &Value) -> Request {
        let args = [
            ("K8S_POD_NAMESPACE", namespace),
            ("K8S_POD_NAME", "p"),
            ("IP", "10.0.0.9"),
            ("TENANT", "t"),
        ];
        Request {
            container_id: "c1".to_owned().try_into().unwrap(),
            netns: Some(self.path("netns")),
            ifname: "eth0".parse().unwrap(),
            args: Args(args.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            path: Vec::new(),
            config: self.config(keys),
        }
    }

    fn add(&self, keys: &Value) -> Result<CniResult, Failure> {
        self.add_in("demo", keys)
    }

    fn add_in(&self, namespace: &str, keys: &Value) -> Result<CniResult, Failure> {
        self.with(|meta, delegates| meta.add(&self.request(namespace, keys), delegates))
    }

    fn del(&self) -> Result<(), Failure> {
        self.with(|meta, delegates| meta.del(&self.request("demo", &json!({})), delegates))
    }

    fn status(&self, keys: &Value) -> Result<(), Failure> {
        let path = vec![self.path("bin")];
        let request = NodeRequest::status(path, self.config(keys));
        self.with(|meta, delegates| meta.status(&request, delegates))
    }

    /// Returns the calls of the plugin since the last one of this, as `ADD net1 network`.
    fn calls(&self) -> Vec<String> {
        let calls = std::mem::take(&mut *self.plugin.calls.lock().unwrap());
        let shown = calls.into_iter().map(|(command, request)| {
            format!("{command} {} {}", request.ifname, request.config.name)
        });
        shown.collect()
    }

    /// Returns the requests of the plugin's calls.
    fn requests(&self) -> Vec<Request> {
        self.plugin.calls.lock().unwrap().iter().map(|(_, request)| request.clone()).collect()
    }
}

/// Promise: cluster-chain
#[test]
fn pod_is_attached_to_what_the_agent_answers() {
    let node = Node::new();
    let mac = "02:00:00:00:00:07";
    node.agent_with(&answer(&format!(
        r#"[{{"name": "vf"}}, {{"name": "vf", "mac": "{mac}", "ips": ["10.1.0.5/24"]}},
            {{"name": "plain", "interface": "x", "bandwidth": {{"ingressRate": 8}}}}]"#
    )));
    let ports = json!([{"hostPort": 80, "containerPort": 8080}]);
    let runtime = json!({"portMappings": ports, "bandwidth": {"ingressRate": 1}});
    let result = node.add(&json!({"runtimeConfig": runtime})).unwrap();
    assert_eq!(result.interfaces[0].name, "eth0");
    let requests = node.requests();
    assert_eq!(node.calls(), ["ADD eth0 cluster", "ADD net1 vf", "ADD net2 vf", "ADD x plain"]);
    let of = |key: &str| -> Vec<Value> {
        requests.iter().map(|it| it.config.get(key).cloned().unwrap_or_default()).collect()
    };
    assert_eq!(of("deviceID"), [Value::Null, VFS[0].into(), VFS[1].into(), Value::Null]);
    // The runtime's for all, each plugin what it declares, and over it the pod's own.
    let own = json!({"portMappings": ports, "bandwidth": {"ingressRate": 8}});
    assert_eq!(
        of("runtimeConfig"),
        [json!({"portMappings": ports}), Value::Null, Value::Null, own]
    );
    let args: Vec<[Option<&str>; 4]> = requests
        .iter()
        .map(|it| ["IP", "MAC", "TENANT", "K8S_POD_UID"].map(|key| it.args.get(key)))
        .collect();
    let (tenant, uid) = (Some("t"), Some("u-1"));
    assert_eq!(args[0], [Some("10.0.0.9"), None, tenant, uid]);
    assert_eq!(args[1], [None, None, tenant, uid]);
    assert_eq!(args[2], [Some("10.1.0.5/24"), Some(mac), tenant, uid]);

    let asked = node.asked.lock().unwrap().clone();
    let [Asking::Resolve(resolve), Asking::Report(report)] = &asked[..] else {
        panic!("{asked:?}")
    };
    assert_eq!(resolve.default_network_namespace.as_str(), "kube-system");
    assert_eq!(resolve.configured, []);
    assert_eq!((report.container_id.as_str(), report.pod.uid.is_some()), ("c1", true));

    // The agent is gone: DEL and CHECK need the records alone.
    fs::remove_file(node.path("agent.sock")).unwrap();
    let start = Instant::now();
    let request = node.request("demo", &json!({}));
    node.with(|meta, delegates| meta.check(&request, delegates)).unwrap();
    node.calls();
    node.del().unwrap();
    let expected = ["DEL x plain", "DEL net2 vf", "DEL net1 vf", "DEL eth0 cluster"];
    assert_eq!(node.calls(), expected);
    assert!(start.elapsed() < Duration::from_secs(2));
}

/// Promise: multus-pod-deleted
#[test]
fn pod_of_multus_is_deleted_by_its_file() {
    let node = Node::new();
    let config =
        |name: &str| json!({"cniVersion": "1.0.0", "name": name, "type": "fake"}).to_string();
    let delegate = |name: &str| json!({"Name": "", "Bytes": STANDARD.encode(config(name))});
    let file = node.path("multus/c1");
    let result = node.path("multus/results/b-c1-net1");
    fs::create_dir_all(node.path("multus/results")).unwrap();
    let with_ips = json!({"result": {"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.2/24"}]}});
    fs::write(&result, with_ips.to_string()).unwrap();
    fs::write(&file, json!([delegate("a"), delegate("b")]).to_string()).unwrap();
    let del = || {
        let request = node.request("demo", &json!({"cniDir": node.path("multus")}));
        node.with(|meta, delegates| meta.del(&request, delegates)).unwrap();
    };
    del();
    let requests = node.requests();
    assert_eq!(node.calls(), ["DEL net1 b", "DEL eth0 a"]);
    let previous = requests[0].config.prev_result.as_ref().unwrap();
    assert_eq!(previous.ips[0].address.to_string(), "10.1.0.2/24");
    assert_eq!(requests[1].config.prev_result, None);
    assert!(!file.exists() && !result.exists());
    // A file that cannot be read is as none.
    fs::write(&file, "[{").unwrap();
    del();
    assert_eq!(node.calls(), ["DEL eth0 cluster"]);
}

/// Promise: no-agent-no-pod
#[test]
fn add_without_an_agent_fails_and_says_what_to_look_at() {
    let node = Node::new();
    let start = Instant::now();
    let failure = node.add(&json!({})).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(failure.code, Code::TRY_AGAIN);
    for part in
        ["pod demo/p: podbond-agent does not answer at ", "kubectl -n podbond-system get pods"]
    {
        assert!(failure.msg.contains(part), "{failure}");
    }
    assert_eq!(node.calls(), [""; 0]);
    // DEL of what is not recorded goes by the configuration.
    node.del().unwrap();
    assert_eq!(node.calls(), ["DEL eth0 cluster"]);
}

/// Promise: no-agent-no-pod
#[test]
fn what_the_agent_refuses_is_never_a_success() {
    for (reason, code) in [
        (RefusalReason::NotReady, Code::TRY_AGAIN),
        (RefusalReason::NoPod, Code::INVALID_ENVIRONMENT),
        (RefusalReason::OtherPod, Code::INVALID_ENVIRONMENT),
        (RefusalReason::NoNad, Code::INVALID_CONFIG),
        (RefusalReason::ResourceClaim, Code::INVALID_CONFIG),
        (RefusalReason::Version, Code::NOT_AVAILABLE),
        (RefusalReason::Other, Code::TRY_AGAIN),
    ] {
        let node = Node::new();
        let refused = || Answer::Refused(Refusal { reason, message: "because".to_owned() });
        node.agent(refused(), refused());
        let failure = node.add(&json!({})).unwrap_err();
        assert_eq!((failure.code, failure.msg.as_str()), (code, "pod demo/p: because"));
        assert_eq!(node.calls(), [""; 0]);
    }
}

#[test]
fn nad_or_device_that_is_missing_refuses_the_pod_before_anything_is_made() {
    for (networks, part) in [
        (
            "vf, absent",
            "NetworkAttachmentDefinition absent in namespace demo, which does not exist",
        ),
        ("vf, vf, vf", "net3 (demo/vf) needs a device of openshift.io/nic, the pod has 2 of it"),
        ("a b", "annotation k8s.v1.cni.cncf.io/networks element 1"),
    ] {
        let node = Node::new();
        node.agent_with(&answer(networks));
        let failure = node.add(&json!({})).unwrap_err();
        assert!(failure.msg.contains(part), "{failure}");
        assert_eq!(node.calls(), [""; 0]);
    }
}

#[test]
fn status_that_is_not_written_yet_does_not_fail_add() {
    let resolved = || Answer::Resolved(Box::new(serde_json::from_value(answer("")).unwrap()));
    for reported in [
        Answer::Reported(Reported { written: Written::Deferred, reason: Some("API".to_owned()) }),
        Answer::Refused(Refusal { reason: RefusalReason::Other, message: "API".to_owned() }),
    ] {
        let node = Node::new();
        node.agent(resolved(), reported);
        node.add(&json!({})).unwrap();
        let pod = node.request("demo", &json!({})).pod().unwrap();
        let line = report(&Client::new(node.path("agent.sock")), &pod, "c1").unwrap();
        let expected =
            "pod demo/p: network-status is not in the API yet, podbond-agent writes it later: API";
        assert_eq!(line, expected);
    }
}

/// Promise: multus-configuration
#[test]
fn networks_of_every_pod_are_by_file_by_folder_and_by_nad() {
    let node = Node::new();
    node.agent_with(&answer("plain"));
    let more = node.path("more");
    fs::create_dir_all(&more).unwrap();
    fs::write(more.join("b.conf"), r#"{"name": "second", "type": "fake"}"#).unwrap();
    let named = r#"{"name": "Named_net", "type": "fake"}"#;
    fs::write(more.join("c.conf"), named).unwrap();
    let keys = json!({
        "clusterNetwork": node.path("net.d/"), "confDir": more,
        "defaultNetworks": ["plain", "Named_net", node.path("more/")],
    });
    node.add(&keys).unwrap();
    let expected = [
        "ADD eth0 cluster",
        "ADD net1 plain",
        "ADD net2 Named_net",
        "ADD net3 second",
        "ADD net4 plain",
    ];
    assert_eq!(node.calls(), expected);
    let Asking::Resolve(resolve) = node.asked.lock().unwrap()[0].clone() else { panic!() };
    let configured: Vec<String> = resolve.configured.iter().map(ToString::to_string).collect();
    assert_eq!(configured, ["kube-system/plain"]);
    node.del().unwrap();
    node.calls();
    // As a thick Multus' daemon sees the node.
    let in_container = format!("/host{}", node.path("net.d/10-cluster.conflist").display());
    node.add(&json!({"clusterNetwork": in_container})).unwrap();
    assert_eq!(node.calls(), ["ADD eth0 cluster", "ADD net1 plain"]);
    node.del().unwrap();
    node.calls();
    // A pod of a system namespace has the first one alone.
    node.add_in("kube-system", &keys).unwrap();
    assert_eq!(node.calls()[0], "ADD eth0 cluster");
    let Some(Asking::Resolve(resolve)) = node.asked.lock().unwrap().get(4).cloned() else {
        panic!()
    };
    assert_eq!(resolve.configured, []);
}

#[test]
fn network_of_the_configuration_that_is_not_there_is_named() {
    for (keys, code, part) in [
        (
            json!({"clusterNetwork": "/nonexistent/net"}),
            Code::TRY_AGAIN,
            "clusterNetwork names \"/n",
        ),
        (
            json!({"defaultNetworks": ["absent"]}),
            Code::INVALID_CONFIG,
            "field defaultNetworks names network \"absent\", and there is neither",
        ),
    ] {
        let node = Node::new();
        node.agent_with(&answer(""));
        let failure = node.add(&keys).unwrap_err();
        assert!(failure.code == code && failure.msg.contains(part), "{failure}");
        assert_eq!(node.calls(), [""; 0]);
    }
}

/// Promise: namespace-isolation
#[test]
fn isolated_pod_names_no_nad_of_others() {
    let isolated = json!({"namespaceIsolation": true});
    let with_global = json!({"namespaceIsolation": true, "globalNamespaces": "other"});
    for (networks, default, keys, is_allowed) in [
        ("plain", None, &isolated, true),
        ("other/plain", None, &isolated, false),
        ("other/plain", None, &with_global, true),
        ("other/plain", None, &json!({}), true),
        ("", Some("plain"), &isolated, true),
        ("", Some("other/plain"), &isolated, false),
    ] {
        let node = Node::new();
        let mut answer = answer(networks);
        answer["annotations"]["defaultNetwork"] = json!(default);
        node.agent_with(&answer);
        match (node.add(keys), is_allowed) {
            (Ok(_), true) => {}
            (Err(failure), false) => {
                let part =
                    "asks for NetworkAttachmentDefinition other/plain, and namespaceIsolation";
                assert!(failure.msg.contains(part), "{failure}");
            }
            (outcome, _) => panic!("{networks} {default:?}: {outcome:?}"),
        }
    }
}

#[test]
fn default_network_of_the_annotation_takes_the_place_of_the_primary() {
    let node = Node::new();
    let mut answer = answer("plain");
    answer["annotations"]["defaultNetwork"] = "plain".into();
    node.agent_with(&answer);
    node.add(&json!({})).unwrap();
    assert_eq!(node.calls(), ["ADD eth0 plain", "ADD net1 plain"]);
}

#[test]
fn readiness_file_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ready");
    let late = file.clone();
    let writer = thread::spawn(move || {
        sleep(Duration::from_millis(100));
        fs::write(late, "").unwrap();
    });
    wait_for(&file, Duration::from_secs(20)).unwrap();
    writer.join().unwrap();
    let failure = wait_for(&dir.path().join("absent"), Duration::from_millis(10)).unwrap_err();
    assert!(failure.code == Code::TRY_AGAIN && failure.msg.starts_with("readinessindicatorfile"));
}

/// Promise: status-in-a-cluster
#[test]
fn status_fails_until_the_agent_was_ready_once() {
    let node = Node::new();
    let failure = node.status(&json!({})).unwrap_err();
    assert_eq!(failure.code, Code::NOT_AVAILABLE);
    assert!(failure.msg.starts_with("podbond-agent was not ready since this node"), "{failure}");
    fs::write(node.path("was-ready"), "").unwrap();
    // No agent listens.
    let start = Instant::now();
    node.status(&json!({})).unwrap();
    node.status(&json!({"clusterNetwork": "a-nad"})).unwrap();
    let failure = node.status(&json!({"clusterNetwork": "/nonexistent/net"})).unwrap_err();
    assert!(failure.code == Code::NOT_AVAILABLE, "{failure}");
    assert!(start.elapsed() < Duration::from_secs(1));
}

/// Promise: status-in-a-cluster
#[test]
fn status_of_the_primary_network_is_asked_for_a_second() {
    let node = Node::new();
    fs::write(node.path("was-ready"), "").unwrap();
    node.primary(&json!({"cniVersion": "1.1.0", "name": "cluster", "type": "slow"}));
    let program = node.path("bin/slow");
    fs::create_dir_all(node.path("bin")).unwrap();
    for (script, part) in [
        ("#!/bin/sh\necho '{\"code\": 50, \"msg\": \"no controller\"}'; exit 1\n", "no controller"),
        ("#!/bin/sh\nexec sleep 30\n", "it did not end within "),
    ] {
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let start = Instant::now();
        let failure = node.status(&json!({})).unwrap_err();
        assert_eq!(failure.code, Code::NOT_AVAILABLE);
        assert!(failure.msg.contains(part), "{failure}");
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
