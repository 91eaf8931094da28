//! DEL succeeds, whatever has become of what ADD made, and leaves nothing: for VFs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::damage::Damage;
use crate::del::ReadOnly;
use crate::node::{Call, Netns, Snapshot, WithNetworks, has_links, ip, vf, wait_for, words};

const RECORD: &str = "/var/lib/cni/sriov/c-del-net7";

fn call<'c>(command: &'c str, netns: &'c str) -> Call<'c> {
    Call { plugin: "sriov", command, container: "c-del", netns, ifname: "net7" }
}

/// Everything that the card keeps of a VF, and an address.
fn config(vf: &str) -> Value {
    json!({
        "cniVersion": "1.0.0", "name": "del-vfs", "type": "sriov", "deviceID": vf, "vlan": 100,
        "trust": "on", "spoofchk": "off", "max_tx_rate": 100, "mac": "02:00:00:00:07:07",
        "ipam": {"type": "host-local", "subnet": "10.78.0.0/24"},
    })
}

fn claim(vf: &str) -> PathBuf {
    Path::new("/var/lib/cni/sriov/pci").join(vf)
}

/// The name on the node of a VF's link.
fn link_of(vf: &str) -> String {
    let links = fs::read_dir(format!("/sys/bus/pci/devices/{vf}/net")).unwrap();
    links.map(|link| link.unwrap().file_name().into_string().unwrap()).next().unwrap()
}

/// The documented networks, once the card takes rates again, which making VFs has reset.
fn networks() -> WithNetworks {
    let networks = WithNetworks::new();
    wait_for("pf0 has carrier", || {
        fs::read_to_string("/sys/class/net/pf0/carrier").is_ok_and(|carrier| carrier.trim() == "1")
    });
    networks
}

/// Adds a VF to a pod, lets something happen to it, and deletes it, once with the pod's namespace and
/// once without. Gives the node before and after.
fn deleted(config: &Value, meanwhile: impl Fn()) -> Vec<(Snapshot, Snapshot)> {
    let run = |is_gone: bool| {
        let before = Snapshot::take();
        let netns = Netns::with_links("del-vfs");
        let path = netns.path();
        call("ADD", &path).run(config).unwrap();
        meanwhile();
        let mut netns = Some(netns).filter(|_| !is_gone);
        assert_eq!(call("DEL", &path).run(config), Ok(Value::Null), "gone: {is_gone}");
        assert_eq!(call("DEL", &path).run(config), Ok(Value::Null), "gone: {is_gone}");
        if let Some(netns) = netns.take() {
            assert_eq!(netns.links().len(), 3, "a link stays in the pod");
        }
        (before, Snapshot::take())
    };
    [false, true].map(run).into()
}

#[test]
fn a_vf_whose_record_is_damaged_is_put_back_as_it_was() {
    let networks = networks();
    let vf = vf(0);
    for damage in Damage::ALL {
        for (before, after) in deleted(&config(&vf), || damage.befall(Path::new(RECORD))) {
            assert_eq!(after, before, "{damage:?}");
        }
    }
    networks.end();
}

#[test]
fn a_vf_whose_record_and_its_copy_are_lost_is_put_back_but_for_its_name() {
    let networks = networks();
    let vf = vf(0);
    // Which address igbvf made up for it at first nobody else tells.
    let mut config = config(&vf);
    config.as_object_mut().unwrap().remove("mac");
    for damage in [Damage::Empty, Damage::Removed] {
        let lose = || {
            damage.befall(Path::new(RECORD));
            fs::remove_file("/run/podbond/vfs/c-del-net7").unwrap();
        };
        for (before, after) in deleted(&config, lose) {
            assert_eq!(after.without_names(), before.without_names(), "{damage:?}");
        }
    }
    networks.end();
}

#[test]
fn a_path_that_leads_to_the_nodes_own_namespace_keeps_no_vf() {
    let networks = networks();
    let config = config(&vf(0));
    let netns = Netns::with_links("del-vfs");
    let before = Snapshot::take();
    call("ADD", &netns.path()).run(&config).unwrap();
    // As /proc/<pid>/ns/net does once the number is a process of the node's: nothing else is there
    // the second time.
    for _ in 0..2 {
        assert_eq!(call("DEL", "/proc/1/ns/net").run(&config), Ok(Value::Null));
        assert_eq!(netns.links().len(), 3);
        assert_eq!(Snapshot::take(), before);
    }
    drop(netns);
    networks.end();
}

#[test]
fn a_vf_whose_name_another_link_has_by_now_comes_home_under_another() {
    let networks = networks();
    let vf = vf(0);
    let config = config(&vf);
    let name = link_of(&vf);
    let netns = Netns::with_links("del-vfs");
    let before = Snapshot::take();
    call("ADD", &netns.path()).run(&config).unwrap();
    ip("link add stranger type dummy");
    ip(&format!("link property add dev stranger altname {name}"));
    assert_eq!(call("DEL", &netns.path()).run(&config), Ok(Value::Null));
    assert_eq!(netns.links().len(), 3);
    let other = link_of(&vf);
    assert!(other.starts_with("dev"), "{other}");
    ip("link del stranger");
    ip(&format!("link set {other} name {name}"));
    assert_eq!(Snapshot::take(), before);
    drop(netns);
    networks.end();
}

#[test]
fn a_vf_whose_claim_is_damaged_is_put_back_as_it_was() {
    let networks = networks();
    let vf = vf(0);
    for damage in Damage::ALL {
        for (before, after) in deleted(&config(&vf), || damage.befall(&claim(&vf))) {
            assert_eq!(after, before, "{damage:?}");
        }
    }
    networks.end();
}

#[test]
fn a_vf_of_an_older_podbond_is_put_back_as_it_was() {
    let networks = networks();
    let older = || {
        let mut record: Value = serde_json::from_slice(&fs::read(RECORD).unwrap()).unwrap();
        let own = record["podbond"].as_object_mut().unwrap();
        assert!(own.remove("netns").is_some());
        assert!(own["original"].as_object_mut().unwrap().remove("state").is_some());
        fs::write(RECORD, record.to_string()).unwrap();
    };
    for (before, after) in deleted(&config(&vf(0)), older) {
        assert_eq!(after, before);
    }
    networks.end();
}

/// As sriov-cni leaves it: its two files, and the VF under its name in the pod.
#[test]
fn the_incumbents_vf_is_put_back_as_it_was() {
    let networks = networks();
    let (vf, keys) = (vf(0), config(&vf(0)));
    for is_gone in [false, true] {
        let before = Snapshot::take();
        let link = link_of(&vf);
        let shown: Value = serde_json::from_str(&ip(&format!("-j link show {link}"))).unwrap();
        let pf: Value = serde_json::from_str(&ip("-j -d link show pf0")).unwrap();
        let in_pf = &pf[0]["vfinfo_list"][0];
        assert!(in_pf["address"].is_string(), "{in_pf}");
        let mut record = keys.clone();
        record["Master"] = "pf0".into();
        record["VFID"] = 0.into();
        record["MAC"] = keys["mac"].clone();
        record["MTU"] = 1500.into();
        record["OrigVfState"] = json!({
            "HostIFName": link, "SpoofChk": true, "Trust": false,
            "AdminMAC": in_pf["address"], "EffectiveMAC": shown[0]["address"],
            "Vlan": 0, "VlanQoS": 0, "VlanProto": 0x8100, "MinTxRate": 0, "MaxTxRate": 0,
            "LinkState": 0, "MTU": 1500,
        });
        let netns = Netns::with_links("incumbents");
        let path = netns.path();
        fs::create_dir_all("/var/lib/cni/sriov/pci").unwrap();
        fs::write(RECORD, record.to_string()).unwrap();
        fs::write(claim(&vf), &path).unwrap();
        for set in ["vlan 100", "trust on", "spoofchk off", "max_tx_rate 100"] {
            ip(&format!("link set pf0 vf 0 {set}"));
        }
        ip(&format!("link set {link} address {}", words(&keys["mac"])));
        ip(&format!("link set pf0 vf 0 mac {}", words(&keys["mac"])));
        ip(&format!("link set {link} netns incumbents name net7"));
        netns.ip("link set net7 up");
        let mut netns = Some(netns).filter(|_| !is_gone);
        call("DEL", &path).run(&keys).unwrap();
        drop(netns.take());
        assert_eq!(Snapshot::take(), before, "gone: {is_gone}");
    }
    networks.end();
}

/// A DEL whose ADD was refused, since the VF was another's, touches nothing of the other's.
#[test]
fn the_vf_of_another_pod_is_let_be_with_its_record_or_without() {
    let networks = networks();
    let (vf, before) = (vf(0), Snapshot::take());
    let [holder, other] = ["holder", "other"].map(Netns::with_links);
    let (held, others) = (holder.path(), other.path());
    call("ADD", &held).run(&config(&vf)).unwrap();
    let links = holder.links();
    let stranger = |command| Call { container: "c-other", ..call(command, &others) };
    stranger("ADD").run(&config(&vf)).unwrap_err();
    stranger("DEL").run(&config(&vf)).unwrap();
    let whole = fs::read(RECORD).unwrap();
    Damage::Torn.befall(Path::new(RECORD));
    stranger("DEL").run(&config(&vf)).unwrap();
    fs::write("/var/lib/cni/sriov/c-other-net7", "{").unwrap();
    stranger("DEL").run(&config(&vf)).unwrap();
    assert_eq!(holder.links(), links);
    fs::write(RECORD, whole).unwrap();
    call("DEL", &held).run(&config(&vf)).unwrap();
    drop((holder, other));
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

/// A runtime may call DEL as often as it likes, and give the next pod a namespace of the same path.
#[test]
fn a_late_del_takes_no_vf_from_the_next_pod_in_a_namespace_of_the_same_path() {
    const NEXT: &str = "/var/lib/cni/sriov/c-next-net7";
    let networks = networks();
    let (vf, before) = (vf(0), Snapshot::take());
    let netns = Netns::with_links("same-path");
    let path = netns.path();
    call("ADD", &path).run(&config(&vf)).unwrap();
    let stale = fs::read(RECORD).unwrap();
    call("DEL", &path).run(&config(&vf)).unwrap();
    let next = |command| Call { container: "c-next", ..call(command, &path) };
    next("ADD").run(&config(&vf)).unwrap();
    let links = netns.links();
    let late_del = |how| {
        call("DEL", &path).run(&config(&vf)).unwrap();
        assert_eq!(netns.links(), links, "{how}");
        assert!(claim(&vf).exists() && !Path::new(RECORD).exists(), "{how}");
    };
    late_del("again");
    fs::write(RECORD, stale).unwrap();
    let long_ago = SystemTime::now() - Duration::from_mins(1);
    fs::File::options().write(true).open(RECORD).unwrap().set_modified(long_ago).unwrap();
    late_del("the first did not come to its end");
    let whole = fs::read(NEXT).unwrap();
    Damage::Torn.befall(Path::new(NEXT));
    late_del("the next one's record is torn");
    fs::write(NEXT, whole).unwrap();
    next("DEL").run(&config(&vf)).unwrap();
    drop(netns);
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

#[test]
fn a_read_only_state_directory_keeps_no_vf_in_the_pod() {
    let networks = networks();
    let (vf, before) = (vf(0), Snapshot::take());
    let netns = Netns::with_links("read-only");
    call("ADD", &netns.path()).run(&config(&vf)).unwrap();
    let mounts = ReadOnly::new(&["/var/lib/cni"]);
    let error = call("DEL", &netns.path()).run(&config(&vf)).unwrap_err();
    assert!(words(&error["msg"]).contains("Read-only file system"), "{error}");
    assert_eq!(netns.links().len(), 3);
    let link = link_of(&vf);
    drop(mounts);
    call("DEL", &netns.path()).run(&config(&vf)).unwrap();
    assert_eq!(link_of(&vf), link);
    drop(netns);
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

/// Its DEL never came, and the claim on the VF is lost too.
#[test]
fn the_next_pod_gets_the_vf_of_a_dead_one_as_it_was() {
    let networks = networks();
    let (vf, before) = (vf(0), Snapshot::take());
    for damage in Damage::ALL {
        let dead = Netns::with_links("dead");
        let path = dead.path();
        call("ADD", &path).run(&config(&vf)).unwrap();
        drop(dead);
        wait_for("the VF is back", || has_links("pf0", 4));
        damage.befall(&claim(&vf));
        let next = Netns::with_links("next");
        let plain = json!({
            "cniVersion": "1.0.0", "name": "del-vfs", "type": "sriov", "deviceID": vf,
        });
        let its = |command| Call { container: "c-next", ..call(command, "/run/netns/next") };
        its("ADD").run(&plain).unwrap();
        // It comes late, and takes nothing but its address.
        call("DEL", &path).run(&config(&vf)).unwrap();
        assert_eq!(next.link("net7")["parentdev"], json!(vf), "{damage:?}");
        its("DEL").run(&plain).unwrap();
        drop(next);
        assert_eq!(Snapshot::take(), before, "{damage:?}");
    }
    networks.end();
}
