//! The reference plugin `dhcp` as a bond's IPAM plugin, with its daemon, and a server that knows
//! one address.

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::addresses::Wired;
use crate::node::{Call, bond_config, records, words};

const SOCKET: &str = "/run/cni/dhcp.sock";

/// Message types: RFC 2132, section 9.6.
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const RELEASE: u8 = 7;

/// Where the options of a message begin: RFC 2131, section 2, and the magic cookie.
const OPTIONS: usize = 240;

/// The server: answers each DISCOVER and REQUEST, and returns the types of the messages that came.
fn serve(netns: String) -> Receiver<u8> {
    let (sender, messages) = channel();
    let (ready, is_ready) = channel();
    thread::spawn(move || {
        podbond_kernel::enter(Path::new(&netns)).unwrap();
        let socket = UdpSocket::bind("0.0.0.0:67").unwrap();
        socket.set_broadcast(true).unwrap();
        ready.send(()).unwrap();
        let mut buffer = [0; 1500];
        while let Ok((length, _)) = socket.recv_from(&mut buffer) {
            let message = &buffer[..length];
            let Some(kind) = message_type(message) else { continue };
            if let Some(answer) = answer_to(kind) {
                let _ = socket.send_to(&reply(message, answer), "255.255.255.255:68");
            }
            if sender.send(kind).is_err() {
                return;
            }
        }
    });
    is_ready.recv_timeout(Duration::from_secs(30)).unwrap();
    messages
}

fn answer_to(kind: u8) -> Option<u8> {
    match kind {
        DISCOVER => Some(OFFER),
        REQUEST => Some(ACK),
        _ => None,
    }
}

fn message_type(message: &[u8]) -> Option<u8> {
    let mut options = message.get(OPTIONS..)?;
    while let [code, length, rest @ ..] = options {
        if *code == 53 {
            return rest.first().copied();
        }
        options = rest.get(usize::from(*length)..)?;
    }
    None
}

fn reply(to: &[u8], kind: u8) -> Vec<u8> {
    let mut reply = vec![0; OPTIONS];
    // BOOTREPLY over Ethernet, and the client's transaction, flags and address.
    reply[..4].copy_from_slice(&[2, 1, 6, 0]);
    for part in [4..8, 10..12, 28..44] {
        reply[part.clone()].copy_from_slice(&to[part]);
    }
    reply[16..20].copy_from_slice(&[10, 56, 219, 77]);
    reply[20..24].copy_from_slice(&[10, 56, 219, 1]);
    reply[236..240].copy_from_slice(&[99, 130, 83, 99]);
    // Type, server, lease time in seconds, mask, router, end.
    reply.extend([53, 1, kind, 54, 4, 10, 56, 219, 1, 51, 4, 0, 0, 14, 16]);
    reply.extend([1, 4, 255, 255, 255, 0, 3, 4, 10, 56, 219, 1, 255]);
    reply.resize(300, 0);
    reply
}

/// The plugin's daemon, for as long as the value lives.
struct Daemon(Child);

impl Daemon {
    fn start() -> Self {
        let _ = std::fs::remove_file(SOCKET);
        let child = Command::new("/opt/cni/bin/dhcp").arg("daemon").spawn().unwrap();
        let daemon = Self(child);
        for _ in 0..300 {
            if Path::new(SOCKET).exists() {
                return daemon;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("the daemon of dhcp does not listen");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_file(SOCKET);
    }
}

#[test]
fn dhcp_gets_its_lease_through_the_bond_and_gives_it_back() {
    let Wired { pod, wire } = Wired::new("dhcp", "dhcp-wire");
    wire.ip("addr add 10.56.219.1/24 dev br0");
    wire.ip("route add 255.255.255.255/32 dev br0");
    let messages = serve(wire.path());
    let daemon = Daemon::start();
    let links = pod.links();
    let path = pod.path();
    let call =
        |command| Call { plugin: "bond", command, container: "c1", netns: &path, ifname: "bond0" };
    let mut config = bond_config(&json!({"cniVersion": "1.0.0", "ipam": {"type": "dhcp"}}));
    let result = call("ADD").run(&config).unwrap();
    let ips = json!([{"interface": 0, "address": "10.56.219.77/24", "gateway": "10.56.219.1"}]);
    assert_eq!(result["ips"], ips);
    assert_eq!(result["routes"], json!([{"dst": "0.0.0.0/0", "gw": "10.56.219.1"}]));
    assert_eq!(words(&pod.link("bond0")["addr_info"][0]["local"]), "10.56.219.77");
    assert!(pod.ip("route show default").contains("via 10.56.219.1 dev bond0"));
    config["prevResult"] = result;
    call("CHECK").run(&config).unwrap();

    call("DEL").run(&config).unwrap();
    assert_eq!(pod.links(), links);
    let mut kinds = Vec::new();
    while !kinds.contains(&RELEASE) {
        let kind = messages.recv_timeout(Duration::from_secs(10));
        kinds.push(kind.unwrap_or_else(|error| panic!("no RELEASE after {kinds:?}: {error}")));
    }
    assert_eq!(kinds[..2], [DISCOVER, REQUEST]);
    drop(daemon);
}

/// Promise: lease-pending
#[test]
fn dhcp_lease_is_pending_while_the_daemon_is_absent() {
    let Wired { pod, wire: _wire } = Wired::new("dhcp-off", "dhcp-off-wire");
    let links = pod.links();
    let path = pod.path();
    let call =
        |command| Call { plugin: "bond", command, container: "c1", netns: &path, ifname: "bond0" };
    let config = bond_config(&json!({"ipam": {"type": "dhcp"}}));
    let error = call("ADD").run(&config).unwrap_err();
    let msg = words(&error["msg"]);
    assert!(msg.contains("plugin \"dhcp\": error dialing DHCP daemon"), "{error}");
    assert_eq!(pod.links(), links);
    // Neither its ADD nor the DEL that followed could say that nothing was leased.
    assert!(words(&error["details"]).contains("could not be undone: plugin \"dhcp\""), "{error}");
    let state = || records().get("c1:bond0").map(|record| words(&record["state"]));
    assert_eq!(state().as_deref(), Some("ipam-pending"));
    call("DEL").run(&config).unwrap();
    assert_eq!(state().as_deref(), Some("ipam-pending"));
    let daemon = Daemon::start();
    call("DEL").run(&config).unwrap();
    assert_eq!(state(), None);
    drop(daemon);
}
