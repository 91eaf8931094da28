//! DEL succeeds, whatever has become of what ADD made, and leaves nothing: for VFs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::damage::Damage;
use crate::del::ReadOnly;
use crate::node::{Call, Netns, Snapshot, WithNetworks, has_links, ip, vf, wait_for, words};

/// What podbond remembers, and what it writes for sriov-cni.
const RECORD: &str = "/var/lib/podbond/attachments/c-del:net7";
const OF_SRIOV_CNI: &str = "/var/lib/cni/sriov/c-del-net7";

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

/// What leaves no path of a namespace in a claim.
const UNREADABLE: [Damage; 3] = [Damage::Empty, Damage::Garbage, Damage::Huge];

/// The name on the node of a VF's link.
fn link_of(vf: &str) -> String {
    let links = fs::read_dir(format!("/sys/bus/pci/devices/{vf}/net")).unwrap();
    links.map(|link| link.unwrap().file_name().into_string().unwrap()).next().unwrap()
}

/// The documented networks, once the card takes rates again, which making VFs has reset.
fn networks() -> WithNetworks {
    with_carrier(WithNetworks::new())
}

fn with_carrier(networks: WithNetworks) -> WithNetworks {
    wait_for("pf0 has carrier", || {
        fs::read_to_string("/sys/class/net/pf0/carrier").is_ok_and(|carrier| carrier.trim() == "1")
    });
    networks
}

/// Adds a VF to a pod, lets something happen to it, and deletes it, once with the pod's namespace and
/// once without. Gives the node before and after.
fn deleted(config: &Value, meanwhile: impl Fn()) -> Vec<(Snapshot, Snapshot)> {
    [false, true].map(|is_gone| deleted_once(is_gone, config, &meanwhile)).into()
}

fn deleted_once(is_gone: bool, config: &Value, meanwhile: impl Fn()) -> (Snapshot, Snapshot) {
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
}

/// Promise: del-damaged-state
#[test]
fn vf_is_restored_by_sriov_cnis_record_when_ours_is_damaged() {
    let networks = networks();
    let vf = vf(0);
    for damage in Damage::ALL {
        for (before, after) in deleted(&config(&vf), || damage.befall(Path::new(RECORD))) {
            assert_eq!(after, before, "{damage:?}");
        }
    }
    networks.end();
}

/// Promise: del-damaged-state
#[test]
fn vf_is_restored_by_our_record_when_sriov_cnis_is_damaged() {
    let networks = networks();
    let vf = vf(0);
    for damage in Damage::ALL {
        for (before, after) in deleted(&config(&vf), || damage.befall(Path::new(OF_SRIOV_CNI))) {
            assert_eq!(after, before, "{damage:?}");
        }
    }
    networks.end();
}

/// Promise: del-damaged-state
#[test]
fn vf_without_any_record_is_restored_but_for_its_name() {
    let networks = with_carrier(WithNetworks::with_new_vfs());
    let vf = vf(0);
    // An address that only igbvf made up is another one whenever the VF is reset.
    let mac = fs::read_to_string(format!("/sys/class/net/{}/address", link_of(&vf))).unwrap();
    ip(&format!("link set pf0 vf 0 mac {mac}"));
    let mut config = config(&vf);
    config.as_object_mut().unwrap().remove("mac");
    for damage in [Damage::Empty, Damage::Removed] {
        let lose = || {
            damage.befall(Path::new(RECORD));
            damage.befall(Path::new(OF_SRIOV_CNI));
        };
        for (before, after) in deleted(&config, lose) {
            assert_eq!(after.without_names(), before.without_names(), "{damage:?}");
        }
    }
    networks.end();
}

/// Promise: del-namespace-gone, del-own-namespace
#[test]
fn path_of_the_nodes_own_namespace_keeps_no_vf() {
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

/// Promise: del-namespace-gone, del-name-taken
#[test]
fn vf_whose_name_is_taken_gets_another_on_the_node() {
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
    assert_ne!(other, name);
    ip("link del stranger");
    ip(&format!("link set {other} name {name}"));
    assert_eq!(Snapshot::take(), before);
    drop(netns);
    networks.end();
}

/// Promise: del-damaged-state
#[test]
fn vf_is_restored_when_its_claim_is_damaged() {
    let networks = networks();
    let vf = vf(0);
    for damage in Damage::ALL {
        let (before, after) = deleted_once(false, &config(&vf), || damage.befall(&claim(&vf)));
        assert_eq!(after, before, "{damage:?}");
    }
    // Without the namespace a claim that is gone, or names another, is sriov-cni's word.
    for damage in UNREADABLE {
        let (before, after) = deleted_once(true, &config(&vf), || damage.befall(&claim(&vf)));
        assert_eq!(after, before, "{damage:?}");
    }
    networks.end();
}

/// A record that outlives the kernel, after sriov-cni's DEL of its attachment.
///
/// Promise: del-spares-others
#[test]
fn vf_that_sriov_cni_took_back_is_left_unchanged() {
    let networks = networks();
    let (vf, config) = (vf(0), config(&vf(0)));
    let before = Snapshot::take();
    let netns = Netns::with_links("taken-back");
    call("ADD", &netns.path()).run(&config).unwrap();
    let whole = fs::read(RECORD).unwrap();
    call("DEL", &netns.path()).run(&config).unwrap();
    fs::create_dir_all(Path::new(RECORD).parent().unwrap()).unwrap();
    fs::write(RECORD, whole).unwrap();
    // The node uses it since.
    let link = link_of(&vf);
    ip("link set pf0 vf 0 vlan 7");
    call("DEL", &netns.path()).run(&config).unwrap();
    assert_eq!(link_of(&vf), link);
    assert!(ip("link show pf0").contains("vlan 7"));
    ip("link set pf0 vf 0 vlan 0");
    drop(netns);
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

/// As sriov-cni leaves it: its two files, and the VF under its name in the pod.
///
/// Promise: del-of-replaced-plugins
#[test]
fn vf_of_sriov_cni_is_restored() {
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
        let netns = Netns::with_links("sriov-cni");
        let path = netns.path();
        fs::create_dir_all("/var/lib/cni/sriov/pci").unwrap();
        fs::write(OF_SRIOV_CNI, record.to_string()).unwrap();
        fs::write(claim(&vf), &path).unwrap();
        for set in ["vlan 100", "trust on", "spoofchk off", "max_tx_rate 100"] {
            ip(&format!("link set pf0 vf 0 {set}"));
        }
        ip(&format!("link set {link} address {}", words(&keys["mac"])));
        ip(&format!("link set pf0 vf 0 mac {}", words(&keys["mac"])));
        ip(&format!("link set {link} netns sriov-cni name net7"));
        netns.ip("link set net7 up");
        let mut netns = Some(netns).filter(|_| !is_gone);
        call("DEL", &path).run(&keys).unwrap();
        drop(netns.take());
        assert_eq!(Snapshot::take(), before, "gone: {is_gone}");
    }
    networks.end();
}

/// A DEL whose ADD was refused, since the VF was another's, touches nothing of the other's.
///
/// Promise: del-spares-others
#[test]
fn vf_of_another_pod_is_left_unchanged() {
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
    for torn in ["/var/lib/cni/sriov/c-other-net7", "/var/lib/podbond/attachments/c-other:net7"] {
        fs::write(torn, "{").unwrap();
        stranger("DEL").run(&config(&vf)).unwrap();
    }
    assert_eq!(holder.links(), links);
    fs::write(RECORD, whole).unwrap();
    call("DEL", &held).run(&config(&vf)).unwrap();
    drop((holder, other));
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

/// A runtime may call DEL as often as it likes, and give the next pod a namespace of the same path.
///
/// Promise: del-spares-others
#[test]
fn late_del_takes_no_vf_from_the_next_pod_at_the_same_path() {
    const NEXT: &str = "/var/lib/podbond/attachments/c-next:net7";
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

/// Promise: del-read-only-state
#[test]
fn read_only_state_directory_keeps_no_vf_in_the_pod() {
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

/// Its DEL never came, and the claim on the VF is damaged too.
#[test]
fn next_pod_gets_the_vf_without_the_last_ones_settings() {
    let networks = networks();
    let (vf, before) = (vf(0), Snapshot::take());
    for damage in UNREADABLE {
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

/// What `ip` shows of a VF's link on the node that a pod could have changed.
fn leftovers(vf: &str) -> Value {
    let shown = ip(&format!("-j -d link show dev {}", link_of(vf)));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let keys = ["flags", "promiscuity", "allmulti", "group", "txqlen", "ifalias", "altnames"];
    keys.iter().map(|key| ((*key).to_owned(), shown[0][*key].clone())).collect()
}

/// Promise: vf-comes-back-new
#[test]
fn vf_comes_back_without_what_the_pod_did_to_it() {
    let networks = networks();
    let vf = vf(0);
    let config = config(&vf);
    let (netns, third) = (Netns::with_links("del-vfs"), Netns::with_links("del-vfs-third"));
    let (before, new) = (Snapshot::take(), leftovers(&vf));
    call("ADD", &netns.path()).run(&config).unwrap();
    for change in [
        "link add link net7 name stacked type vlan id 100",
        "link add link net7 name moved type vlan id 200",
        "link set moved netns del-vfs-third",
        "link add link net7 name macvlan0 type macvlan mode bridge",
        "link set net7 promisc on allmulticast on multicast off",
        "link set net7 txqueuelen 77 alias pod group 9",
        "link property add dev net7 altname of-the-pod",
    ] {
        netns.ip(change);
    }
    third.ip("link set moved up");
    call("DEL", &netns.path()).run(&config).unwrap();
    assert_eq!(leftovers(&vf), new);
    assert_eq!(Snapshot::take(), before);
    assert_eq!((netns.links().len(), third.links().len()), (3, 3), "a link stands on the VF still");
    drop((netns, third));
    networks.end();
}

/// Promise: vf-comes-back-new, del-namespace-gone
#[test]
fn vf_is_fetched_from_a_namespace_that_a_process_keeps() {
    let networks = networks();
    let config = config(&vf(0));
    let before = Snapshot::take();
    let netns = Netns::with_links("del-vfs");
    let path = netns.path();
    call("ADD", &path).run(&config).unwrap();
    let keeper = format!("--net={path}");
    let mut keeper = Command::new("nsenter").args([&keeper, "sleep", "60"]).spawn().unwrap();
    wait_for("the process is there", || {
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        fs::read_link(format!("/proc/{}/ns/net", keeper.id())).is_ok_and(|netns| netns != own)
    });
    drop(netns);
    call("DEL", &path).run(&config).unwrap();
    assert_eq!(Snapshot::take(), before);
    keeper.kill().unwrap();
    keeper.wait().unwrap();
    networks.end();
}

/// As sriov-cni has it.
///
/// Promise: sysctls-of-replaced-plugins
#[test]
fn vf_in_a_pod_tells_its_neighbours_and_uses_addresses_at_once() {
    let networks = networks();
    let mut config = config(&vf(0));
    config["ipam"] = json!({"type": "host-local", "ranges": [[{"subnet": "fd00:78::/64"}]]});
    let netns = Netns::with_links("del-vfs");
    call("ADD", &netns.path()).run(&config).unwrap();
    for (sysctl, value) in [
        ("net.ipv4.conf.net7.arp_notify", "1"),
        ("net.ipv6.conf.net7.ndisc_notify", "1"),
        ("net.ipv6.conf.net7.optimistic_dad", "1"),
        ("net.ipv6.conf.net7.keep_addr_on_down", "1"),
        ("net.ipv6.conf.net7.disable_ipv6", "0"),
        ("net.ipv6.conf.lo.disable_ipv6", "0"),
    ] {
        assert_eq!(ip(&format!("netns exec del-vfs sysctl -n {sysctl}")).trim(), value, "{sysctl}");
    }
    netns.ip("link set net7 down");
    assert!(netns.ip("addr show dev net7").contains("fd00:78::"));
    call("DEL", &netns.path()).run(&config).unwrap();
    drop(netns);
    networks.end();
}
