use std::io::Read;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use podbond_kernel::{LinkState, Netns, Step};
use podbond_names::Mac;

use crate::pod::{Pod, errno, host, ip, name, pod};

const EEXIST: i32 = 17;

/// A veth pair of the node, `<name>` and `<name>p`, that is removed at the end.
struct Pair(&'static str);

impl Pair {
    fn new(link: &'static str) -> Self {
        let _ = Command::new("ip").args(["link", "del", link]).stderr(Stdio::null()).status();
        ip(&format!("link add {link} type veth peer name {link}p"));
        Self(link)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        ip(&format!("link del {}p", self.0));
    }
}

fn into_pod(link: &str) -> Step {
    Step::Move { from: host(link), to: pod("net1") }
}

#[test]
fn moved_link_is_never_seen_under_its_pod_name() {
    let mut node = Pod::new("kernel-move");
    let _pair = Pair::new("kmove");
    let mut monitor =
        Command::new("ip").args(["monitor", "link"]).stdout(Stdio::piped()).spawn().unwrap();
    // Until it has bound its socket: it then shows what we do to another link.
    sleep(Duration::from_millis(500));
    let before = node.shown(&host("kmove"));
    let step = into_pod("kmove");
    node.must(&step);
    assert_eq!(node.link(&host("kmove")).unwrap(), None);
    assert_eq!(node.shown(&pod("net1")).mac, before.mac);
    node.must(&step.inverse());
    assert_eq!(node.link(&pod("net1")).unwrap(), None);
    let after = node.shown(&host("kmove"));
    assert_eq!((after.name, after.mac, after.altnames), (before.name, before.mac, vec![]));
    sleep(Duration::from_millis(500));
    monitor.kill().unwrap();
    let mut seen = String::new();
    monitor.stdout.take().unwrap().read_to_string(&mut seen).unwrap();
    monitor.wait().unwrap();
    assert!(seen.contains("kmove"), "the monitor saw nothing: {seen}");
    assert!(!seen.contains("net1"), "{seen}");
}

#[test]
fn rename_is_undone() {
    let mut node = Pod::new("kernel-rename");
    let _pair = Pair::new("krename");
    let step = Step::Move { from: host("krename"), to: host("krenamed") };
    node.must(&step);
    assert_eq!(node.link(&host("krename")).unwrap(), None);
    node.must(&step.inverse());
    node.shown(&host("krename"));
}

#[test]
fn altname_equal_to_the_new_name_is_swapped() {
    let mut node = Pod::new("kernel-altname");
    let _pair = Pair::new("kalt");
    ip("link property add dev kalt altname net1 altname kalt-other-name");
    // Found by its altname alone it is not the link that was asked for.
    assert_eq!(node.link(&host("net1")).unwrap(), None);
    let called = node.link_by_any_name(&host("net1")).unwrap();
    assert_eq!(called.map(|link| link.name), Some("kalt".parse().unwrap()));
    let step = into_pod("kalt");
    node.must(&step);
    let moved = node.shown(&pod("net1"));
    assert!(moved.altnames.contains(&"kalt".to_owned()), "{:?}", moved.altnames);
    node.must(&step.inverse());
    let mut altnames = node.shown(&host("kalt")).altnames;
    altnames.sort();
    assert_eq!(altnames, ["kalt-other-name", "net1"]);
}

#[test]
fn move_to_a_taken_name_is_undone() {
    let mut node = Pod::new("kernel-taken-name");
    let _pair = Pair::new("ktaken");
    node.ip("link add net1 type veth peer name other");
    ip("link property add dev ktaken altname net1");
    let error = node.refused(&into_pod("ktaken"));
    assert_eq!(errno(&error), Some(EEXIST));
    assert!(error.to_string().starts_with("move ktaken (host) to net1 (pod): "), "{error}");
    assert_eq!(node.shown(&host("ktaken")).altnames, ["net1"]);
    assert_eq!(node.link(&pod("ktaken")).unwrap(), None);
    ip("link property del dev ktaken altname net1");
    // Without the altname as well.
    assert_eq!(errno(&node.refused(&into_pod("ktaken"))), Some(EEXIST));
    node.shown(&host("ktaken"));
    assert_eq!(node.link(&pod("ktaken")).unwrap(), None);
}

#[test]
fn change_by_others_is_noticed() {
    let mut node = Pod::new("kernel-stale");
    let _pair = Pair::new("kstale");
    node.shown(&host("kstale"));
    ip("link set kstale netns kernel-stale");
    let down = Step::SetState { at: host("kstale"), to: LinkState::Up };
    assert!(node.refused(&down).is_gone());
    assert!(node.refused(&into_pod("kstale")).is_gone());
    node.ip("link set kstale netns 1");
    node.must(&down);
}

#[test]
fn mtu_mac_and_state_are_set_and_undone() {
    let mut node = Pod::new("kernel-set");
    let _pair = Pair::new("kset");
    let at = host("kset");
    let before = node.shown(&at);
    let mac = Mac::new([2, 0, 0, 0, 7, 7]);
    let steps = [
        Step::SetMtu { at: at.clone(), from: 1500, to: 1400 },
        Step::SetMac { at: at.clone(), from: before.mac.unwrap(), to: mac },
        Step::SetState { at: at.clone(), to: LinkState::Up },
    ];
    for step in &steps {
        node.must(step);
    }
    let after = node.shown(&at);
    assert_eq!((after.mtu, after.mac, after.state), (1400, Some(mac), LinkState::Up));
    assert!(node.links(Netns::Host).unwrap().iter().any(|link| link.name == name("kset")));
    for step in steps.iter().rev() {
        node.must(&step.inverse());
    }
    assert_eq!(node.shown(&at), before);
}

#[test]
fn large_response_is_read() {
    let mut node = Pod::new("kernel-large");
    node.ip("link add many type veth peer name other");
    // 300 names of 120 bytes: 36 KiB, more than is read at once at first.
    let names: Vec<String> = (0..300).map(|number| format!("{number:0>120}")).collect();
    // iproute2's requests have room for so many.
    for some in names.chunks(7) {
        let words: Vec<String> = some.iter().map(|name| format!("altname {name}")).collect();
        node.ip(&format!("link property add dev many {}", words.join(" ")));
    }
    let mut shown = node.shown(&pod("many")).altnames;
    shown.sort();
    assert!(shown == names, "{} names", shown.len());
    let all = node.links(Netns::Pod).unwrap();
    let dumped = all.iter().find(|link| link.name == name("many")).unwrap();
    assert_eq!(dumped.altnames.len(), 300);
    assert!(all.iter().any(|link| link.name == name("other")));
}
