//! The plugin on VFs of a real SR-IOV card's driver: run by `cargo xtask test` as root, in the
//! virtual machine, whose PFs are pf0 and pf1.
#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

mod card;

use std::fs;

use ipnet::IpNet;
use podbond_cni::{Code, Delegates, Lookup, NetConf, NodeRequest, Plugin};
use podbond_kernel::{Apply, Dad, Kernel, LinkRef, LinkState, Netns, Step, VfSettings};
use podbond_names::Mac;
use serde_json::{Value, json};

use crate::card::{CARD, Ipam, Lab, Pod, RECORDS, seen};

const MAC: &str = "02:00:00:00:00:cc";

/// Everything that igb can set.
fn everything() -> Value {
    json!({
        "vlan": 100, "vlanQoS": 3, "trust": "on", "spoofchk": "off", "max_tx_rate": 100, "mac": MAC,
    })
}

fn in_pod() -> LinkRef {
    LinkRef::pod("net1".parse().unwrap())
}

#[test]
fn add_gives_the_vf_as_asked_and_del_restores_all() {
    let _card = CARD.lock();
    for state in [LinkState::Down, LinkState::Up] {
        let lab = Lab::new(state);
        let pod = Pod::new("sriov-add");
        let request = lab.request(&pod, &everything());
        let result = lab.add(&request).unwrap();

        let interface = &result.interfaces[0];
        assert_eq!(result.interfaces.len(), 1);
        assert_eq!(interface.name.as_str(), "net1");
        assert_eq!(interface.mac, MAC.parse().ok());
        assert_eq!(interface.mtu, Some(1500));
        assert_eq!(interface.sandbox.as_deref(), Some("/run/netns/sriov-add"));
        assert_eq!(interface.pci_id, Some(lab.pci.to_string()));
        assert_eq!(result.ips[0].interface, Some(0));

        let mut kernel = pod.kernel();
        let link = kernel.link(&in_pod()).unwrap().unwrap();
        assert_eq!(
            (link.mac, link.state, link.parent),
            (MAC.parse().ok(), LinkState::Up, Some(lab.pci))
        );
        let address: IpNet = Ipam::ADDRESS.parse().unwrap();
        assert!(kernel.addresses(&in_pod()).unwrap().contains(&address));
        let shown = lab.settings();
        assert_eq!(shown.mac, MAC.parse().ok());
        assert_eq!((shown.vlan, shown.qos), (Some(100), Some(3)));
        assert_eq!((shown.trust, shown.spoofchk), (Some(true), Some(false)));
        assert_eq!(shown.max_tx_rate, Some(100));
        assert_eq!(seen(lab.pci), None, "its link is still on the node");

        lab.del(&request).unwrap();
        lab.assert_as_before();
        lab.del(&request).unwrap();
        lab.assert_as_before();
    }
}

#[test]
fn untrusted_vf_takes_an_address_again_and_again() {
    let _card = CARD.lock();
    let lab = Lab::new(LinkState::Down);
    for mac in [MAC, "02:00:00:00:00:dd"] {
        let pod = Pod::new("sriov-mac");
        let request = lab.request(&pod, &json!({"mac": mac, "trust": "off"}));
        let result = lab.add(&request).unwrap();
        assert_eq!(result.interfaces[0].ethernet(), mac.parse().ok());
        assert_eq!(lab.settings().trust, Some(false));
        lab.del(&request).unwrap();
        lab.assert_as_before();
    }
}

/// Promise: vf-without-pf-mac
#[test]
fn pf_without_the_vfs_address_has_it_after_the_pod() {
    let _card = CARD.lock();
    let lab = Lab::new(LinkState::Down);
    let mac = |mac| VfSettings { mac, ..VfSettings::default() };
    for keys in [json!({}), json!({"mac": MAC}), json!({"mac": MAC, "trust": "on"})] {
        // As it is with a new VF before Linux 6.3.
        let mut kernel = Kernel::host().unwrap();
        let vf = kernel.vf(lab.pci).unwrap().unwrap();
        let (from, to) = (mac(vf.settings.mac), mac(Some(Mac::ZERO)));
        kernel.apply(&Step::SetVf { pf: vf.pf_link, vf: vf.index, from, to }).unwrap();
        let pod = Pod::new("sriov-unknown");
        let request = lab.request(&pod, &keys);
        lab.add(&request).unwrap();
        lab.del(&request).unwrap();
        // Otherwise the card would keep from the next pod what is sent to it.
        lab.assert_as_before();
    }
}

#[test]
fn check_names_what_was_changed() {
    let _card = CARD.lock();
    let lab = Lab::new(LinkState::Down);
    let pod = Pod::new("sriov-check");
    let request = lab.request(&pod, &everything());
    let result = lab.add(&request).unwrap();
    lab.check(&request, &result).unwrap();

    let mut kernel = pod.kernel();
    let address = Ipam::ADDRESS.parse().unwrap();
    let vf = kernel.vf(lab.pci).unwrap().unwrap();
    let trust = |on| VfSettings { trust: Some(on), ..VfSettings::default() };
    let steps = [
        Step::RemoveAddress { at: in_pod(), address, dad: Dad::Off },
        Step::SetState { at: in_pod(), to: LinkState::Down },
        Step::SetVf { pf: vf.pf_link, vf: vf.index, from: trust(true), to: trust(false) },
    ];
    for step in &steps {
        kernel.apply(step).unwrap();
    }
    let failure = lab.check(&request, &result).unwrap_err();
    assert_eq!(failure.code, Code::DIFFERS);
    for difference in ["trust on", "bring net1 (pod) up", Ipam::ADDRESS] {
        assert!(failure.msg.contains(difference), "{failure}");
    }
    lab.del(&request).unwrap();
    lab.assert_as_before();
    assert_eq!(lab.check(&request, &result).unwrap_err().code, Code::DIFFERS);
}

#[test]
fn vf_is_restored_when_its_namespace_is_gone() {
    let _card = CARD.lock();
    let lab = Lab::new(LinkState::Up);
    let pod = Pod::new("sriov-gone");
    let mut request = lab.request(&pod, &everything());
    lab.add(&request).unwrap();
    let mut kernel = pod.kernel();
    kernel.apply(&Step::SetMtu { at: in_pod(), from: 1500, to: 1400 }).unwrap();
    drop(kernel);
    drop(pod);
    // A runtime may know that the namespace is gone, and give none.
    request.netns = None;
    lab.del(&request).unwrap();
    lab.assert_as_before();
}

#[test]
fn renamed_vf_is_restored_without_cni_netns() {
    let _card = CARD.lock();
    let lab = Lab::new(LinkState::Down);
    let pod = Pod::new("sriov-renamed");
    let mut request = lab.request(&pod, &json!({}));
    lab.add(&request).unwrap();
    let other = LinkRef::pod("other".parse().unwrap());
    let mut kernel = pod.kernel();
    for step in [
        Step::SetState { at: in_pod(), to: LinkState::Down },
        Step::Move { from: in_pod(), to: other },
    ] {
        kernel.apply(&step).unwrap();
    }
    request.netns = None;
    lab.del(&request).unwrap();
    lab.assert_as_before();
}

#[test]
fn next_pod_gets_the_vf_without_the_last_ones_settings() {
    let _card = CARD.lock();
    let lab = Lab::new(LinkState::Down);
    let dead = Pod::new("sriov-dead");
    let first = lab.request(&dead, &everything());
    lab.add(&first).unwrap();
    drop(dead);

    let pod = Pod::new("sriov-next");
    let second = lab.request(&pod, &json!({}));
    lab.add(&second).unwrap();
    assert_eq!(lab.settings(), lab.before.settings);
    // The late DEL of the first takes its lease back and nothing else.
    lab.del(&first).unwrap();
    assert_eq!(lab.ipam.leased(), 1);
    assert!(pod.kernel().link(&in_pod()).unwrap().is_some());
    lab.del(&second).unwrap();
    lab.assert_as_before();
}

#[test]
fn failed_add_leaves_nothing() {
    let _card = CARD.lock();
    let mut lab = Lab::new(LinkState::Up);
    let pod = Pod::new("sriov-fails");
    lab.ipam.empty = true;
    let failure = lab.add(&lab.request(&pod, &everything())).unwrap_err();
    assert_eq!(failure.code, Code::EXHAUSTED);
    lab.assert_as_before();
    lab.ipam.empty = false;

    // igb cannot set the link state: the settings before it are taken back.
    let keys = json!({"vlan": 100, "trust": "on", "link_state": "disable"});
    let failure = lab.add(&lab.request(&pod, &keys)).unwrap_err();
    assert_eq!(failure.code, Code::KERNEL, "{failure}");
    lab.assert_as_before();

    let mut wrong = lab.request(&pod, &json!({}));
    wrong.netns = Some("/run/netns/no-such-pod".into());
    assert_eq!(lab.add(&wrong).unwrap_err().code, Code::CONTAINER_UNKNOWN);
    let mut wrong = lab.request(&pod, &json!({}));
    wrong.ifname = "lo".parse().unwrap();
    assert_eq!(lab.add(&wrong).unwrap_err().code, Code::CONFLICT);
    let pf = Kernel::host().unwrap().sysfs().pf_of(lab.pci).unwrap().unwrap();
    for address in [pf.to_string(), "0000:7f:1f.7".to_owned()] {
        let failure = lab.add(&lab.request(&pod, &json!({"deviceID": address}))).unwrap_err();
        assert_eq!(failure.code, Code::INVALID_CONFIG);
        assert!(failure.msg.contains("is no SR-IOV VF"), "{failure}");
    }
    lab.assert_as_before();
    assert!(pod.kernel().links(Netns::Pod).unwrap().len() == 1, "a link stays in the pod");
}

#[test]
fn vf_is_held_by_one_pod_until_its_del() {
    let _card = CARD.lock();
    let lab = Lab::new(LinkState::Down);
    let pods = [Pod::new("sriov-one"), Pod::new("sriov-two")];
    let requests = pods.each_ref().map(|pod| lab.request(pod, &json!({"vlan": 5})));
    let results = std::thread::scope(|scope| {
        let adds = requests.each_ref().map(|request| scope.spawn(|| lab.add(request)));
        adds.map(|add| add.join().unwrap())
    });
    let winner = results.iter().position(Result::is_ok).unwrap();
    let failure = results[1 - winner].as_ref().unwrap_err();
    assert_eq!(failure.code, Code::CONFLICT);
    let holder = pods[winner].path.to_str().unwrap();
    assert!(failure.msg.contains(holder), "{failure}");
    let claim = lab.files.path().join("pci").join(lab.pci.to_string());
    assert_eq!(fs::read_to_string(claim).unwrap(), holder);
    // A runtime answers a failed ADD with a DEL, which must not touch the holder's VF.
    lab.del(&requests[1 - winner]).unwrap();
    assert!(pods[winner].kernel().link(&in_pod()).unwrap().is_some());
    assert_eq!(lab.settings().vlan, Some(5));
    *lab.ipam.leased.lock().unwrap() = 1;
    lab.del(&requests[winner]).unwrap();
    lab.assert_as_before();
}

#[test]
fn vf_of_sriov_cni_is_restored_by_its_record() {
    let _card = CARD.lock();
    let lab = Lab::new(LinkState::Down);
    let pod = Pod::new("sriov-cni");
    let request = lab.request(&pod, &everything());
    lab.add(&request).unwrap();
    // What is left is in sriov-cni's format.
    fs::remove_dir_all(lab.files.path().join(RECORDS)).unwrap();
    lab.del(&request).unwrap();
    lab.assert_as_before();
}

#[test]
fn record_that_sriov_cni_ended_restores_no_vf() {
    let _card = CARD.lock();
    let lab = Lab::new(LinkState::Down);
    let pods = [Pod::new("sriov-ended"), Pod::new("sriov-new")];
    let [ended, new] = pods.each_ref().map(|pod| lab.request(pod, &everything()));
    let record = lab.files.path().join(RECORDS).join("sriov-ended:net1");
    lab.add(&ended).unwrap();
    let whole = fs::read(&record).unwrap();
    lab.del(&ended).unwrap();
    lab.assert_as_before();
    // As after sriov-cni's DEL, which removes its own files alone.
    fs::create_dir_all(lab.files.path().join(RECORDS)).unwrap();
    fs::write(&record, whole).unwrap();
    lab.add(&new).unwrap();
    let settings = lab.settings();
    lab.del(&ended).unwrap();
    assert!(pods[1].kernel().link(&in_pod()).unwrap().is_some());
    assert_eq!(lab.settings(), settings);
    lab.del(&new).unwrap();
    *lab.ipam.leased.lock().unwrap() = 0;
    lab.assert_as_before();
}

/// Promise: gc-own-network
#[test]
fn gc_deletes_what_is_not_valid_in_its_network() {
    let _card = CARD.lock();
    let lab = Lab::new(LinkState::Down);
    let pod = Pod::new("sriov-gc");
    let request = lab.request(&pod, &everything());
    lab.add(&request).unwrap();
    let gc = |network: &str, valid: Value| {
        let mut raw = request.config.raw.clone();
        raw.insert("cniVersion".to_owned(), json!("1.1.0"));
        raw.insert("name".to_owned(), json!(network));
        raw.insert("cni.dev/valid-attachments".to_owned(), valid);
        let config = NetConf::parse(Value::Object(raw).to_string().as_bytes()).unwrap();
        let request = NodeRequest::gc(Vec::new(), config).unwrap();
        lab.sriov.gc(&request, &Delegates::new(&[&lab.ipam], Lookup::PathThenBuiltin)).unwrap();
    };
    gc("sriovnet1", json!([{"containerID": "sriov-gc", "ifname": "net1"}]));
    gc("another", json!([]));
    assert!(pod.kernel().link(&in_pod()).unwrap().is_some());
    gc("sriovnet1", json!([]));
    *lab.ipam.leased.lock().unwrap() = 0;
    lab.assert_as_before();
}
