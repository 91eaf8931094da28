use podbond_cni::{Args, NetConf};
use serde_json::{Value, json};

use super::*;

fn request(delegates: &Value) -> Request {
    let config = json!({"name": "all", "type": "podbond", "delegates": delegates}).to_string();
    let args = [("K8S_POD_NAMESPACE", "demo"), ("K8S_POD_NAME", "bondpod1")];
    Request {
        container_id: "c1".to_owned().try_into().unwrap(),
        netns: None,
        ifname: "eth0".parse().unwrap(),
        args: Args(args.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        path: Vec::new(),
        config: NetConf::parse(config.as_bytes()).unwrap(),
    }
}

fn record(ifname: &str) -> Record {
    serde_json::from_value(json!({
        "containerId": "c1", "ifname": ifname, "state": "active", "network": "n",
    }))
    .unwrap()
}

/// Promise: check-missing-record
#[test]
fn networks_without_a_record_differ() {
    let both = request(&json!([{"name": "a", "type": "bond"}, {"name": "b", "type": "sriov"}]));
    let missed = |request: &Request, records: &[Record]| {
        let failures = unrecorded(request, records);
        assert!(failures.iter().all(|failure| failure.code == Code::DIFFERS));
        failures.into_iter().map(|failure| failure.msg).collect::<Vec<_>>()
    };
    let lost = "nothing is recorded of it, so that nothing can be compared: make the pod anew";
    let (eth0, net1) = ("interface eth0 for network a", "interface net1 for network b");
    let of_pod = |what: &str| format!("pod demo/bondpod1: {what}: {lost}");
    assert_eq!(missed(&both, &[]), [of_pod(eth0), of_pod(net1)]);
    assert_eq!(missed(&both, &[record("eth0")]), [of_pod(net1)]);
    assert_eq!(missed(&both, &[record("net1"), record("eth0")]), [""; 0]);
    // The records name what was attached, whatever the configuration has become.
    let none = request(&json!([]));
    assert_eq!(missed(&none, &[record("eth0")]), [""; 0]);
    assert_eq!(missed(&none, &[]), [format!("container c1: {lost}")]);
}
