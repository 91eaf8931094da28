use std::thread::sleep;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use podbond_kernel::{LinkState, Step};
use serde_json::Value;

use crate::pod::{Pod, ip, pod};

const TIMEOUT: Duration = Duration::from_millis(200);

/// A pod with addresses on its net3, which leads to a neighbour that remembers another MAC for them.
fn neighbours(netns: &str) -> (Pod, Pod) {
    let mut peer = Pod::new(&format!("{netns}-peer"));
    let mut node = Pod::new(netns);
    node.ip(&format!("link add net3 type veth peer name peer netns {netns}-peer"));
    node.must(&Step::SetState { at: pod("net3"), to: LinkState::Up });
    peer.must(&Step::SetState { at: pod("peer"), to: LinkState::Up });
    for address in addresses() {
        let nodad = if address.addr().is_ipv6() { "nodad" } else { "" };
        node.ip(&format!("addr add {address} dev net3 {nodad}"));
    }
    peer.ip("addr add 10.56.217.1/24 dev peer");
    peer.ip("addr add 2001:db8::1/64 dev peer nodad");
    for address in addresses() {
        let ip = address.addr();
        peer.ip(&format!("neigh add {ip} lladdr 02:00:00:00:00:99 dev peer nud stale"));
    }
    (node, peer)
}

fn addresses() -> [IpNet; 2] {
    ["10.56.217.7/24".parse().unwrap(), "2001:db8::7/64".parse().unwrap()]
}

fn remembered(peer: &Pod) -> Vec<String> {
    let shown = peer.ip("neigh show dev peer nud all");
    ["10.56.217.7 ", "2001:db8::7 "]
        .iter()
        .map(|address| {
            let line = shown.lines().find(|line| line.starts_with(address)).unwrap();
            line.split_whitespace().skip_while(|word| *word != "lladdr").nth(1).unwrap().to_owned()
        })
        .collect()
}

#[test]
fn neighbours_learn_the_mac() {
    let (mut node, peer) = neighbours("kernel-announce");
    let mac = node.shown(&pod("net3")).mac.unwrap().to_string();
    assert_ne!(remembered(&peer), [mac.clone(), mac.clone()]);
    node.announce(&pod("net3"), &addresses(), TIMEOUT).unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    while remembered(&peer) != [mac.clone(), mac.clone()] {
        assert!(Instant::now() < end, "{:?}", remembered(&peer));
        sleep(Duration::from_millis(50));
    }
    // The pod has not become a neighbour of its own.
    let neighbours = node.ip("neigh show dev net3 nud all");
    assert!(!neighbours.contains("10.56.217.7 "), "{neighbours}");
}

#[test]
fn nothing_is_sent_without_carrier() {
    let (mut node, mut peer) = neighbours("kernel-announce-down");
    peer.must(&Step::SetState { at: pod("peer"), to: LinkState::Down });
    // What is sent without carrier is counted as dropped. The kernel itself would send, too, to
    // look for IPv6 neighbours.
    ip("netns exec kernel-announce-down sysctl -qw net.ipv6.conf.net3.disable_ipv6=1");
    // Not what else is shown: the kernel takes its time to say that the carrier is gone.
    let sent = |node: &Pod| {
        let shown = node.ip("-s -j link show dev net3");
        serde_json::from_str::<Value>(&shown).unwrap()[0]["stats64"]["tx"].clone()
    };
    let before = sent(&node);
    assert!(before["dropped"].is_u64(), "{before}");
    let begin = Instant::now();
    node.announce(&pod("net3"), &addresses(), TIMEOUT).unwrap();
    assert!(begin.elapsed() >= TIMEOUT);
    assert_eq!(sent(&node), before);
}

/// An address that duplicates are still looked for is not yet a node's own (RFC 4862, section 5.4): to a card that
/// hears itself, as igb's VFs do, its announcement is another host's. An optimistic one can be sent from
/// (RFC 4429, section 3.3), so that the kernel refuses nothing.
#[test]
fn tentative_address_is_not_announced() {
    let (mut node, peer) = neighbours("kernel-announce-dad");
    ip("netns exec kernel-announce-dad sysctl -qw net.ipv6.conf.net3.dad_transmits=30 \
        net.ipv6.conf.net3.optimistic_dad=1");
    let own: IpNet = "2001:db8::7/64".parse().unwrap();
    let tentative: [IpNet; 2] =
        ["2001:db8::8/64", "2001:db8::9/64"].map(|text| text.parse().unwrap());
    for (address, flag) in tentative.iter().zip(["", "optimistic"]) {
        node.ip(&format!("addr add {address} dev net3 {flag}"));
        let ip = address.addr();
        peer.ip(&format!("neigh add {ip} lladdr 02:00:00:00:00:99 dev peer nud stale"));
    }
    node.announce(&pod("net3"), &[tentative[0], tentative[1], own], TIMEOUT).unwrap();
    let mac = node.shown(&pod("net3")).mac.unwrap().to_string();
    let remembered = |ip: IpNet| peer.ip(&format!("neigh show {} dev peer nud all", ip.addr()));
    let end = Instant::now() + Duration::from_secs(5);
    while !remembered(own).contains(&mac) {
        assert!(Instant::now() < end, "{}", remembered(own));
        sleep(Duration::from_millis(50));
    }
    for address in tentative {
        assert!(remembered(address).contains("02:00:00:00:00:99"), "{}", remembered(address));
    }
    let shown = node.ip("addr show dev net3 tentative");
    assert!(shown.contains("2001:db8::9/64 scope global optimistic tentative"), "{shown}");
}
