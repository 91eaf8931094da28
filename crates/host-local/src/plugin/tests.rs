use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;

use podbond_cni::{Args, Lookup, NetConf};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

pub(super) fn net_conf(dir: &Path, extra: &Value) -> NetConf {
    let mut json = json!({
        "cniVersion": "1.1.0", "name": "bond-net1", "type": "bond",
        "ipam": {
            "type": "host-local", "subnet": "10.56.217.0/24", "gateway": "10.56.217.1",
            "routes": [{"dst": "0.0.0.0/0"}], "dataDir": dir,
        },
    });
    json.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    NetConf::parse(json.to_string().as_bytes()).unwrap()
}

pub(super) fn request(dir: &Path, container: &str, extra: &Value) -> Request {
    Request {
        container_id: container.to_owned().try_into().unwrap(),
        netns: None,
        ifname: "net3".parse().unwrap(),
        args: Args::default(),
        path: Vec::new(),
        config: net_conf(dir, extra),
    }
}

pub(super) fn delegates() -> Delegates<'static> {
    Delegates::new(&[], Lookup::PathOnly)
}

/// The plugin, without an index.
fn plugin() -> HostLocal {
    HostLocal::with_indexes("/proc".into())
}

fn add(request: &Request) -> Result<Vec<String>, Failure> {
    let result = plugin().add(request, &delegates())?;
    Ok(result.ips.iter().map(|ip| ip.address.to_string()).collect())
}

/// The names of all files of the network but the lock, in order.
fn files(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path().join("bond-net1")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "lock").collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn the_documented_configuration_gives_address_gateway_and_routes() {
    let dir = tempfile::tempdir().unwrap();
    let result = plugin().add(&request(dir.path(), "c1", &json!({})), &delegates()).unwrap();
    let expected = json!({
        "cniVersion": "1.1.0",
        "ips": [{"address": "10.56.217.2/24", "gateway": "10.56.217.1"}],
        "routes": [{"dst": "0.0.0.0/0"}],
    });
    assert_eq!(result.to_value(podbond_cni::Version::V1_1_0), expected);
    assert_eq!(files(&dir), ["10.56.217.2", "last_reserved_ip.0"]);
}

#[test]
fn addresses_go_on_after_the_last_one_and_not_to_the_one_just_freed() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) =
        (request(dir.path(), "c1", &json!({})), request(dir.path(), "c2", &json!({})));
    assert_eq!(add(&first).unwrap(), ["10.56.217.2/24"]);
    plugin().del(&first, &delegates()).unwrap();
    assert_eq!(add(&second).unwrap(), ["10.56.217.3/24"]);
    assert_eq!(files(&dir), ["10.56.217.3", "last_reserved_ip.0"]);
}

#[test]
fn del_succeeds_when_there_is_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let request = request(&dir.path().join("missing"), "c1", &json!({}));
    plugin().del(&request, &delegates()).unwrap();
    assert!(!dir.path().join("missing").exists());
    add(&request).unwrap();
    plugin().del(&request, &delegates()).unwrap();
    plugin().del(&request, &delegates()).unwrap();
}

#[test]
fn del_gives_back_what_was_taken_with_other_ranges() {
    let dir = tempfile::tempdir().unwrap();
    add(&request(dir.path(), "c1", &json!({}))).unwrap();
    let changed = json!({"ipam": {"type": "host-local", "subnet": "?", "dataDir": dir.path()}});
    plugin().del(&request(dir.path(), "c1", &changed), &delegates()).unwrap();
    assert_eq!(files(&dir), ["last_reserved_ip.0"]);
}

#[test]
fn a_failed_add_leaves_no_lease_and_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    for extra in [
        json!({"ipam": {"subnet": "10.56.217.7/24", "dataDir": dir.path()}}),
        json!({"ipam": {"subnet": "10.0.0.0/24", "dataDir": dir.path(), "resolvConf": "/none"}}),
    ] {
        add(&request(dir.path(), "c1", &extra)).unwrap_err();
        assert!(!dir.path().join("bond-net1").exists());
    }
    let ranges = json!([[{"subnet": "10.0.0.0/24"}], [{"subnet": "10.1.0.0/30"}]]);
    let ipam = json!({"ranges": ranges, "dataDir": dir.path()});
    let small = |container| request(dir.path(), container, &json!({"ipam": ipam}));
    assert_eq!(add(&small("c1")).unwrap(), ["10.0.0.2/24", "10.1.0.2/30"]);
    let failure = add(&small("c2")).unwrap_err();
    assert_eq!(failure.code, Code::EXHAUSTED);
    assert!(failure.msg.contains("ipam.ranges[1], 10.1.0.1-10.1.0.2 (1 leases)"), "{failure}");
    let expected = ["10.0.0.2", "10.1.0.2", "last_reserved_ip.0", "last_reserved_ip.1"];
    assert_eq!(files(&dir), expected);
}

#[test]
fn addresses_are_requested_by_capability_and_arguments() {
    let dir = tempfile::tempdir().unwrap();
    let wish = json!({"runtimeConfig": {"ips": ["10.56.217.77/24"]}});
    assert_eq!(add(&request(dir.path(), "c1", &wish)).unwrap(), ["10.56.217.77/24"]);
    let failure = add(&request(dir.path(), "c2", &wish)).unwrap_err();
    assert_eq!(failure.code, Code::CONFLICT);
    assert!(failure.msg.contains("held by net3 of container c1"), "{failure}");
    let mut third = request(dir.path(), "c3", &json!({}));
    third.args.0.insert("IP".to_owned(), "10.56.217.78".to_owned());
    assert_eq!(add(&third).unwrap(), ["10.56.217.78/24"]);
}

#[test]
fn the_resolver_file_goes_into_the_result() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("resolv.conf");
    fs::write(&file, "nameserver 10.0.0.53\n").unwrap();
    let ipam = json!({"subnet": "10.0.0.0/24", "dataDir": dir.path(), "resolvConf": file});
    let request = request(dir.path(), "c1", &json!({"ipam": ipam}));
    let result = plugin().add(&request, &delegates()).unwrap();
    assert_eq!(result.dns.nameservers, ["10.0.0.53"]);
}

#[test]
fn check_finds_a_lease_that_is_gone_or_anothers() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = request(dir.path(), "c1", &json!({}));
    let check = |request: &Request| plugin().check(request, &delegates());
    let result = plugin().add(&one, &delegates()).unwrap();
    one.config.set_prev_result(Some(result));
    check(&one).unwrap();
    let lease = dir.path().join("bond-net1/10.56.217.2");
    fs::write(&lease, "c9\r\nnet3").unwrap();
    assert!(check(&one).unwrap_err().msg.contains("container c1 holds no address for net3"));
    fs::write(dir.path().join("bond-net1/10.56.217.9"), "c1\r\nnet3").unwrap();
    let failure = check(&one).unwrap_err();
    assert_eq!(failure.code, Code::DIFFERS);
    assert!(failure.msg.contains("10.56.217.2 of prevResult is not leased"), "{failure}");
}

#[test]
fn check_tells_every_address_that_is_not_leased() {
    let dir = tempfile::tempdir().unwrap();
    let range = |subnet: &str| json!([{ "subnet": subnet }]);
    let ranges = ["10.0.0.0/24", "10.0.1.0/24", "fd00::/64"].map(range);
    let ipam = json!({"ipam": {"ranges": ranges, "dataDir": dir.path()}});
    let mut one = request(dir.path(), "c1", &ipam);
    let result = plugin().add(&one, &delegates()).unwrap();
    one.config.set_prev_result(Some(result));
    for lease in ["10.0.0.2", "fd00::2"] {
        fs::remove_file(dir.path().join("bond-net1").join(lease)).unwrap();
    }
    let failure = plugin().check(&one, &delegates()).unwrap_err();
    assert_eq!(failure.code, Code::DIFFERS);
    for lost in ["10.0.0.2 of prevResult", "fd00::2 of prevResult"] {
        assert!(failure.msg.contains(lost), "{failure}");
    }
    assert!(!failure.msg.contains("10.0.1.2"), "{failure}");
}

#[test]
fn status_is_50_where_no_lease_can_be_written() {
    let ipam = json!({"ipam": {"subnet": "10.0.0.0/24", "dataDir": "/proc"}});
    let request = NodeRequest::status(Vec::new(), net_conf("/proc".as_ref(), &ipam));
    let failure = plugin().status(&request, &delegates()).unwrap_err();
    assert_eq!(failure.code, Code::NotAvailable);
    assert!(failure.msg.contains("no lease can be recorded: cannot write /proc/"), "{failure}");
}

#[test]
fn status_is_50_when_a_set_is_exhausted() {
    let dir = tempfile::tempdir().unwrap();
    let ipam = json!({"ipam": {"subnet": "10.0.0.0/30", "dataDir": dir.path()}});
    let status = || {
        let request = NodeRequest::status(Vec::new(), net_conf(dir.path(), &ipam));
        plugin().status(&request, &delegates())
    };
    status().unwrap();
    assert!(!dir.path().join("bond-net1").exists());
    add(&request(dir.path(), "c1", &ipam)).unwrap();
    assert_eq!(status().unwrap_err().code, Code::NotAvailable);
}

#[test]
fn gc_keeps_the_leases_of_valid_attachments_alone() {
    let dir = tempfile::tempdir().unwrap();
    for container in ["c1", "c2"] {
        add(&request(dir.path(), container, &json!({}))).unwrap();
    }
    fs::write(dir.path().join("bond-net1/10.56.217.9"), "").unwrap();
    let valid = json!({
        "cni.dev/valid-attachments": [{"containerID": "c2", "ifname": "net3"}],
    });
    let request = NodeRequest::gc(Vec::new(), net_conf(dir.path(), &valid)).unwrap();
    plugin().gc(&request, &delegates()).unwrap();
    assert_eq!(files(&dir), ["10.56.217.3", "last_reserved_ip.0"]);
}

#[test]
fn gc_removes_nothing_that_is_no_lease_though_it_be_named_like_an_address() {
    let dir = tempfile::tempdir().unwrap();
    let network = dir.path().join("bond-net1");
    let at = |name: &str| network.join(name);
    fs::create_dir_all(at("10.56.217.9/x")).unwrap();
    std::os::unix::fs::symlink("x", at("10.56.217.10")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("10.56.217.11"), 0o600.into()).unwrap();
    for (name, content) in [
        ("10.56.217.12", "<13>Nov 22 07:00:00 node app: started\n<13>Nov 22 07:00:01 node app\n"),
        ("10.56.217.13", "precious, and no container"),
        ("10.56.217.14", "gone\r\nnet1"),
        ("10.56.217.15", "gone-and-old"),
    ] {
        fs::write(at(name), content).unwrap();
    }
    let request = NodeRequest::gc(
        Vec::new(),
        net_conf(dir.path(), &json!({"cni.dev/valid-attachments": []})),
    );
    plugin().gc(&request.unwrap(), &delegates()).unwrap();
    let others = (9..=13).map(|n| format!("10.56.217.{n}")).collect::<BTreeSet<_>>();
    assert_eq!(files(&dir), others.into_iter().collect::<Vec<_>>());
    assert!(at("10.56.217.9/x").is_dir());
}

#[test]
fn a_hundred_threads_get_a_hundred_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let addresses: BTreeSet<String> = thread::scope(|scope| {
        let add = |n: usize| add(&request(dir.path(), &format!("c{n}"), &json!({}))).unwrap();
        let threads: Vec<_> = (0..100).map(|n| scope.spawn(move || add(n))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(addresses.len(), 100);
    assert_eq!(files(&dir).len(), 101);
}
