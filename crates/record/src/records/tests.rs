use std::fs;
use std::os::unix::fs::symlink;

use podbond_cni::{Args, NetConf, Request};
use podbond_kernel::NetnsIdentity;
use serde_json::{Value, json};

use super::*;
use crate::{ChainPart, Holder, LinkPart};

/// A record as version 1 writes it: every later version reads it.
const V1: &str = r#"{"version":1,"containerId":"c1","ifname":"net3","state":"active","begun":1700000000,
    "pod":{"namespace":"demo","name":"bondpod1","uid":"u-1"},"network":"bond-net1",
    "netns":{"path":"/run/netns/p1","boot":"b-1","device":4,"inode":4026532000,"cookie":17},
    "devices":["0000:02:10.0","0000:03:10.0"],
    "add":{"config":{"cniVersion":"1.0.0","name":"bond-net1","type":"bond","ipam":{"type":"host-local"}},
        "args":{"K8S_POD_NAME":"bondpod1"},"path":["/opt/cni/bin"],
        "result":{"cniVersion":"1.1.0","ips":[{"address":"10.56.217.2/24"}]}},
    "link":{"plugin":"bond","data":{"steps":[]}},
    "chain":{"position":2,"nad":"demo/bond-net1","resource":"pf1",
        "device":"0000:02:10.0","configs":[{"name":"bond-net1","type":"bond"}],"args":{},"called":1},
    "ipamProblem":"the server is away"}"#;

struct Node {
    dir: tempfile::TempDir,
    records: Records,
}

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(&dir.path().join("lib"), &dir.path().join("run"));
        Self { dir, records }
    }

    /// A namespace that is alive, and one of an earlier boot.
    fn netns(&self, is_alive: bool) -> NetnsIdentity {
        let path = self.dir.path().join("netns");
        if !path.is_symlink() {
            symlink("/proc/self/ns/net", &path).unwrap();
        }
        let mut netns = serde_json::to_value(NetnsIdentity::of(&path).unwrap()).unwrap();
        if !is_alive {
            netns["boot"] = json!("earlier");
        }
        serde_json::from_value(netns).unwrap()
    }

    fn record(&self, container: &str, ipam: &Value) -> Record {
        Record::of_add(&request(container, ipam), self.netns(true))
    }
}

fn request(container: &str, ipam: &Value) -> Request {
    let config = json!({"cniVersion": "1.0.0", "name": "n", "type": "bond", "ipam": ipam});
    Request {
        container_id: ContainerId::try_from(container.to_owned()).unwrap(),
        netns: None,
        ifname: "net3".parse().unwrap(),
        args: Args::default(),
        path: Vec::new(),
        config: NetConf::parse(config.to_string().as_bytes()).unwrap(),
    }
}

fn chain() -> ChainPart {
    ChainPart {
        position: 0,
        nad: None,
        resource: None,
        device: None,
        configs: Vec::new(),
        args: Args::default(),
        called: 1,
        so_far: None,
        result: None,
    }
}

#[test]
fn version_1_is_read() {
    let record = parse(V1.as_bytes()).unwrap();
    assert_eq!(record.to_string(), "net3 of pod demo/bondpod1");
    assert!(record.has_ipam() && record.holds("0000:03:10.0".parse().unwrap()));
    assert_eq!(record.network_name(), "demo/bond-net1");
    let again: Value = serde_json::from_slice(&to_bytes(&record, Path::new("r")).unwrap()).unwrap();
    let mut expected: Value = serde_json::from_str(V1).unwrap();
    // Written in full.
    expected["add"]["result"] = again["add"]["result"].clone();
    assert_eq!(again, expected);
}

#[test]
fn record_with_ipam_outlives_the_kernel() {
    let node = Node::new();
    for (container, ipam, dir) in
        [("c1", json!({"type": "host-local"}), "lib"), ("c2", json!({}), "run")]
    {
        let record = node.record(container, &ipam);
        node.records.write(&record).unwrap();
        let file = node.dir.path().join(dir).join("attachments").join(format!("{container}:net3"));
        assert!(file.is_file(), "{}", file.display());
        let stored = node.records.read(&record.attachment()).unwrap();
        assert_eq!(stored, Stored::Whole(Box::new(record.clone())));
        node.records.remove(&record.attachment()).unwrap();
        node.records.remove(&record.attachment()).unwrap();
        assert_eq!(node.records.read(&record.attachment()).unwrap(), Stored::Missing);
    }
}

#[test]
fn files_that_say_nothing_are_unreadable_and_hide_no_others() {
    let node = Node::new();
    node.records.write(&node.record("c1", &json!({}))).unwrap();
    let dir = node.dir.path().join("run/attachments");
    let copied = fs::read(dir.join("c1:net3")).unwrap();
    let other_version = r#"{"version": 2, "containerId": "c4"}"#;
    for (name, text) in [
        ("c2:net3", &b""[..]),
        ("c3:net3", b"{\"version\": 1"),
        ("c4:net3", other_version.as_bytes()),
        ("c5:net3", &copied),
        ("c6", b"{}"),
    ] {
        fs::write(dir.join(name), text).unwrap();
    }
    let (records, unreadable) = node.records.all().unwrap();
    assert_eq!(records.len(), 1);
    let problems: Vec<&str> = unreadable.iter().map(|file| file.problem.as_str()).collect();
    assert_eq!(problems.len(), 5, "{problems:?}");
    assert!(problems[2].starts_with("has version 2, of which this podbond knows 1 alone"));
    assert_eq!(problems[3], "is that of net3 of container c1");
    let attachments: Vec<bool> = unreadable.iter().map(|it| it.attachment.is_some()).collect();
    assert_eq!(attachments, [true, true, true, true, false]);
    let torn = request("c3", &json!({}));
    let torn = Attachment { container_id: torn.container_id, ifname: torn.ifname };
    assert!(matches!(node.records.read(&torn).unwrap(), Stored::Unreadable(_)));
    assert_eq!(node.records.room(&torn).unwrap(), Room::Free);
}

#[test]
fn room_is_by_what_is_recorded() {
    let node = Node::new();
    let ipam = json!({"type": "host-local"});
    let alive = node.record("c1", &ipam);
    let over = Record { netns: Some(node.netns(false)), ..alive.clone() };
    let mut pending = alive.clone();
    pending.set_ipam_pending("away");
    let in_chain = Record { add: None, chain: Some(chain()), ..alive.clone() };
    for (record, expected) in [
        (alive.clone(), Room::Taken(Box::new(alive.clone()))),
        (over.clone(), Room::AfterDel(Box::new(over))),
        (pending.clone(), Room::AfterDel(Box::new(pending))),
        (in_chain.clone(), Room::InChain(Box::new(in_chain))),
    ] {
        node.records.write(&record).unwrap();
        assert_eq!(node.records.room(&record.attachment()).unwrap(), expected);
        node.records.remove(&record.attachment()).unwrap();
    }
    assert_eq!(node.records.room(&alive.attachment()).unwrap(), Room::Free);
}

#[test]
fn lease_that_is_not_taken_back_stays_recorded() {
    let node = Node::new();
    let mut record = node.record("c1", &json!({"type": "dhcp"}));
    let device = "0000:02:10.0".parse().unwrap();
    record.devices = vec![device];
    record.link = Some(LinkPart::new("bond", &json!({"steps": []})).unwrap());
    node.records.write(&record).unwrap();
    assert_eq!(node.records.holding(device).unwrap(), [record.clone()]);
    node.records.end_plugin(record.clone(), Some("away:\n timeout")).unwrap();
    let Stored::Whole(pending) = node.records.read(&record.attachment()).unwrap() else {
        panic!("it is gone")
    };
    assert_eq!(pending.ipam_problem.as_deref(), Some("away: / timeout"));
    assert_eq!((pending.state, &pending.link), (State::IpamPending, &None));
    assert!(pending.is_orphan());
    assert_eq!(node.records.holding(device).unwrap(), []);
    let del = pending.del(&["/opt/cni/bin".into()]).unwrap();
    assert_eq!((del.config.ipam.as_deref(), del.netns.is_some()), (Some("dhcp"), true));
    node.records.end_plugin(*pending, None).unwrap();
    assert_eq!(node.records.all().unwrap(), (Vec::new(), Vec::new()));
}

#[test]
fn record_of_a_chain_is_its_makers() {
    let node = Node::new();
    let record = Record { chain: Some(chain()), ..node.record("c1", &json!({"type": "dhcp"})) };
    let attachment = record.attachment();
    node.records.write(&record).unwrap();
    node.records.end_plugin(record.clone(), None).unwrap();
    assert_eq!(node.records.read(&attachment).unwrap(), Stored::Whole(Box::new(record.clone())));
    node.records.end_plugin(record, Some("away")).unwrap();
    node.records.end_chain(&attachment).unwrap();
    let Stored::Whole(pending) = node.records.read(&attachment).unwrap() else {
        panic!("it is gone")
    };
    assert_eq!((pending.state, &pending.chain), (State::IpamPending, &None));
    node.records.end_plugin(*pending, None).unwrap();
    assert_eq!(node.records.read(&attachment).unwrap(), Stored::Missing);
}

#[test]
fn links_of_an_earlier_boot_are_void_and_the_lease_is_not() {
    let node = Node::new();
    let mut record = node.record("c1", &json!({"type": "host-local"}));
    record.link = Some(LinkPart::new("bond", &json!({"n": 1})).unwrap());
    assert_eq!(record.link::<Value>("bond"), Some(json!({"n": 1})));
    assert_eq!(record.link::<Value>("sriov"), None);
    record.netns = Some(node.netns(false));
    assert_eq!(record.link::<Value>("bond"), None);
    assert!(record.is_orphan());
    assert_eq!(record.del(&[]).unwrap().config.ipam.as_deref(), Some("host-local"));
}

#[test]
fn records_of_a_container_are_in_the_order_of_its_chain() {
    let node = Node::new();
    for (container, ifname, position) in [("c1", "net2", 1), ("c1", "net1", 2), ("c11", "net0", 0)]
    {
        let record = Record {
            ifname: ifname.parse().unwrap(),
            chain: Some(ChainPart { position, ..chain() }),
            ..node.record(container, &json!({}))
        };
        node.records.create(&record).unwrap();
        assert!(node.records.create(&record).is_err());
    }
    let container = ContainerId::try_from("c1".to_owned()).unwrap();
    let (records, _) = node.records.of_container(&container).unwrap();
    let names: Vec<&str> = records.iter().map(|record| record.ifname.as_str()).collect();
    assert_eq!(names, ["net2", "net1"]);
}

#[test]
fn holder_of_a_vf_is_told_by_record_and_claim() {
    let node = Node::new();
    let device = "0000:02:10.0".parse().unwrap();
    let claim = node.netns(true).path;
    let other = node.dir.path().join("other");
    symlink("/proc/self/ns/net", &other).unwrap();
    let mut record = node.record("c1", &json!({}));
    record.devices = vec![device];
    let holder = |claim: Option<&Path>| node.records.holder(device, claim).unwrap();
    node.records.write(&record).unwrap();
    // Its plugin has not claimed it yet.
    assert_eq!(holder(None), Some(Holder::Attachment(Box::new(record.clone()))));
    record.link = Some(LinkPart::new("sriov", &json!({})).unwrap());
    node.records.write(&record).unwrap();
    assert_eq!(holder(Some(&claim)), Some(Holder::Attachment(Box::new(record.clone()))));
    assert_eq!(holder(None), None, "another plugin has ended it");
    let circle = node.dir.path().join("circle");
    symlink(&circle, &circle).unwrap();
    assert_eq!(holder(Some(&circle)), Some(Holder::Netns(circle.clone())), "unknown is held");
    record.netns = Some(node.netns(false));
    node.records.write(&record).unwrap();
    assert_eq!(holder(Some(Path::new("no path"))), None);
}
