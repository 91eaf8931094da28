//! The switch that the pods' bonds talk to, its cables, and what goes through them.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::card::said_by_kernel;
use crate::node::{interface, ip, status, succeeded, words};

/// The switch's address.
pub(crate) const GATEWAY: &str = "10.56.217.1";

/// How often a flow pings.
const INTERVAL: Duration = Duration::from_millis(50);

/// A VF finds carrier some 13 s after its PF came back, and twice as late on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(90);

/// Looks until something is as wanted; fails with what was seen last.
pub(crate) fn until<T: Debug>(
    wanted: &str,
    mut look: impl FnMut() -> T,
    is_it: impl Fn(&T) -> bool,
) -> T {
    let end = Instant::now() + TIMEOUT;
    loop {
        let seen = look();
        if is_it(&seen) {
            return seen;
        }
        let is_late = Instant::now() >= end;
        assert!(!is_late, "{wanted}: not within {TIMEOUT:?}: {seen:#?}\n{}", said_by_kernel());
        sleep(Duration::from_millis(100));
    }
}

/// The switch in one of the shapes of `lab-switch`, for as long as the value lives.
pub(crate) struct Switch;

impl Switch {
    pub(crate) fn wired(shape: &str) -> Self {
        wire(shape);
        Self
    }

    /// Its bond, by LACP, with a rate.
    pub(crate) fn lacp(rate: &str) -> Self {
        let switch = Self::wired("lacp");
        ip("-n switch link set lag0 down");
        ip(&format!("-n switch link set lag0 type bond lacp_rate {rate}"));
        ip("-n switch link set lag0 up");
        switch
    }
}

impl Drop for Switch {
    /// Also after a test that failed with a cable out.
    fn drop(&mut self) {
        for pf in ["pf0", "pf1"] {
            let _ = Command::new("ip").args(["link", "set", pf, "up"]).status();
        }
        let _ = Command::new("lab-switch").arg("bridge").status();
    }
}

/// Takes the cable of a PF out: neither end has a link. QEMU does not tell one end of the other.
pub(crate) fn pull(cable: u8) {
    ip(&format!("link set pf{cable} down"));
    ip(&format!("-n switch link set sw{cable} down"));
}

/// Puts it back.
pub(crate) fn plug(cable: u8) {
    ip(&format!("-n switch link set sw{cable} up"));
    ip(&format!("link set pf{cable} up"));
}

/// The number of the cable that a port of a pod is connected by.
pub(crate) fn cable_of(status: &Value, port: &str) -> u8 {
    let pf = words(&interface(status, port)["function"]["pf"]);
    pf.strip_prefix("pf").unwrap().parse().unwrap()
}

/// What each port of the switch's bond shows of itself and of its partner, as LACP's flags.
pub(crate) fn lacp_states() -> Vec<(u64, u64)> {
    let links: Vec<Value> =
        serde_json::from_str(&ip("-n switch -j -d link show master lag0")).unwrap();
    let of = |link: &Value| {
        let data = &link["linkinfo"]["info_slave_data"];
        let state = |key: &str| data[key].as_u64().unwrap_or_default();
        (state("ad_actor_oper_port_state"), state("ad_partner_oper_port_state"))
    };
    links.iter().map(of).collect()
}

/// The address by which the switch's bond is known as a partner.
pub(crate) fn lag_mac() -> String {
    let links: Value = serde_json::from_str(&ip("-n switch -j link show lag0")).unwrap();
    words(&links[0]["address"])
}

/// Wires the switch again.
pub(crate) fn wire(shape: &str) {
    succeeded(&Command::new("lab-switch").arg(shape).output().unwrap());
}

/// Frames received and sent over a link of a namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frames {
    pub(crate) rx: u64,
    pub(crate) tx: u64,
}

impl Frames {
    pub(crate) fn of(netns: &str, link: &str) -> Self {
        let text = ip(&format!("-n {netns} -j -s link show {link}"));
        let links: Value = serde_json::from_str(&text).unwrap();
        let count = |way: &str| links[0]["stats64"][way]["packets"].as_u64().unwrap();
        Self { rx: count("rx"), tx: count("tx") }
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self { rx: self.rx - before.rx, tx: self.tx - before.tx }
    }
}

/// Waits until these ports of a pod carry traffic, as far as their bond can tell.
pub(crate) fn carrying(pod: &str, ports: &[&str]) -> Value {
    let is_carrying = |status: &Value, port: &str| {
        let port = interface(status, port);
        let lacp = &port["port"]["lacp"];
        let ends = ["actor", "partner"].map(|end| &lacp[end]);
        port["carrier"] == true
            && port["port"]["countsAsUp"] == true
            && (lacp.is_null() || ends.into_iter().all(is_distributing))
    };
    let all = |status: &Value| ports.iter().all(|port| is_carrying(status, port));
    until("ports that carry traffic", || status(pod), all)
}

fn is_distributing(end: &Value) -> bool {
    end.as_array().is_some_and(|words| words.iter().any(|word| word == "distributing"))
}

/// Waits until a pod's bond has given up a port.
pub(crate) fn given_up(pod: &str, port: &str) -> Value {
    let is_given_up = |status: &Value| interface(status, port)["port"]["countsAsUp"] == false;
    until("a port that is down", || status(pod), is_given_up)
}

/// How many of 20 pings of the switch were answered.
pub(crate) fn answered(pod: &str) -> u32 {
    let netns = format!("demo.{pod}");
    let ping =
        ["netns", "exec", &netns, "ping", "-n", "-c", "20", "-i", "0.05", "-W", "2", GATEWAY];
    let said = Command::new("ip").args(ping).output().unwrap();
    Pings::read(&String::from_utf8_lossy(&said.stdout)).answered
}

/// Waits until all of 20 pings are answered: neighbours may have to be found first.
pub(crate) fn reaches_the_switch(pod: &str) {
    until("20 of 20 pings", || answered(pod), |answered| *answered == 20);
}

/// A flow of pings from a pod to the switch.
pub(crate) struct Flow {
    pod: String,
    ping: Child,
}

impl Flow {
    pub(crate) fn from(pod: &str) -> Self {
        let mut ping = Command::new("podbond");
        ping.args(["exec", "-n", "demo", pod, "--", "ping", "-n", "-i", "0.05", GATEWAY]);
        Self { pod: pod.to_owned(), ping: ping.stdout(Stdio::piped()).spawn().unwrap() }
    }

    /// The port that it goes out over, and the number of that port's cable: the one whose loss shows.
    /// Another flow of the same pod may go out over another port.
    pub(crate) fn way(&self) -> (String, u8) {
        let netns = format!("demo.{}", self.pod);
        let sent = || ["net1", "net2"].map(|port| Frames::of(&netns, port).tx);
        let before = sent();
        let since = || {
            let [first, second] = sent();
            [first - before[0], second - before[1]]
        };
        let [first, second] = until("20 pings sent", since, |[first, second]| first + second >= 20);
        let port = if first >= second { "net1" } else { "net2" };
        (port.to_owned(), cable_of(&status(&self.pod), port))
    }

    /// Ends it as a person does who presses ctrl-C.
    pub(crate) fn end(mut self) -> Pings {
        let ping = self.ping.id().to_string();
        succeeded(&Command::new("kill").args(["-INT", &ping]).output().unwrap());
        let mut said = String::new();
        self.ping.stdout.as_mut().unwrap().read_to_string(&mut said).unwrap();
        self.ping.wait().unwrap();
        Pings::read(&said)
    }
}

/// What ping says at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pings {
    pub(crate) sent: u32,
    pub(crate) answered: u32,
}

impl Pings {
    /// Reads `40 packets transmitted, 38 received, +3 duplicates, 5% packet loss, time 99ms`.
    fn read(said: &str) -> Self {
        let line = said.lines().find(|line| line.contains("packets transmitted"));
        let line = line.unwrap_or_else(|| panic!("not ping's: {said}"));
        let mut numbers = line.split(", ").map(|part| part.split(' ').next().unwrap().parse());
        let mut next = || numbers.next().unwrap().unwrap();
        Self { sent: next(), answered: next() }
    }

    pub(crate) fn lost(self) -> u32 {
        self.sent - self.answered
    }

    /// How long nothing was answered, if it was one time.
    pub(crate) fn silence(self) -> Duration {
        INTERVAL * self.lost()
    }
}

/// Sends a datagram to each of 64 ports of an address: as many flows.
pub(crate) fn send_64_flows(netns: &str, to: &str) {
    let script = format!("for port in {{5001..5064}}; do echo >/dev/udp/{to}/$port; done");
    let bash = ["netns", "exec", netns, "bash", "-c", &script];
    succeeded(&Command::new("ip").args(bash).output().unwrap());
}

/// Says something past libtest's capture: what was measured belongs to the record of a run.
pub(crate) fn report(line: &str) {
    io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}
