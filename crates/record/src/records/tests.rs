use std::fs;
use std::os::unix::fs::symlink;

use podbond_cni::{Args, NetConf, Request};
use podbond_kernel::{NetnsIdentity, Step, VfSettings};
use serde_json::{Value, json};

use super::*;
use crate::{Begun, ChainPart, Holder, LinkPart};

/// Records as version 1 writes them: every later version reads them.
const VERSION_1: [(&str, &str); 4] = [
    ("net3 of pod demo/bondpod1", include_str!("../../v1/bond.json")),
    ("net1 of container c1", include_str!("../../v1/sriov.json")),
    ("net1 of pod demo/bondpod1", include_str!("../../v1/chain.json")),
    ("net3 of pod demo/bondpod1", include_str!("../../v1/ipam-pending.json")),
];

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
        default_network: None,
        meta_network: None,
        resource: None,
        device: None,
        device_info: None,
        configs: Vec::new(),
        args: Args::default(),
        called: 1,
        so_far: None,
        result: None,
    }
}

/// Promise: record-version-1
#[test]
fn records_of_version_1_are_read() {
    for (shown, text) in VERSION_1 {
        let record = parse(text.as_bytes()).unwrap();
        assert_eq!(record.to_string(), shown);
        let again = to_bytes(&record).unwrap();
        let (again, expected): (Value, Value) =
            (serde_json::from_slice(&again).unwrap(), serde_json::from_str(text).unwrap());
        assert_eq!(again, expected);
    }
    let [bond, sriov, chain, pending] = VERSION_1.map(|(_, text)| parse(text.as_bytes()).unwrap());
    assert!(bond.has_ipam() && bond.holds("0000:03:10.0".parse().unwrap()));
    assert!(!sriov.has_ipam() && sriov.claims_its_vf());
    assert_eq!(chain.network_name(), "demo/sriovnet1");
    assert!(pending.has_ipam() && pending.is_orphan());
}

#[test]
fn links_of_version_1_are_read() {
    #[derive(Deserialize)]
    struct Bond {
        steps: Vec<Step>,
    }
    #[derive(Deserialize)]
    struct Vf {
        settings: VfSettings,
    }
    let node = Node::new();
    let [bond, sriov] = [VERSION_1[0], VERSION_1[1]].map(|(_, text)| {
        let record = parse(text.as_bytes()).unwrap();
        Record { netns: Some(node.netns(true)), ..record }
    });
    let steps = bond.link::<Bond>("bond").unwrap().steps;
    let kinds: Vec<&str> = steps.iter().map(Step::kind).collect();
    assert_eq!(kinds, ["set-state", "add-bond", "enslave"]);
    let settings = sriov.link::<Vf>("sriov").unwrap().settings;
    assert_eq!((settings.vlan, settings.trust), (Some(0), Some(false)));
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

/// Promise: del-damaged-state
#[test]
fn unreadable_files_hide_no_record() {
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
    assert!(problems[2].starts_with("has version 2, and this podbond reads 1 alone"));
    assert_eq!(problems[3], "is that of net3 of container c1");
    let attachments: Vec<bool> = unreadable.iter().map(|it| it.attachment.is_some()).collect();
    assert_eq!(attachments, [true, true, true, true, false]);
    let torn = request("c3", &json!({}));
    let torn = Attachment { container_id: torn.container_id, ifname: torn.ifname };
    assert!(matches!(node.records.read(&torn).unwrap(), Stored::Unreadable(_)));
    let begun: Result<Begun, Error> =
        node.records.begin(&request("c3", &json!({})), node.netns(true), |_| panic!("no DEL"));
    assert_eq!(begun.unwrap().of_chain, None);
}

/// Promise: added-again
#[test]
fn add_begins_by_the_earlier_record() {
    let node = Node::new();
    let alive = node.record("c1", &json!({"type": "host-local"}));
    let over = Record { netns: Some(node.netns(false)), ..alive.clone() };
    let mut pending = alive.clone();
    pending.set_ipam_pending("down");
    let mut of_another_plugin = over.clone();
    let config = br#"{"cniVersion": "1.0.0", "name": "n", "type": "sriov"}"#;
    of_another_plugin.add.as_mut().unwrap().config = NetConf::parse(config).unwrap();
    let in_chain = Record { add: None, chain: Some(chain()), ..alive.clone() };
    // Whether ADD begins, whether the earlier attachment is deleted first, and what the chain's maker wrote.
    let cases = vec![
        (None, true, false, None),
        (Some(alive), false, false, None),
        (Some(of_another_plugin), false, false, None),
        (Some(over), true, true, None),
        (Some(pending), true, true, None),
        (Some(in_chain.clone()), true, false, Some(in_chain)),
    ];
    for (earlier, begins, is_deleted, of_chain) in cases {
        let add = request("c1", &json!({"type": "host-local"}));
        if let Some(earlier) = &earlier {
            node.records.write(earlier).unwrap();
        }
        let mut deleted = false;
        let begun: Result<Begun, Error> = node.records.begin(&add, node.netns(true), |del| {
            deleted = true;
            node.records.remove(&del.attachment())
        });
        assert_eq!(deleted, is_deleted, "{earlier:?}");
        match begun {
            Ok(begun) => assert_eq!((true, begun.of_chain), (begins, of_chain)),
            Err(error) => assert!(!begins && matches!(error, Error::AlreadyAdded { .. })),
        }
        node.records.remove(&add.attachment()).unwrap();
    }
}

/// Promise: failed-add-leaves-nothing
#[test]
fn failed_add_leaves_the_record_of_its_chain_or_a_pending_lease() {
    let node = Node::new();
    let add = request("c1", &json!({"type": "dhcp"}));
    let attachment = add.attachment();
    let add_to_fail = || {
        let begun: Result<Begun, Error> = node.records.begin(&add, node.netns(true), |_| Ok(()));
        let mut begun = begun.unwrap();
        begun.record.link = Some(LinkPart::new("bond", &json!({"steps": []})).unwrap());
        node.records.write(&begun.record).unwrap();
        begun
    };
    node.records.end_failed_add(add_to_fail(), None);
    assert_eq!(node.records.read(&attachment).unwrap(), Stored::Missing);
    let chain = Some(ChainPart { configs: vec![add.config.clone()], ..chain() });
    let in_chain = Record { add: None, chain, ..node.record("c1", &json!({})) };
    node.records.write(&in_chain).unwrap();
    node.records.end_failed_add(add_to_fail(), None);
    let begun: Result<Begun, Error> = node.records.begin(&add, node.netns(true), |_| Ok(()));
    assert_eq!(begun.unwrap().of_chain, Some(in_chain));
    node.records.remove(&attachment).unwrap();
    node.records.end_failed_add(add_to_fail(), Some("down"));
    let error = node.records.expect_lease_released(&attachment).unwrap_err();
    assert!(error.to_string().contains("the lease of net3 of container c1 is pending"), "{error}");
}

/// Promise: lease-pending
#[test]
fn pending_lease_stays_recorded() {
    let node = Node::new();
    let mut record = node.record("c1", &json!({"type": "dhcp"}));
    let device = "0000:02:10.0".parse().unwrap();
    record.devices = vec![device];
    record.link = Some(LinkPart::new("bond", &json!({"steps": []})).unwrap());
    node.records.write(&record).unwrap();
    assert_eq!(node.records.holding(device).unwrap(), [record.clone()]);
    node.records.end_plugin(record.clone(), Some("down:\n timeout")).unwrap();
    let Stored::Whole(pending) = node.records.read(&record.attachment()).unwrap() else {
        panic!("it is gone")
    };
    assert_eq!(pending.ipam_problem.as_deref(), Some("down: / timeout"));
    assert_eq!((pending.state, &pending.link), (State::IpamPending, &None));
    assert!(pending.is_orphan());
    assert_eq!(node.records.holding(device).unwrap(), []);
    let del = pending.del(&["/opt/cni/bin".into()]).unwrap();
    assert_eq!((del.config.ipam.as_deref(), del.netns.is_some()), (Some("dhcp"), true));
    node.records.end_plugin(*pending, None).unwrap();
    assert_eq!(node.records.all().unwrap(), (Vec::new(), Vec::new()));
}

#[test]
fn end_plugin_keeps_the_record_of_a_chain() {
    let node = Node::new();
    let record = Record { chain: Some(chain()), ..node.record("c1", &json!({"type": "dhcp"})) };
    let attachment = record.attachment();
    node.records.write(&record).unwrap();
    node.records.end_plugin(record.clone(), None).unwrap();
    assert_eq!(node.records.read(&attachment).unwrap(), Stored::Whole(Box::new(record.clone())));
    node.records.end_plugin(record, Some("down")).unwrap();
    node.records.end_chain(&attachment).unwrap();
    let Stored::Whole(pending) = node.records.read(&attachment).unwrap() else {
        panic!("it is gone")
    };
    assert_eq!((pending.state, &pending.chain), (State::IpamPending, &None));
    node.records.end_plugin(*pending, None).unwrap();
    assert_eq!(node.records.read(&attachment).unwrap(), Stored::Missing);
}

/// Promise: del-after-reboot, podbond-gc-after-reboot
#[test]
fn earlier_boot_voids_the_links_alone() {
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
fn records_of_a_container_are_in_chain_order() {
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

/// Promise: namespace-unknown
#[test]
fn holder_is_by_record_and_claim() {
    let node = Node::new();
    let device = "0000:02:10.0".parse().unwrap();
    let claim = node.netns(true).path;
    let other = node.dir.path().join("other");
    symlink("/proc/self/ns/net", &other).unwrap();
    let mut record = node.record("c1", &json!({}));
    record.devices = vec![device];
    let holder = |claim: Option<&Path>| node.records.holder(device, claim).unwrap();
    node.records.write(&record).unwrap();
    // Before its plugin claims it.
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
