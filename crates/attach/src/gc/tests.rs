use podbond_cni::Code;

use super::*;
use crate::Sandbox;
use crate::testing::{Fault, Node};

fn chain(delegates: &Value) -> Chain {
    Chain::delegated(delegates.as_array().unwrap(), &"eth0".parse().unwrap()).unwrap()
}

/// Networks a, b and c, of which c knows no GC, and d that wants none.
fn networks() -> Value {
    json!([
        {"name": "a", "type": "one", "cniVersion": "1.1.0"},
        {"name": "b", "cniVersion": "1.1.0", "plugins": [{"type": "two"}, {"type": "three"}]},
        {"name": "c", "type": "one", "cniVersion": "1.0.0"},
        {"name": "d", "cniVersion": "1.1.0", "disableGC": true, "plugins": [{"type": "one"}]},
    ])
}

/// GC of the runtime's network `all`, which has the pods of these containers.
fn gc(node: &Node, delegates: &Value, containers: &[&str]) -> Vec<String> {
    let valid: Vec<Value> =
        containers.iter().map(|id| json!({"containerID": id, "ifname": "eth0"})).collect();
    let config = json!({
        "cniVersion": "1.1.0", "name": "all", "type": "podbond", VALID: valid,
    });
    let config = NetConf::parse(config.to_string().as_bytes()).unwrap();
    let request = NodeRequest::gc(Vec::new(), config).unwrap();
    let failures = node.with(|attacher| attacher.gc(&request, &chain(delegates)));
    failures.into_iter().map(|failure| failure.msg).collect()
}

fn of_runtime(node: &Node, id: &str) -> Sandbox {
    Sandbox { meta_network: Some("all".to_owned()), ..node.sandbox(id) }
}

/// Promise: gc-forwarded
#[test]
fn plugins_are_called_with_what_is_valid_of_their_network() {
    let node = Node::new();
    assert_eq!(gc(&node, &networks(), &["c1", "c2"]), [""; 0]);
    let calls =
        ["GC a one c1/eth0 c2/eth0", "GC b two c1/net1 c2/net1", "GC b three c1/net1 c2/net1"];
    assert_eq!(node.script.take(), calls);
    assert_eq!(gc(&node, &networks(), &[]), [""; 0]);
    assert_eq!(node.script.take(), ["GC a one", "GC b two", "GC b three"]);
}

/// Promise: gc-forwarded
#[test]
fn network_that_is_there_twice_is_one() {
    let node = Node::new();
    let a = json!({"name": "a", "type": "one", "cniVersion": "1.1.0"});
    assert_eq!(gc(&node, &json!([a, a]), &["c1"]), [""; 0]);
    assert_eq!(node.script.take(), ["GC a one c1/eth0 c1/net1"]);
}

/// Promise: gc-forwarded
#[test]
fn pods_that_the_runtime_does_not_know_are_valid() {
    let node = Node::new();
    node.add(&node.sandbox("applied"), &chain(&networks())).unwrap();
    node.script.take();
    assert_eq!(gc(&node, &networks(), &["c1"]), [""; 0]);
    let calls = [
        "GC a one applied/eth0 c1/eth0",
        "GC b two applied/net1 c1/net1",
        "GC b three applied/net1 c1/net1",
    ];
    assert_eq!(node.script.take(), calls);
    assert_eq!(node.records().len(), 4);
}

/// Promise: gc-forwarded
#[test]
fn pod_that_the_runtime_has_given_up_is_deleted() {
    let node = Node::new();
    let [kept, gone] = ["kept", "gone"].map(|id| of_runtime(&node, id));
    // Of a configuration that had more networks.
    let earlier = json!([
        {"name": "a", "type": "one", "cniVersion": "1.1.0"},
        {"name": "x", "type": "two", "cniVersion": "1.1.0"},
    ]);
    node.add(&kept, &chain(&earlier)).unwrap();
    node.add(&gone, &chain(&earlier)).unwrap();
    node.script.take();
    let now = json!([{"name": "a", "type": "one", "cniVersion": "1.1.0"}]);
    assert_eq!(gc(&node, &now, &["kept"]), [""; 0]);
    // Not GC of x: only leases that are recorded are known to be of it.
    let calls = ["DEL net1 two", "DEL eth0 one", "GC a one kept/eth0"];
    assert_eq!(node.script.take(), calls);
    assert!(node.records().iter().all(|record| record.container_id == kept.container_id));
}

/// Promise: gc-forwarded
#[test]
fn gc_goes_on_past_errors_and_reports_them() {
    let node = Node::new();
    node.add(&of_runtime(&node, "gone"), &chain(&networks())).unwrap();
    node.script.fault("DEL net1 three", Fault::Fails(Code::TRY_AGAIN));
    node.script.fault("GC a one", Fault::Fails(Code::TRY_AGAIN));
    node.script.take();
    let failures = gc(&node, &networks(), &[]);
    assert_eq!(failures.len(), 2, "{failures:?}");
    assert!(failures[0].contains("DEL net1 three fails by request"), "{failures:?}");
    assert!(failures[1].contains("GC a one fails by request"), "{failures:?}");
    let calls = node.script.take();
    assert_eq!(calls[calls.len() - 3..], ["GC a one", "GC b two", "GC b three"]);
}
