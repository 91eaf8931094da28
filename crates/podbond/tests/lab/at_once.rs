//! Many at a time: nothing is given twice, nobody waits for ever, and those that lose get the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::node::{
    Call, EXAMPLES, Netns, Running, Snapshot, WithNetworks, begin, bond_config, pod,
    pods as shown_pods, succeeded, vf, words,
};

/// Namespaces with two dummy links each, made by two processes instead of hundreds.
struct Crowd(Vec<String>);

impl Crowd {
    fn new(count: usize) -> Self {
        let names: Vec<String> = (0..count).map(|number| format!("crowd{number}")).collect();
        let lines =
            |line: fn(&str) -> String| -> String { names.iter().map(|name| line(name)).collect() };
        batch(&lines(|name| format!("netns add {name}\n")));
        batch(&lines(|name| {
            let link = |link: &str| format!("link add {link} netns {name} up type dummy\n");
            link("net1") + &link("net2")
        }));
        Self(names)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let lines: Vec<String> = self.0.iter().map(|name| format!("netns del {name}\n")).collect();
        batch(&lines.concat());
    }
}

fn batch(lines: &str) {
    let child = begin(Command::new("ip").args(["-batch", "-"]), lines);
    succeeded(&child.wait_with_output().unwrap());
}

/// A call of the bond plugin for the pod of a namespace, begun.
fn start(command: &str, netns: &str) -> Running {
    let config = bond_config(&json!({"name": "at-once", "cniVersion": "1.0.0"}));
    let path = format!("/run/netns/{netns}");
    Call { plugin: "bond", command, container: netns, netns: &path, ifname: "bond0" }.start(&config)
}

fn address(answer: Result<Value, Value>) -> String {
    let answer = answer.unwrap();
    words(&answer["ips"][0]["address"])
}

/// Promise: unique-address
#[test]
fn hundred_bonds_at_a_time_get_an_address_each() {
    let before = Snapshot::take();
    let crowd = Crowd::new(150);
    let (early, rest) = crowd.0.split_at(50);
    let (stay, late) = rest.split_at(50);
    let begun: Vec<Running> = early.iter().chain(stay).map(|pod| start("ADD", pod)).collect();
    let mut held: BTreeMap<&String, String> =
        early.iter().chain(stay).zip(begun.into_iter().map(|it| address(it.end()))).collect();
    assert_eq!(held.values().collect::<BTreeSet<_>>().len(), 100, "{held:?}");

    // The ones go while the others come.
    let mixed: Vec<(Running, Running)> = early
        .iter()
        .zip(late)
        .map(|(early, late)| (start("DEL", early), start("ADD", late)))
        .collect();
    for ((early, late), (deleted, added)) in early.iter().zip(late).zip(mixed) {
        deleted.end().unwrap();
        held.remove(early);
        held.insert(late, address(added.end()));
    }
    assert_eq!(held.values().collect::<BTreeSet<_>>().len(), 100, "{held:?}");
    let leases = fs::read_dir("/var/lib/cni/networks/at-once").unwrap();
    let leases = leases.filter(|entry| {
        entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("10.56.")
    });
    assert_eq!(leases.count(), 100);

    // Each twice at the same time: the second finds nothing.
    let twice = stay.iter().chain(late).flat_map(|pod| [start("DEL", pod), start("DEL", pod)]);
    for deleted in twice.collect::<Vec<_>>() {
        deleted.end().unwrap();
    }
    drop(crowd);
    assert_eq!(Snapshot::take(), before);
    let locks = fs::read_dir("/run/podbond/locks").unwrap();
    let ours = |name: String| name.starts_with("crowd");
    let stay = locks
        .filter(|entry| ours(entry.as_ref().unwrap().file_name().to_string_lossy().into_owned()));
    assert_eq!(stay.count(), 0, "a lock's file stays");
}

/// What eight calls at a time answer: the one result, and the errors of the others.
fn one_of(calls: Vec<Running>) -> (Value, Vec<String>) {
    let (added, refused): (Vec<_>, Vec<_>) =
        calls.into_iter().map(Running::end).partition(Result::is_ok);
    let refused: Vec<String> =
        refused.into_iter().map(|error| words(&error.unwrap_err()["msg"])).collect();
    assert_eq!(added.len(), 1, "{refused:?}");
    (added.into_iter().next().unwrap().unwrap(), refused)
}

/// Promise: one-add-wins
#[test]
fn one_of_eight_adds_of_the_same_bond_succeeds() {
    let before = Snapshot::take();
    let netns = Netns::with_links("same");
    let links = netns.links();
    let (result, refused) = one_of((0..8).map(|_| start("ADD", "same")).collect());
    for error in refused {
        assert!(error.contains("bond0 of container same has been added already"), "{error}");
    }
    let shown = netns.ip("addr show dev bond0");
    assert!(shown.contains(&words(&result["ips"][0]["address"])), "{shown}");
    start("DEL", "same").end().unwrap();
    assert_eq!(netns.links(), links);

    // Whichever comes last of those that add and those that delete: DEL ends it.
    for _ in 0..3 {
        let race = ["ADD", "DEL", "ADD", "DEL", "ADD", "DEL"];
        for call in race.map(|command| (command, start(command, "same"))) {
            let (command, call) = call;
            let answer = call.end();
            assert!(command == "ADD" || answer.is_ok(), "{answer:?}");
        }
        start("DEL", "same").end().unwrap();
        assert_eq!(netns.links(), links);
    }
    drop(netns);
    assert_eq!(Snapshot::take(), before);
}

fn start_vf(command: &str, container: &str, netns: &str, ifname: &str, vf: &str) -> Running {
    let config = json!({
        "cniVersion": "1.0.0", "name": "at-once", "type": "sriov", "deviceID": vf, "vlan": 7,
    });
    let netns = &format!("/run/netns/{netns}");
    Call { plugin: "sriov", command, container, netns, ifname }.start(&config)
}

/// Promise: unique-vf
#[test]
fn one_of_eight_adds_of_the_same_vf_succeeds() {
    let networks = WithNetworks::new();
    let before = Snapshot::take();
    let pods: Vec<(String, Netns)> = (0..8)
        .map(|number| format!("same{number}"))
        .map(|name| (name.clone(), Netns::with_links(&name)))
        .collect();
    let start_all = |command| -> Vec<Running> {
        pods.iter().map(|(name, _)| start_vf(command, name, name, "net7", &vf(0))).collect()
    };
    let (result, refused) = one_of(start_all("ADD"));
    let holder = words(&result["interfaces"][0]["sandbox"]);
    for error in refused {
        assert!(error.contains("is held by net7 of container same"), "{error}");
        assert!(error.contains(&format!("(network namespace {holder})")), "{error}");
    }
    for deleted in start_all("DEL") {
        deleted.end().unwrap();
    }
    drop(pods);
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

/// Promise: one-add-wins
#[test]
fn one_of_eight_adds_of_the_same_interface_succeeds() {
    let networks = WithNetworks::new();
    let before = Snapshot::take();
    let netns = Netns::with_links("same");
    // With one VF for all, and with one of four for each.
    for vfs in [1, 4] {
        let calls = |command| {
            (0..8).map(move |number| start_vf(command, "c-same", "same", "net7", &vf(number % vfs)))
        };
        let (_, refused) = one_of(calls("ADD").collect());
        for error in refused {
            assert!(error.contains("net7 of container c-same has been added already"), "{error}");
        }
        for deleted in calls("DEL").collect::<Vec<_>>() {
            deleted.end().unwrap();
        }
        assert_eq!(netns.links().len(), 3, "{vfs}");
    }
    drop(netns);
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

/// As many pods as the cards have pairs of VFs, and ten more.
///
/// Promise: unique-vf
#[test]
fn no_vf_is_given_to_two_pods() {
    const PAIRS: usize = 7;
    let networks = WithNetworks::with_new_vfs();
    let policies = fs::read_to_string(format!("{EXAMPLES}/policies.yaml")).unwrap();
    let all = policies.replace("numVfs: 4", &format!("numVfs: {PAIRS}"));
    succeeded(&crate::node::apply(&all));
    let before = Snapshot::take();

    let manifest = |number: usize| {
        pod(&format!("pod{number}"), "demo/sriovnet1, demo/sriovnet2, demo/bond-net1")
    };
    let apply =
        |number| begin(Command::new("podbond").args(["apply", "-f", "-"]), &manifest(number));
    let delete = |number: usize| {
        let name = format!("pod{number}");
        begin(Command::new("podbond").args(["delete", "pod", &name, "-n", "demo"]), "")
    };
    let begun: Vec<_> = (0..PAIRS + 10).map(apply).collect();
    let ended: Vec<Output> =
        begun.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    let (added, refused): (Vec<usize>, Vec<usize>) =
        (0..ended.len()).partition(|number| ended[*number].status.success());
    assert_eq!(added.len(), PAIRS, "{ended:?}");
    for number in &refused {
        let error = String::from_utf8_lossy(&ended[*number].stderr);
        assert!(error.contains("has no free VF ("), "{error}");
        assert!(error.contains(&format!("pod demo/pod{}", added[0])), "{error}");
    }
    no_vf_twice(&added);

    // All go while others come: these get what is free by then, or an error that says that nothing is.
    let going: Vec<_> = added.iter().map(|number| delete(*number)).collect();
    let coming: Vec<_> = refused.iter().map(|number| apply(*number)).collect();
    for child in going {
        succeeded(&child.wait_with_output().unwrap());
    }
    let mut stay = Vec::new();
    for (number, child) in refused.into_iter().zip(coming) {
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            stay.push(number);
        } else {
            assert!(error.contains("has no free VF ("), "{error}");
        }
    }
    no_vf_twice(&stay);
    for child in stay.into_iter().map(delete).collect::<Vec<_>>() {
        succeeded(&child.wait_with_output().unwrap());
    }
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

/// Each pod has a VF of either PF and an address, and none of them another's.
fn no_vf_twice(pods: &[usize]) {
    let all = shown_pods(&[]);
    assert_eq!(all.len(), pods.len());
    let interfaces = || all.iter().flat_map(|pod| pod["interfaces"].as_array().unwrap());
    let vfs: BTreeSet<String> =
        interfaces().map(|it| words(&it["function"]["pci"])).filter(|it| !it.is_empty()).collect();
    assert_eq!(vfs.len(), 2 * pods.len(), "{all:?}");
    let bonds = interfaces().filter(|it| it["bond"].is_object());
    let addresses: BTreeSet<String> = bonds.map(|it| words(&it["addresses"][0])).collect();
    assert_eq!(addresses.len(), pods.len(), "{all:?}");
}
