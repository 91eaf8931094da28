use std::thread::sleep;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use podbond_kernel::{LinkState, Step};

use crate::pod::{Pod, ip, pod};

const PATIENCE: Duration = Duration::from_millis(200);

/// A pod whose net3 leads to a neighbour that remembers another MAC for the pod's addresses. Both
/// ends are in one namespace, which does not matter to what is sent.
fn neighbours(netns: &str) -> Pod {
    let mut node = Pod::new(netns);
    node.ip("link add net3 type veth peer name peer");
    for link in ["net3", "peer"] {
        node.must(&Step::SetState { at: pod(link), to: LinkState::Up });
    }
    node.ip("addr add 10.56.217.1/24 dev peer");
    node.ip("addr add 2001:db8::1/64 dev peer nodad");
    for address in ["10.56.217.7", "2001:db8::7"] {
        node.ip(&format!("neigh add {address} lladdr 02:00:00:00:00:99 dev peer nud stale"));
    }
    node
}

fn addresses() -> [IpNet; 2] {
    ["10.56.217.7/24".parse().unwrap(), "2001:db8::7/64".parse().unwrap()]
}

fn remembered(node: &Pod) -> Vec<String> {
    let shown = node.ip("neigh show dev peer nud all");
    ["10.56.217.7 ", "2001:db8::7 "]
        .iter()
        .map(|address| {
            let line = shown.lines().find(|line| line.starts_with(address)).unwrap();
            line.split_whitespace().skip_while(|word| *word != "lladdr").nth(1).unwrap().to_owned()
        })
        .collect()
}

#[test]
fn neighbours_correct_what_they_remember() {
    let mut node = neighbours("kernel-announce");
    let mac = node.shown(&pod("net3")).mac.unwrap().to_string();
    assert_ne!(remembered(&node), [mac.clone(), mac.clone()]);
    node.announce(&pod("net3"), &addresses(), PATIENCE).unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    while remembered(&node) != [mac.clone(), mac.clone()] {
        assert!(Instant::now() < end, "{:?}", remembered(&node));
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn without_carrier_it_waits_as_long_as_allowed_and_sends_nothing() {
    let mut node = neighbours("kernel-announce-down");
    node.must(&Step::SetState { at: pod("peer"), to: LinkState::Down });
    // What is sent without carrier is counted as dropped. The kernel itself would send, too, to
    // look for IPv6 neighbours.
    ip("netns exec kernel-announce-down sysctl -qw net.ipv6.conf.net3.disable_ipv6=1");
    let counters = |node: &Pod| node.ip("-s -o link show dev net3");
    let before = counters(&node);
    let begin = Instant::now();
    node.announce(&pod("net3"), &addresses(), PATIENCE).unwrap();
    assert!(begin.elapsed() >= PATIENCE);
    assert_eq!(counters(&node), before);
}
